/**
 * When each grant was used last, coarsely, in the memory of the owner: a look-up writes nothing. What was used longest
 * ago is forgotten first; after a change of owner a grant counts as used when it is asked for again. Of linked accounts
 * the log is to know it too, once a day: those are kept here until they are written.
 */
import { LRUCache } from 'lru-cache';

export interface LastUses {
  /** @param recordedAt the last use of a linked account that the log knows; null: a session's grant */
  note(grantId: string, at: number, recordedAt?: number | null): void;
  /** null: not that anybody here knows. */
  lastUse(grantId: string): number | null;
  isUsedSince(grantId: string, time: number): boolean;
  /** Linked accounts whose use the log is to know; each is taken once. */
  takeUnrecorded(limit: number): { readonly grantId: string; readonly usedAt: number }[];
}

const recordEveryMs = 24 * 3_600_000;

export function createLastUses({ max = 100_000, coarseMs = 10_000 } = {}): LastUses {
  const uses = new LRUCache<string, number>({ max });
  const unrecorded = new Map<string, number>();
  return {
    note(grantId, at, recordedAt = null) {
      const known = uses.get(grantId);
      if (known !== undefined && at - known < coarseMs) return;
      uses.set(grantId, at);
      if (recordedAt !== null && at - recordedAt >= recordEveryMs) unrecorded.set(grantId, at);
    },
    lastUse: (grantId) => uses.peek(grantId) ?? null,
    isUsedSince: (grantId, time) => (uses.peek(grantId) ?? Number.NEGATIVE_INFINITY) >= time - coarseMs,
    takeUnrecorded(limit) {
      const taken = [...unrecorded.entries().take(limit)];
      return taken.map(([grantId, usedAt]) => {
        unrecorded.delete(grantId);
        return { grantId, usedAt };
      });
    },
  };
}
