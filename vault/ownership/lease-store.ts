/** The leases of all workers, one record each, changed only under the revision that was read. */
import * as z from 'zod';
import { bootIdSchema } from '../../schemas/ids.ts';

export const leaseSchema = z.object({
  worker: bootIdSchema,
  /** `dead`: a contender saw no renewal for too long. Its worker must not answer any more. */
  status: z.enum(['live', 'dead']),
  /** The worker stops, and takes nothing more: what it still holds goes to others as it gives it up. */
  leaving: z.boolean().default(false),
  /** The partitions that the worker holds or is about to take: nobody else may take them while it lives. */
  owns: z.array(z.int().min(0)),
  /**
   * The formats of stored events that the worker reads. Whoever can write several writes the newest that all live workers
   * read, so that workers are upgraded one after another. A lease that does not say it is of one that reads the first.
   */
  reads: z.array(z.int().min(1)).default([1]),
});
export type Lease = z.infer<typeof leaseSchema>;

export interface LeaseEntry {
  readonly lease: Lease;
  readonly revision: number;
}

export interface LeaseStore {
  /** From the leader. @throws if the store does not answer */
  list(): Promise<LeaseEntry[]>;
  /**
   * @param expected the revision that the record has; 0: none
   * @returns the new revision; null if the record has another one
   */
  write(lease: Lease, expected: number): Promise<number | null>;
  remove(worker: string): Promise<void>;
  /** Calls back with each write, also one's own; null for a lease that was removed. */
  onWrite(listener: (worker: string, lease: Lease | null) => void): () => void;
}
