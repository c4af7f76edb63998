/**
 * Uses refresh tokens of linked accounts before they expire of idleness, for people who come back: of an account that was
 * used within its idle time, and of no other. SQLite knows which is due when, spread over a quarter of its life, so that
 * accounts that were linked together do not come to their provider together; its limits hold here as for every refresh.
 */
import type { Projection } from '../projection/projection.ts';
import type { KeepAlivePlace, KeptAliveGrant } from '../projection/row-queries.ts';
import { type Rounds, startRounds } from '../rounds.ts';
import type { LastUses } from './last-uses.ts';
import type { Refresher } from './refresher.ts';

interface Options {
  readonly projection: Pick<Projection, 'keptAliveGrants'>;
  readonly lastUses: Pick<LastUses, 'lastUse'>;
  readonly refresher: Pick<Refresher, 'refresh'>;
  /** Those that this worker owns right now. */
  readonly partitions: () => readonly number[];
  readonly linkedIdleMs: number;
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
  readonly everyMs?: number;
  /** How many grants are read in one round, of each partition. */
  readonly limit?: number;
}

const beginning: KeepAlivePlace = { from: 0, row: 0 };

export function startKeepAlive(options: Options): Rounds<void> {
  const { projection, lastUses, refresher, partitions, linkedIdleMs, now, onProblem } = options;
  const { everyMs = 60_000, limit = 200 } = options;
  const places = new Map<number, KeepAlivePlace>();
  let stopped = false;

  function isUsed({ grantId, usedAt }: KeptAliveGrant, at: number): boolean {
    return Math.max(usedAt, lastUses.lastUse(grantId) ?? 0) > at - linkedIdleMs;
  }

  /** What could not be refreshed stays due, and is come by again when the others were. */
  function readDue(partition: number, at: number): KeptAliveGrant[] {
    const found = projection.keptAliveGrants(partition, at, places.get(partition) ?? beginning, limit);
    places.set(partition, found.length < limit ? beginning : found.at(-1)!);
    return found.filter((grant) => isUsed(grant, at));
  }

  function round(): void {
    const at = now();
    for (const partition of partitions()) {
      for (const { grantId, version } of readDue(partition, at)) {
        const need = { neededUntil: at, rejectedVersion: null, keepAliveVersion: version };
        refresher.refresh(partition, grantId, need, 'background').catch((error) => {
          if (!stopped) onProblem(error);
        });
      }
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
