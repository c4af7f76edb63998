/**
 * When each grant was used last, coarsely, in the memory of the owner: a look-up writes nothing. What was used longest
 * ago is forgotten first; after a change of owner a grant counts as used when it is asked for again.
 */
import { LRUCache } from 'lru-cache';

export interface LastUses {
  note(grantId: string, at: number): void;
  isUsedSince(grantId: string, time: number): boolean;
}

export function createLastUses({ max = 100_000, coarseMs = 10_000 } = {}): LastUses {
  const uses = new LRUCache<string, number>({ max });
  return {
    note(grantId, at) {
      const known = uses.get(grantId);
      if (known === undefined || at - known >= coarseMs) uses.set(grantId, at);
    },
    isUsedSince: (grantId, time) => (uses.peek(grantId) ?? Number.NEGATIVE_INFINITY) >= time - coarseMs,
  };
}
