/**
 * A requester repeats its request while it waits. The same command id joins the work that is under way, and gets the
 * first outcome for a minute after it.
 */
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../schemas/failure.ts';

export interface CommandMemory {
  once<Result>(commandId: string, work: () => Promise<Result>): Promise<Result>;
}

export function createCommandMemory({ keepMs = 60_000, max = 10_000 } = {}): CommandMemory {
  const outcomes = new LRUCache<string, Promise<unknown>>({ max, ttl: keepMs });
  return {
    once<Result>(commandId: string, work: () => Promise<Result>): Promise<Result> {
      const known = outcomes.get(commandId);
      if (known) return known as Promise<Result>;
      const begun = work();
      outcomes.set(commandId, begun);
      // What failed without an effect may be tried again under the same id.
      begun.catch((error) => {
        const final = error instanceof RefusedError && !error.retryable;
        if (!final) outcomes.delete(commandId);
      });
      return begun;
    },
  };
}
