/**
 * What is asked of a partition that this worker is about to own waits here, until the log was read up to the worker's
 * marker: else everybody would ask again and again whether the hand-over is over. Nothing is done for it before.
 */
import { RefusedError } from '../../schemas/failure.ts';
import { createTurns } from '../../schemas/turns.ts';

export interface Door {
  /**
   * Done at once where the door is open.
   * @param work is told how long it waited, milliseconds
   * @throws RefusedError `not-owner` it does not open
   */
  pass<Result>(work: (waitedMs: number) => Result): Result | Promise<Awaited<Result>>;
  open(): void;
  /** For good. */
  close(): void;
}

interface Waiting {
  readonly enter: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Of all who waited at one door, milliseconds; then something else has its turn. */
const turnMs = 5;

export function createDoor(): Door {
  let state: 'waited-for' | 'open' | 'closed' = 'waited-for';
  let waiting: Waiting[] = [];

  const notOwner = () => new RefusedError('not-owner', 'this worker does not own the partition');

  function leave(next: 'open' | 'closed'): Waiting[] {
    state = next;
    const left = waiting;
    waiting = [];
    return left;
  }

  return {
    pass<Result>(work: (waitedMs: number) => Result) {
      if (state === 'open') return work(0);
      if (state === 'closed') throw notOwner();
      const since = performance.now();
      return new Promise<Awaited<Result>>((resolve, reject) => {
        const enter = () => {
          try {
            resolve(work(performance.now() - since) as Awaited<Result>);
          } catch (error) {
            reject(error);
          }
        };
        waiting.push({ enter, refuse: reject });
      });
    },
    open() {
      const turns = createTurns({ turnMs, maxWaitMs: Number.POSITIVE_INFINITY });
      for (const { enter } of leave('open')) turns.take(enter);
    },
    close() {
      for (const { refuse } of leave('closed')) refuse(notOwner());
    },
  };
}
