/**
 * Ends a session whose time is over, with all of its grants in one atomic step: neither is ever left without the other.
 */
import { createEventId } from '../../schemas/ids.ts';
import { sessionFact } from '../grant/facts.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import { decideSessionEnd, type ExpireSession } from './session.ts';

export type ExpireSessionInLog = (writer: PartitionWriter, sessionId: string, at: number) => Promise<boolean>;

export function createSessionExpiry({
  projection,
  grants,
}: {
  projection: Projection;
  grants: GrantStore;
}): ExpireSessionInLog {
  function changesOf(command: ExpireSession, declared: ReadonlySet<string>): Change[] {
    const session = projection.findSession(command.sessionId);
    if (!session) return [];
    const ended = decideSessionEnd(command, { status: 'open', ...session });
    if (!ended) return [];
    const changes: Change[] = [];
    for (const { grantId } of projection.sessionGrants(session)) {
      const held = declared.has(grantId) ? grants.find(grantId) : null;
      const evict = { type: 'EvictGrant', at: command.at, sessionEndsAt: null } as const;
      const evicted = held && grants.changeFor(evict, held);
      // A grant that came meanwhile, or one whose refresh is under way: the session waits for it.
      if (!evicted) return [];
      changes.push(evicted);
    }
    const id = createEventId();
    const event = { metadata: { ...ended, id }, sealed: Buffer.alloc(0) };
    const fact = sessionFact(id, ended, session.principalKey);
    return [...changes, { aggregate: command.sessionId, event, replaces: true, tombstone: true, fact }];
  }

  return (writer, sessionId, at) => {
    const session = projection.findSession(sessionId);
    const grantIds = session ? projection.sessionGrants(session).map(({ grantId }) => grantId) : [];
    return writer.execute({
      aggregates: [sessionId, ...grantIds],
      decide: () => {
        const changes = changesOf({ type: 'ExpireSession', at, sessionId }, new Set(grantIds));
        return { changes, result: changes.length > 0 };
      },
    });
  };
}
