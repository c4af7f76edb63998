/**
 * Which worker should own which partition: at most ceil(P/n) each, and no partition moves that need not. A worker keeps
 * what it holds up to that limit; what nobody holds goes to workers below it. Who comes first is decided by rendezvous
 * weights (Thaler and Ravishankar, 1998), so that every worker that sees the same leases comes to the same result.
 */
import { createHash } from 'node:crypto';

/**
 * @param holders the live workers with the partitions that each holds now
 * @returns for each partition the worker that should own it; empty if there are no workers
 */
export function assignPartitions(
  holders: ReadonlyMap<string, readonly number[]>,
  partitions: number,
): Map<number, string> {
  const assigned = new Map<number, string>();
  if (holders.size === 0) return assigned;
  const limit = Math.ceil(partitions / holders.size);
  const counts = new Map([...holders.keys()].map((worker) => [worker, 0]));
  const all = Array.from({ length: partitions }, (_, partition) => partition);

  function assign(wishes: readonly Wish[]): void {
    for (const { worker, partition } of wishes.toSorted(byWeight)) {
      const count = counts.get(worker)!;
      if (count >= limit || assigned.has(partition)) continue;
      assigned.set(partition, worker);
      counts.set(worker, count + 1);
    }
  }

  assign([...holders].flatMap(([worker, held]) => held.map((partition) => wishOf(worker, partition))));
  const free = all.filter((partition) => !assigned.has(partition));
  assign([...holders.keys()].flatMap((worker) => free.map((partition) => wishOf(worker, partition))));
  return assigned;
}

interface Wish {
  readonly worker: string;
  readonly partition: number;
  readonly weight: number;
}

function wishOf(worker: string, partition: number): Wish {
  const weight = createHash('sha256').update(`${worker}\0${partition}`).digest().readUIntBE(0, 6);
  return { worker, partition, weight };
}

/** The strongest wish of all first, whoever has it: no partition and no worker has an advantage by its number. */
function byWeight(a: Wish, b: Wish): number {
  return b.weight - a.weight || a.partition - b.partition || (a.worker < b.worker ? -1 : 1);
}
