/**
 * What has nothing left to give goes: sessions whose time is over with their grants, grants whose access and refresh have
 * both expired, and linked accounts that lay idle. Only in partitions that this worker owns, and a limited number at a time, so that requests are not
 * kept waiting when many end together.
 */
import { evictableAt } from './grant/expiry.ts';
import type { GrantStore } from './grant/grant-store.ts';
import type { OutboxWrites } from './outbox/outbox-writes.ts';
import type { PartitionWriter } from './partition/partition-writer.ts';
import type { Projection } from './projection/projection.ts';
import type { GrantRow } from './projection/tables.ts';
import type { LastUses } from './refresh/last-uses.ts';
import type { SessionEnd } from './session/session-end.ts';

export interface Eviction extends Disposable {
  /** One round, as it is made by itself every so often. @returns how many sessions and grants went */
  round(): Promise<number>;
}

interface Options {
  readonly projection: Projection;
  readonly grants: GrantStore;
  readonly sessionEnd: Pick<SessionEnd, 'expire'>;
  readonly lastUses: Pick<LastUses, 'lastUse'>;
  readonly linkedIdleMs: number;
  readonly outbox: Pick<OutboxWrites, 'pending'>;
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
  const { projection, grants, sessionEnd, lastUses, linkedIdleMs } = options;
  const { outbox, writers, now, random, onProblem } = options;
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
      for (const sessionId of sessions) going.push(sessionEnd.expire(writer, sessionId, at));
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
    const usedAt = lastUses.lastUse(grantId);
    if (usedAt !== null && isProlonged(row, usedAt, at)) {
      await grants.execute(writer, grantId, { type: 'RecordUse', at, usedAt });
      return false;
    }
    const session = row.sessionId === null ? null : projection.findSession(row.sessionId);
    // It goes with its session, in the same round or the next.
    if (session && session.endsAt <= at) return false;
    const sessionEndsAt = session?.endsAt ?? null;
    const command = { type: 'EvictGrant', at, sessionEndsAt, linkedIdleMs } as const;
    return (await grants.execute(writer, grantId, command)) !== null;
  }

  /** The log does not know yet of a use that keeps a linked account. */
  function isProlonged(row: GrantRow, usedAt: number, at: number): boolean {
    if (row.sessionId !== null) return false;
    const { expiresAt: accessExpiresAt, refreshable: hasRefreshToken, refreshExpiresAt } = row;
    const bound = { kind: 'linked', idleEndsAt: usedAt + linkedIdleMs } as const;
    return evictableAt({ accessExpiresAt, hasRefreshToken, refreshExpiresAt }, bound) > at;
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
