/**
 * What has nothing left to give goes: sessions whose time is over with their grants, and grants whose access and refresh
 * have both expired. Only in partitions that this worker owns, and a limited number at a time, so that requests are not
 * kept waiting when many end together.
 */
import type { GrantStore } from './grant/grant-store.ts';
import type { Outbox } from './outbox/outbox.ts';
import type { PartitionWriter } from './partition/partition-writer.ts';
import type { Projection } from './projection/projection.ts';
import type { ExpireSessionInLog } from './session/session-expiry.ts';

export interface Eviction extends Disposable {
  /** One round, as it is made by itself every so often. @returns how many sessions and grants went */
  round(): Promise<number>;
}

interface Options {
  readonly projection: Projection;
  readonly grants: GrantStore;
  readonly expireSession: ExpireSessionInLog;
  readonly outbox: Pick<Outbox, 'pending'>;
  /** Of the partitions that this worker owns right now. */
  readonly writers: () => readonly PartitionWriter[];
  readonly now: () => number;
  /** 0 up to 1: the rounds of many workers do not fall together. */
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  readonly everyMs?: number;
  readonly limit?: number;
}

export function startEviction(options: Options): Eviction {
  const { projection, grants, expireSession, outbox, writers, now, random, onProblem } = options;
  const { everyMs = 30_000, limit = 500 } = options;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function round(): Promise<number> {
    const at = now();
    // What a provider gave and the log does not have yet may prolong a grant.
    const prolonged = new Set(outbox.pending().map(({ grantId }) => grantId));
    let left = limit;
    const going: Promise<boolean>[] = [];
    for (const writer of shuffled(writers(), random)) {
      if (left <= 0) break;
      const sessions = projection.endedSessions(writer.partition, at, left);
      for (const sessionId of sessions) going.push(expireSession(writer, sessionId, at));
      left -= sessions.length;
      const ids = projection.evictableGrants(writer.partition, at, Math.max(left, 0));
      for (const id of ids) if (!prolonged.has(id)) going.push(evictGrant(writer, id, at));
      left -= ids.length;
    }
    const outcomes = await Promise.allSettled(going);
    for (const outcome of outcomes) if (outcome.status === 'rejected') onProblem(outcome.reason);
    return outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value).length;
  }

  async function evictGrant(writer: PartitionWriter, grantId: string, at: number): Promise<boolean> {
    const row = projection.findGrant(grantId);
    if (!row) return false;
    const session = projection.findSession(row.sessionId);
    // It goes with its session, in the same round or the next.
    if (session && session.endsAt <= at) return false;
    const command = { type: 'EvictGrant', at, sessionEndsAt: session?.endsAt ?? null } as const;
    return (await grants.execute(writer, grantId, command)) !== null;
  }

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => round().catch(onProblem).finally(schedule), everyMs * (0.5 + random()));
    timer.unref();
  }

  schedule();
  return {
    round,
    [Symbol.dispose]() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** A limit that is reached again and again must not always leave out the same partitions. */
function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
