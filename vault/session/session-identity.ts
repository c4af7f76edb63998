/**
 * A session lives as long as the provider that says who the person is lets it (offboarding): its grant there is kept
 * fresh while the session is used, for whatever tokens, and the provider's final no (`invalid_grant`) ends the session
 * with all that it holds. Linked accounts stay, and no look-up gets them without a session. The person's other sessions
 * are not taken down by that, for a refresh token can die of idleness alone; each is put to the same question at once.
 */

import { RefusedError } from '../../schemas/failure.ts';
import { holdFor } from '../../schemas/held-answers.ts';
import type { GrantIds } from '../grant/grant-ids.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { GrantRow } from '../projection/tables.ts';
import type { LastUses } from '../refresh/last-uses.ts';
import type { Refresher } from '../refresh/refresher.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { SessionEnd } from './session-end.ts';

interface Holder {
  readonly sessionId: string;
  readonly principalKey: string;
}

export interface SessionIdentity {
  /** @throws RefusedError `session-ended` the provider has said no */
  assertNotRefused(partition: number, session: Holder): void;
  /**
   * The session is used. A promise only while the provider is asked because what it said last has expired; one that does
   * not answer ends nothing and holds nobody up for long.
   * @throws RefusedError `session-ended`; `unavailable` the provider is being asked: come again in a moment
   */
  confirm(partition: number, session: Holder): Promise<void> | undefined;
  /** The provider of this grant wants the person to sign in again, for good. */
  refused(partition: number, grant: HeldGrant): void;
}

interface Options {
  /** The first of the chain; null: nobody is asked. */
  readonly provider: string | null;
  readonly projection: Projection;
  readonly grantIds: Pick<GrantIds, 'ofSession'>;
  readonly refresher: Pick<Refresher, 'refresh'>;
  readonly lastUses: Pick<LastUses, 'note'>;
  readonly sessionEnd: Pick<SessionEnd, 'revoke'>;
  readonly revocation: Pick<Revocation, 'followUp'>;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
}

const askAgainMs = 20;

export function createSessionIdentity(options: Options): SessionIdentity {
  const { provider, projection, grantIds, refresher, lastUses, sessionEnd, revocation } = options;
  const { writerOf, now, onProblem } = options;
  /** Sessions whose end is on its way to the log. */
  const ending = new Set<string>();

  const findGrant = (session: Holder): GrantRow | null =>
    provider === null ? null : projection.findGrant(grantIds.ofSession(session, provider));

  function assertNotRefused(partition: number, session: Holder): void {
    const row = findGrant(session);
    if (!row || !isRefused(row)) return;
    // A worker that died between the two facts left this to the next request.
    end(partition, session).catch(onProblem);
    throw new RefusedError('session-ended', 'the identity provider has ended this sign-in');
  }

  async function end(partition: number, { sessionId, principalKey }: Holder): Promise<void> {
    if (ending.has(sessionId)) return;
    ending.add(sessionId);
    try {
      const gone = await sessionEnd.revoke(writerOf(partition), sessionId, now(), 'identity-refused');
      revocation.followUp(gone ?? []);
    } finally {
      ending.delete(sessionId);
    }
    for (const other of projection.holdingsOf(principalKey).sessions) {
      const row = other.sessionId === sessionId ? null : findGrant(other);
      if (row?.refreshable) ask(partition, row, { rejectedVersion: row.version }).catch(onProblem);
    }
  }

  const ask = (
    partition: number,
    { grantId }: GrantRow,
    { rejectedVersion }: { rejectedVersion: number | null },
  ) => refresher.refresh(partition, grantId, { neededUntil: now(), rejectedVersion }, 'on-demand');

  async function waitFor(partition: number, session: Holder, row: GrantRow): Promise<void> {
    const asked = ask(partition, row, { rejectedVersion: null });
    asked.catch(onProblem);
    await holdFor(asked).catch(() => undefined);
    assertNotRefused(partition, session);
    if (!projection.findSession(session.sessionId))
      throw new RefusedError('session-ended', 'the session of this access token has ended');
    const after = findGrant(session);
    if (after && isBeingAsked(after))
      throw new RefusedError('unavailable', 'the identity provider is being asked', {
        retryAfterMs: askAgainMs,
      });
  }

  /** For the first time since it answered: one that keeps failing is not waited for. */
  const isBeingAsked = ({ refreshStatus, refreshUntil, failures }: GrantRow) =>
    refreshStatus === 'claimed' && failures === 0 && (refreshUntil ?? 0) > now();

  return {
    assertNotRefused,

    confirm(partition, session) {
      const row = findGrant(session);
      if (!row?.refreshable) return undefined;
      const at = now();
      lastUses.note(row.grantId, at, row.usedAt);
      if (row.expiresAt === null || row.expiresAt > at) return undefined;
      if (row.failures === 0 && row.refreshStatus !== 'reauth-required')
        return waitFor(partition, session, row);
      if (row.refreshStatus === 'waiting' && row.refreshUntil! <= at)
        ask(partition, row, { rejectedVersion: null }).catch(onProblem);
      return undefined;
    },

    refused(partition, { provider: of, sessionId, principalKey }) {
      if (of !== provider || sessionId === null) return;
      end(partition, { sessionId, principalKey }).catch(onProblem);
    },
  };
}

/** What an operator must mend (`registration-gone`) is no word about the person. */
function isRefused({ refreshStatus, reason }: GrantRow): boolean {
  return refreshStatus === 'reauth-required' && reason === 'invalid-grant';
}
