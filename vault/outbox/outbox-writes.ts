/**
 * Writes to the outbox, those of one moment in one transaction, and what is written while the disk is at work in its next
 * turn: hundreds of outcomes can come in the same second. Nobody waits for a mark, so it goes with the next entry, or a
 * moment later, and before anything is read.
 */
import type { Outbox, OutboxEntry } from './outbox.ts';

type Mark = Parameters<Outbox['markAppended']>;

export interface OutboxWrites extends Pick<Outbox, 'appended' | 'pending' | 'reopen'>, Disposable {
  /** Resolves when the entry is on disk; rejects if it could not be written there. */
  put(entry: OutboxEntry): Promise<void>;
  /** Written soon, or not at all: an entry without its mark is brought in again, which changes nothing. */
  markAppended(...mark: Mark): void;
}

interface Waiting {
  readonly write: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const markDelayMs = 20;

export function createOutboxWrites(outbox: Outbox, onProblem: (error: unknown) => void): OutboxWrites {
  let puts: Waiting[] = [];
  /** Written, and not on disk. */
  let unsynced: Waiting[] = [];
  let isSyncing = false;
  let marks: Mark[] = [];
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const [entries, appended] = [puts, marks];
    [puts, marks] = [[], []];
    if (entries.length + appended.length === 0) return;
    try {
      outbox.transaction(() => {
        for (const { write } of entries) write();
        for (const mark of appended) outbox.markAppended(...mark);
      });
    } catch (error) {
      for (const { reject } of entries) reject(error);
      if (appended.length > 0) onProblem(error);
      return;
    }
    unsynced.push(...entries);
    if (!isSyncing) void sync();
  }

  async function sync(): Promise<void> {
    isSyncing = true;
    while (unsynced.length > 0) {
      const entries = unsynced;
      unsynced = [];
      try {
        await outbox.sync();
        for (const { resolve } of entries) resolve();
      } catch (error) {
        for (const { reject } of entries) reject(error);
      }
    }
    isSyncing = false;
  }

  return {
    put: (entry) =>
      new Promise((resolve, reject) => {
        if (puts.length === 0) setImmediate(flush);
        puts.push({ write: () => outbox.put(entry), resolve, reject });
      }),
    markAppended(...mark) {
      marks.push(mark);
      timer ??= setTimeout(flush, markDelayMs);
    },
    appended(beforeSequence, limit) {
      flush();
      return outbox.appended(beforeSequence, limit);
    },
    pending() {
      flush();
      return outbox.pending();
    },
    reopen(lost) {
      flush();
      outbox.reopen(lost);
    },
    [Symbol.dispose]: flush,
  };
}
