/**
 * Ends a session, because its time is over or because somebody took it away, with all of its grants in one atomic step:
 * neither is ever left without the other.
 */
import { createEventId } from '../../schemas/ids.ts';
import { sessionFact } from '../grant/facts.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import { decideSessionEnd, type EndSession, type ExpireSession } from './session.ts';

export interface SessionEnd {
  /** False if its time is not over, or the refresh of a grant is under way: the session waits for it. */
  expire(writer: PartitionWriter, sessionId: string, at: number): Promise<boolean>;
  /** At once, whatever is under way. @returns the grants that went with it; null if there is no such session */
  revoke(
    writer: PartitionWriter,
    sessionId: string,
    at: number,
    reason: EndSession['reason'],
  ): Promise<readonly HeldGrant[] | null>;
}

export interface EndedSession {
  readonly sessionId: string;
  readonly principalKey: string;
  /** Null: its time was over. */
  readonly reason: EndSession['reason'] | null;
}

interface Ending {
  readonly principalKey: string;
  readonly changes: readonly Change[];
  readonly went: readonly HeldGrant[];
}

export function createSessionEnd({
  projection,
  grants,
  onEnded,
}: {
  projection: Projection;
  grants: GrantStore;
  /** The log has it. */
  onEnded: (ended: EndedSession) => void;
}): SessionEnd {
  function grantIdsOf(sessionId: string): string[] {
    const session = projection.findSession(sessionId);
    return session ? projection.sessionGrants(session).map(({ grantId }) => grantId) : [];
  }

  /** null: nothing ends. */
  function endingOf(command: ExpireSession | EndSession, grantIds: readonly string[]): Ending | null {
    const session = projection.findSession(command.sessionId);
    const ended = session && decideSessionEnd(command, { status: 'open', ...session });
    if (!ended) return null;
    const changes: Change[] = [];
    const went: HeldGrant[] = [];
    for (const grantId of grantIds) {
      // What has had its time goes, whatever has become of its key.
      const held = command.type === 'ExpireSession' ? grants.findUnopened(grantId) : grants.find(grantId);
      if (!held) continue;
      const change = grants.changeFor(commandFor(command), held);
      if (!change) return null;
      changes.push(change);
      went.push(held);
    }
    const id = createEventId();
    const event = { metadata: { ...ended, id }, sealed: Buffer.alloc(0) };
    const fact = sessionFact(id, ended, session.principalKey);
    changes.push({ aggregate: command.sessionId, event, replaces: true, tombstone: true, fact });
    return { principalKey: session.principalKey, changes, went };
  }

  /** Grants come with their session and never later: those of now are those that it ends with. */
  async function end(writer: PartitionWriter, command: ExpireSession | EndSession): Promise<Ending | null> {
    const { sessionId } = command;
    const grantIds = grantIdsOf(sessionId);
    const ending = await writer.execute({
      aggregates: [sessionId, ...grantIds],
      decide: () => {
        const decided = endingOf(command, grantIds);
        return { changes: decided?.changes ?? [], result: decided };
      },
    });
    const reason = command.type === 'EndSession' ? command.reason : null;
    if (ending) onEnded({ sessionId, principalKey: ending.principalKey, reason });
    return ending;
  }

  return {
    expire: async (writer, sessionId, at) =>
      (await end(writer, { type: 'ExpireSession', at, sessionId })) !== null,
    revoke: async (writer, sessionId, at, reason) =>
      (await end(writer, { type: 'EndSession', at, sessionId, reason }))?.went ?? null,
  };
}

function commandFor({ type, at }: ExpireSession | EndSession) {
  return type === 'EndSession'
    ? ({ type: 'RevokeGrant', at, reason: 'session-revoked' } as const)
    : ({ type: 'EvictGrant', at, sessionEndsAt: null, linkedIdleMs: 0 } as const);
}
