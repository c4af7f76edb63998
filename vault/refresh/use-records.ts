/**
 * Has the log know that linked accounts are used, for the time after which an idle one goes counts from there: behind
 * the look-ups, many in one batch, once a day for each. What could not be written is noted at the next use again.
 */
import type { GrantStore } from '../grant/grant-store.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import { type Rounds, startRounds } from '../rounds.ts';
import type { LastUses } from './last-uses.ts';

interface Options {
  readonly projection: Pick<Projection, 'findGrant'>;
  readonly lastUses: Pick<LastUses, 'takeUnrecorded'>;
  readonly grants: Pick<GrantStore, 'execute'>;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
  readonly everyMs?: number;
  readonly limit?: number;
}

/** @returns rounds that say how many uses were written */
export function startUseRecords(options: Options): Rounds<Promise<number>> {
  const { projection, lastUses, grants, writerOf, now, onProblem } = options;
  const { everyMs = 10_000, limit = 1000 } = options;

  async function record(grantId: string, usedAt: number): Promise<boolean> {
    const row = projection.findGrant(grantId);
    if (!row) return false;
    const command = { type: 'RecordUse', at: now(), usedAt } as const;
    return (await grants.execute(writerOf(row.partition), grantId, command)) !== null;
  }

  async function round(): Promise<number> {
    const due = lastUses.takeUnrecorded(limit);
    const outcomes = await Promise.allSettled(due.map(({ grantId, usedAt }) => record(grantId, usedAt)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') onProblem(outcome.reason);
    return outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value).length;
  }

  return startRounds(round, everyMs, onProblem);
}
