/** Leases in memory. */
import type { Lease, LeaseEntry, LeaseStore } from '../../../vault/ownership/lease-store.ts';

export interface MemoryLeases extends LeaseStore {
  /** Those who listen hear this, whatever is stored. */
  tell(lease: Lease): void;
}

/** Without others the worker is alone, and whatever it gives up is its own again. */
export function openMemoryLeases(others: readonly Lease[] = []): MemoryLeases {
  let revision = others.length;
  const entries = new Map<string, LeaseEntry>(
    others.map((lease, place) => [lease.worker, { lease, revision: place + 1 }]),
  );
  const listeners = new Set<Parameters<LeaseStore['onWrite']>[0]>();
  const tell = (lease: Lease) => listeners.forEach((listener) => void listener(lease.worker, lease));
  return {
    tell,
    list: async () => [...entries.values()],
    async write(lease: Lease, expected) {
      if ((entries.get(lease.worker)?.revision ?? 0) !== expected) return null;
      revision += 1;
      entries.set(lease.worker, { lease, revision });
      tell(lease);
      return revision;
    },
    remove: async (worker) => void entries.delete(worker),
    onWrite(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
