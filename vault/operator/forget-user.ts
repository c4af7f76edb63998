/**
 * Forgets a person: the sessions end first, then the grants go from the log (each roll-up tombstone replaces what
 * bore tokens), and then the data key is destroyed, so that nothing of them can be opened any more. Every step may be
 * repeated; a command that was cut off is given again.
 */
import type { VaultFact } from '../../schemas/events/facts.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import { createEventId } from '../../schemas/ids.ts';
import type { StoredEvent } from '../log/stored-event.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';

export interface Forgetting {
  /** While this is so nothing may be sealed for the person: it would be sealed with a key that is about to go. */
  isForgetting(principalKey: string): boolean;
  forget(partition: number, principal: Principal): Promise<Forgotten>;
}

export interface Forgotten {
  readonly sessions: number;
  readonly grants: number;
  /** False: there was none any more, or never. */
  readonly dataKey: boolean;
}

interface Options {
  readonly projection: Projection;
  readonly dataKeys: DataKeys;
  readonly index: IdentityIndex;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
  readonly assertOurs: (partition: number, principal: Principal) => void;
  readonly onSessionEnded: (sessionId: string) => void;
  /** What the person approved, and the browsers in which they are signed in. */
  readonly endConsents: (principalKey: string) => Promise<void>;
}

type ForgottenMetadata = Extract<
  StoredEvent['metadata'],
  { type: 'SessionForgotten' | 'GrantForgotten' | 'UserForgotten' }
>;

/** Of a person with many sessions; an atomic batch takes 1,000 messages, two for each change. */
const changesAtOnce = 200;
const reason = 'user-forgotten';

export function createForgetting(options: Options): Forgetting {
  const { projection, dataKeys, index, writerOf, now, assertOurs, onSessionEnded, endConsents } = options;
  const forgetting = new Set<string>();

  function tombstonesOf(principalKey: string): Change[] {
    const { sessions, grants } = projection.holdingsOf(principalKey);
    return [
      ...sessions.map(({ sessionId }) =>
        tombstone(
          sessionId,
          { type: 'SessionForgotten', ...head(), sessionId, principalKey },
          {
            fact: 'session-ended',
            session: sessionId,
          },
        ),
      ),
      ...grants.map(({ grantId, sessionId, provider, version }) =>
        tombstone(
          grantId,
          { type: 'GrantForgotten', ...head(), grantId, principalKey },
          {
            fact: 'grant-forgotten',
            session: sessionId,
            grant: grantId,
            provider,
            version,
          },
        ),
      ),
    ];
  }

  const head = () => ({ id: createEventId(), at: now() });

  return {
    isForgetting: (principalKey) => forgetting.has(principalKey),
    async forget(partition, principal) {
      assertOurs(partition, principal);
      const writer = writerOf(partition);
      const principalKey = index.principalKey(principal);
      if (forgetting.has(principalKey))
        throw new RefusedError('unavailable', 'this person is being forgotten already');
      forgetting.add(principalKey);
      try {
        const { sessions, grants } = projection.holdingsOf(principalKey);
        const dataKey = dataKeys.has(principalKey);
        for (let left = true; left; ) {
          const aggregates = tombstonesOf(principalKey).map(({ aggregate }) => aggregate);
          left = await writer.execute({
            aggregates: [principalKey, ...aggregates.slice(0, changesAtOnce)],
            decide: () => {
              const changes = tombstonesOf(principalKey);
              if (changes.length > changesAtOnce)
                return { changes: changes.slice(0, changesAtOnce), result: true };
              const event = { type: 'UserForgotten', ...head(), principalKey } as const;
              const last = tombstone(principalKey, event, { fact: 'user-forgotten' });
              return { changes: [...changes, last], result: false };
            },
          });
        }
        await endConsents(principalKey);
        await dataKeys.destroy(principalKey);
        for (const { sessionId } of sessions) onSessionEnded(sessionId);
        return { sessions: sessions.length, grants: grants.length, dataKey };
      } finally {
        forgetting.delete(principalKey);
      }
    },
  };
}

function tombstone(
  aggregate: string,
  metadata: ForgottenMetadata,
  about: Partial<VaultFact> & Pick<VaultFact, 'fact'>,
): Change {
  const { id, at, principalKey } = metadata;
  return {
    aggregate,
    event: { metadata, sealed: Buffer.alloc(0) },
    replaces: true,
    tombstone: true,
    fact: {
      ...{ id, at, principal: principalKey, reason },
      ...{ session: null, grant: null, provider: null, version: null },
      ...about,
    },
  };
}
