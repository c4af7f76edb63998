/**
 * Refreshes ahead of their expiry the grants that were used lately, so that a request never waits for it. SQLite knows
 * which grants expire when; in memory are those of the next two minutes or so that are worth a refresh. Each gets a
 * moment of its own: ten thousand that expire together do not come to their provider together.
 */
import { refreshableFrom } from '../grant/expiry.ts';
import type { Projection } from '../projection/projection.ts';
import type { ExpiringGrant, ExpiryPlace } from '../projection/row-queries.ts';
import { type Rounds, startRounds } from '../rounds.ts';
import type { LastUses } from './last-uses.ts';
import type { Refresher } from './refresher.ts';

interface Options {
  readonly projection: Pick<Projection, 'expiringGrants'>;
  readonly lastUses: Pick<LastUses, 'isUsedSince'>;
  readonly refresher: Pick<Refresher, 'refresh'>;
  /** Those that this worker owns right now. */
  readonly partitions: () => readonly number[];
  readonly aheadMs: number;
  readonly usedWithinMs: number;
  readonly now: () => number;
  /** 0 up to 1: the moment of each grant. */
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  readonly everyMs?: number;
  /** How many grants are read in one round, of each partition. */
  readonly limit?: number;
}

interface Due {
  readonly partition: number;
  readonly grantId: string;
  readonly expiresAt: number;
  readonly dueAt: number;
}

export function startRefreshSchedule(options: Options): Rounds<void> {
  const { projection, lastUses, refresher, partitions, aheadMs, usedWithinMs, now, random } = options;
  const { onProblem, everyMs = 1000, limit = 200 } = options;
  const places = new Map<number, ExpiryPlace>();
  let scheduled: Due[] = [];
  let stopped = false;

  /** Between twice the time ahead and once, but not in the first half of a token's life. */
  function dueAt(grant: ExpiringGrant): number {
    const latest = refreshableFrom(grant, aheadMs);
    const earliest = Math.max(latest - aheadMs, (grant.obtainedAt + grant.expiresAt) / 2);
    return latest - random() * Math.max(0, latest - earliest);
  }

  /** What comes into reach; each grant is looked at once for each expiry. */
  function read(partition: number, at: number): void {
    const until = at + 2 * aheadMs;
    const found = projection.expiringGrants(
      partition,
      places.get(partition) ?? { expiresAt: at, row: 0 },
      until,
      limit,
    );
    for (const grant of found) {
      if (grant.expiresAt <= at || !lastUses.isUsedSince(grant.grantId, at - usedWithinMs)) continue;
      const { grantId, expiresAt } = grant;
      scheduled.push({ partition, grantId, expiresAt, dueAt: dueAt(grant) });
    }
    const last = found.length < limit ? { expiresAt: until, row: Number.MAX_SAFE_INTEGER } : found.at(-1)!;
    places.set(partition, { expiresAt: last.expiresAt, row: last.row });
  }

  function round(): void {
    const at = now();
    const owned = new Set(partitions());
    for (const partition of places.keys()) if (!owned.has(partition)) places.delete(partition);
    for (const partition of owned) read(partition, at);
    const due = scheduled.filter((each) => each.dueAt <= at && owned.has(each.partition));
    scheduled = scheduled.filter((each) => each.dueAt > at && owned.has(each.partition));
    for (const { partition, grantId, expiresAt } of due) {
      // As the expiry was: a grant that was refreshed meanwhile is let alone.
      const need = { neededUntil: expiresAt, rejectedVersion: null };
      refresher.refresh(partition, grantId, need, 'background').catch((error) => {
        if (!stopped) onProblem(error);
      });
    }
  }

  const rounds = startRounds(round, everyMs, onProblem);
  return {
    round,
    [Symbol.dispose]() {
      stopped = true;
      rounds[Symbol.dispose]();
    },
  };
}
