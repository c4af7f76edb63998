/**
 * A flood of requests takes turns with everything else that the process has to do: the socket gives thousands of messages
 * in one turn of the event loop, and timers, leases and the answers of the log would wait for the last of them. What has
 * waited so long that its requester gave it up is not done.
 */

interface Waiting {
  readonly work: (since: number) => void;
  readonly since: number;
}

export interface Turns {
  /**
   * Does the work at once, or in one of the next turns.
   * @param work is told when it came, by `performance.now()`
   */
  take(work: (since: number) => void): void;
  /** Resolves when all that was taken before has had its turn, whatever comes after it. */
  taken(): Promise<void>;
}

export function createTurns({
  turnMs,
  maxWaitMs,
}: {
  /** How long the work of one turn may take, milliseconds. */
  readonly turnMs: number;
  /** What waited longer is dropped, milliseconds. */
  readonly maxWaitMs: number;
}): Turns {
  let waiting: Waiting[] = [];
  /** Null between turns. */
  let endsAt: number | null = null;

  function begin(): number {
    endsAt = performance.now() + turnMs;
    setImmediate(end);
    return endsAt;
  }

  function end(): void {
    endsAt = null;
    if (waiting.length === 0) return;
    const until = begin();
    let [done, now] = [0, performance.now()];
    for (; done < waiting.length && now < until; done++) {
      const { work, since } = waiting[done]!;
      if (now - since > maxWaitMs) continue;
      work(since);
      now = performance.now();
    }
    waiting = waiting.slice(done);
  }

  return {
    take(work) {
      const now = performance.now();
      if (waiting.length === 0 && now < (endsAt ?? begin())) work(now);
      else waiting.push({ work, since: now });
    },
    taken() {
      return new Promise((resolve) => {
        if (waiting.length === 0) resolve();
        // It waits for ever if need be, and is never dropped.
        else waiting.push({ work: () => resolve(), since: Number.POSITIVE_INFINITY });
      });
    },
  };
}
