/** The partitions that this worker owns right now: since when, and through what each is written. */
import { RefusedError } from '../../schemas/failure.ts';
import type { VaultError } from '../errors.ts';
import type { EventLog, PartitionOwnership } from '../log/event-log.ts';
import { createPartitionWriter, type PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';

export interface HeldPartitions {
  /** @throws RefusedError `not-owner` */
  writerOf(partition: number): PartitionWriter;
  has(partition: number): boolean;
  partitions(): number[];
  writers(): PartitionWriter[];
  /** The one that was taken last; null: none is held. */
  newest(): PartitionOwnership | null;
  /**
   * A claim of a former owner runs anew from when this one first saw it: the clocks of two machines differ.
   * @param sequence of the claim's event
   * @returns before this time the claim is not over, whatever its own deadline says; 0: no such time
   */
  claimEndsAfter(partition: number, sequence: number): number;
  take(ownership: PartitionOwnership): void;
  /** Resolves when what was being written has come to its end. */
  release(partition: number): Promise<void>;
}

interface Options {
  readonly worker: string;
  readonly log: EventLog;
  readonly projection: Projection;
  readonly claimMs: number;
  readonly now: () => number;
  readonly onLost: (partition: number, error: VaultError) => void;
  /** The worker stops. */
  readonly signal: AbortSignal;
}

interface Held extends PartitionOwnership {
  readonly writer: PartitionWriter;
  readonly takenAt: number;
}

export function createHeldPartitions(options: Options): HeldPartitions {
  const { worker, log, projection, claimMs, now, onLost, signal } = options;
  const held = new Map<number, Held>();
  return {
    writerOf(partition) {
      const found = held.get(partition);
      if (!found) throw new RefusedError('not-owner', 'this worker does not own the partition');
      return found.writer;
    },
    has: (partition) => held.has(partition),
    partitions: () => [...held.keys()],
    writers: () => [...held.values()].map(({ writer }) => writer),
    newest: () => [...held.values()].sort((a, b) => b.epoch - a.epoch)[0] ?? null,
    claimEndsAfter(partition, sequence) {
      const found = held.get(partition);
      return found && sequence < found.epoch ? found.takenAt + claimMs : 0;
    },
    take(ownership) {
      const { partition } = ownership;
      const writer = createPartitionWriter({
        ...{ ownership, worker, log, projection, signal },
        onLost: (error) => onLost(partition, error),
      });
      held.set(partition, { ...ownership, writer, takenAt: now() });
    },
    async release(partition) {
      const found = held.get(partition);
      held.delete(partition);
      await found?.writer.close();
    },
  };
}
