/**
 * Runs commands on grants and keeps what they decide: rules on one side, log and projection on the other, sealing in
 * between.
 */

import { createEventId } from '../../schemas/ids.ts';
import { VaultError } from '../errors.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { GrantRow } from '../projection/tables.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import { openGrant, sealGrantEvent, unopenedGrant } from '../sealing/grant-codec.ts';
import type { GrantCommand } from './commands.ts';
import { decide } from './decide.ts';
import { bearsTokens, type GrantEvent, type GrantOwner } from './events.ts';
import { grantFact } from './facts.ts';
import { type GrantState, type HeldGrant, noGrant } from './state.ts';

export interface GrantStore {
  find(grantId: string): HeldGrant | null;
  /** Without its tokens, and without the key that they need. */
  findUnopened(grantId: string): HeldGrant | null;
  /** The event that the command led to, durable; null if there was nothing to do. */
  execute(writer: PartitionWriter, grantId: string, command: GrantCommand): Promise<NamedGrantEvent | null>;
  /** The change that the command means, to be made together with others. */
  changeFor(command: GrantCommand, owner: GrantOwner): Change | null;
}

/** With its id in the log. */
type NamedGrantEvent = GrantEvent & { readonly eventId: string };

interface Options {
  readonly projection: Projection;
  readonly dataKeys: DataKeys;
  /** Before this time a claim whose event has this sequence is not over, whatever its own deadline says; 0: no such time. */
  readonly claimEndsAfter: (partition: number, sequence: number) => number;
}

/** What bears no tokens is decided by what the row says; and whatever its key has become, a grant can be let go. */
const needsNoTokens: ReadonlySet<GrantCommand['type']> = new Set([
  'EvictGrant',
  'StartRefresh',
  'RecordRefreshFailure',
]);

export function createGrantStore({ projection, dataKeys, claimEndsAfter }: Options): GrantStore {
  function dataKey(principalKey: string) {
    const key = dataKeys.find(principalKey);
    if (!key) throw new VaultError('key-unknown', 'the data key of this person is not there any more');
    return key;
  }

  function find(grantId: string): HeldGrant | null {
    const row = projection.findGrant(grantId);
    return row && withOwnDeadline(row, openGrant(row, dataKey(row.principalKey)));
  }

  function findUnopened(grantId: string): HeldGrant | null {
    const row = projection.findGrant(grantId);
    return row && withOwnDeadline(row, unopenedGrant(row));
  }

  const findFor = ({ type }: GrantCommand, grantId: string) =>
    needsNoTokens.has(type) ? findUnopened(grantId) : find(grantId);

  function withOwnDeadline(row: GrantRow, grant: HeldGrant): HeldGrant {
    if (grant.refresh.status !== 'claimed') return grant;
    const deadlineAt = Math.max(grant.refresh.deadlineAt, claimEndsAfter(row.partition, row.sequence));
    return { ...grant, refresh: { ...grant.refresh, deadlineAt } };
  }

  function changeOf(event: GrantEvent, owner: GrantOwner): Change {
    const id = createEventId();
    const isLast = event.type === 'GrantEvicted' || event.type === 'GrantRevoked';
    return {
      aggregate: owner.grantId,
      event: sealGrantEvent(event, id, () => dataKey(owner.principalKey)),
      replaces: bearsTokens(event) || isLast,
      tombstone: isLast,
      fact: grantFact(id, event, owner),
    };
  }

  return {
    find,
    findUnopened,
    execute(writer, grantId, command) {
      return writer.execute({
        aggregates: [grantId],
        decide: () => {
          const held = findFor(command, grantId);
          const event = decide(command, held ?? noGrant);
          if (!event || !held) return { changes: [], result: null };
          const change = changeOf(event, held);
          return { changes: [change], result: { ...event, eventId: change.event.metadata.id } };
        },
      });
    },
    changeFor(command, owner) {
      const state: GrantState = findFor(command, owner.grantId) ?? noGrant;
      const event = decide(command, state);
      return event && changeOf(event, owner);
    },
  };
}
