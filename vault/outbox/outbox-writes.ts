/**
 * Writes to the outbox, those of one moment in one transaction: each commit waits for the disk, and hundreds of outcomes
 * can come in the same second.
 */
import type { Outbox, OutboxEntry } from './outbox.ts';

type Mark = Parameters<Outbox['markAppended']>;

export interface OutboxWrites extends Disposable {
  /** Resolves when the entry is on disk; rejects if it could not be written. */
  put(entry: OutboxEntry): Promise<void>;
  /** Resolves when it is done, or could not be; an entry without its mark is brought in again, which changes nothing. */
  markAppended(...mark: Mark): Promise<void>;
}

interface Waiting {
  readonly write: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export function createOutboxWrites(outbox: Outbox, onProblem: (error: unknown) => void): OutboxWrites {
  let waiting: Waiting[] = [];

  function add(one: Waiting): void {
    if (waiting.length === 0) setImmediate(flush);
    waiting.push(one);
  }

  function flush(): void {
    const group = waiting;
    waiting = [];
    if (group.length === 0) return;
    try {
      outbox.transaction(() => {
        for (const { write } of group) write();
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    for (const { resolve } of group) resolve();
  }

  return {
    put: (entry) =>
      new Promise((resolve, reject) => add({ write: () => outbox.put(entry), resolve, reject })),
    markAppended: (...mark) =>
      new Promise((resolve) => {
        const reject = (error: unknown) => {
          onProblem(error);
          resolve();
        };
        add({ write: () => outbox.markAppended(...mark), resolve, reject });
      }),
    [Symbol.dispose]: flush,
  };
}
