/**
 * A requester repeats its request while it waits. The same command id joins the work that is under way, and gets the
 * first outcome for a minute after it.
 */
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../schemas/failure.ts';

export interface CommandMemory {
  once<Result>(commandId: string, work: () => Promise<Result>): Promise<Result>;
  /** Resolves when no work runs any more. */
  settled(): Promise<void>;
}

export function createCommandMemory({ keepMs = 60_000, max = 10_000 } = {}): CommandMemory {
  const running = new Map<string, Promise<unknown>>();
  const outcomes = new LRUCache<string, Promise<unknown>>({ max, ttl: keepMs });
  return {
    once<Result>(commandId: string, work: () => Promise<Result>): Promise<Result> {
      const known = running.get(commandId) ?? outcomes.get(commandId);
      if (known) return known as Promise<Result>;
      const begun = work();
      running.set(commandId, begun);
      const end = (final: boolean) => {
        running.delete(commandId);
        if (final) outcomes.set(commandId, begun);
      };
      begun.then(
        () => end(true),
        // What failed without an effect may be tried again under the same id.
        (error) => end(error instanceof RefusedError && !error.retryable),
      );
      return begun;
    },

    async settled() {
      while (running.size > 0) await Promise.allSettled(running.values());
    },
  };
}
