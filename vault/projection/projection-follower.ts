/**
 * Keeps the projection behind the log: every entry is applied with its position in one transaction, many entries at
 * once while there is much to read. It tells when it has come to a given position.
 */

import { streamNames } from '../../schemas/subjects.ts';
import type { EventLog, LogEntry } from '../log/event-log.ts';
import type { DataKeyTable } from '../sealing/data-key-table.ts';
import type { Projection } from './projection.ts';

export interface ProjectionFollower extends AsyncDisposable {
  /** Resolves when both streams were read up to these sequences. Rejects if the follower broke. */
  caughtUp(target: { log: number; keys: number }): Promise<void>;
}

interface Options {
  readonly projection: Projection;
  readonly keyTable: DataKeyTable;
  readonly log: EventLog;
  readonly followKeys: (
    afterSequence: number,
    onKey: (name: string, wrapped: Uint8Array, sequence: number) => void,
    signal: AbortSignal,
  ) => Promise<void>;
  /** The key of a person came, changed, or was destroyed: nothing that was opened with the one before may be kept. */
  readonly onKey: (principalKey: string) => void;
  /** Who took a partition, in the order of the log. */
  readonly onOwner: (partition: number, worker: string) => void;
  /** It reads no further: an event that cannot be read, or a projection that cannot be written. Called once. */
  readonly onBroken: (error: unknown) => void;
}

/** Entries in one transaction at most; a larger one is not faster. */
const maxBatch = 1000;

export function createProjectionFollower({
  projection,
  keyTable,
  log,
  followKeys,
  onKey,
  onOwner,
  onBroken,
}: Options): ProjectionFollower {
  const stop = new AbortController();
  const waiting: { log: number; keys: number; resolve: () => void; reject: (error: unknown) => void }[] = [];
  // Owner markers, and keys that are no person's, cannot be told from others of another log: they are read again.
  const at = {
    log: Math.min(projection.position(streamNames.vault), projection.mark()?.sequence ?? 0),
    keys: Math.min(keyTable.position(), keyTable.mark()?.sequence ?? 0),
  };
  let entries: LogEntry[] = [];
  let keys: { name: string; wrapped: Uint8Array; sequence: number }[] = [];
  let read = { ...at };
  let scheduled = false;
  let failure: unknown;

  function flush(): void {
    scheduled = false;
    if (stop.signal.aborted || failure) return;
    flushKeys();
    projection.transaction(() => {
      for (const entry of entries) projection.apply(entry);
      if (read.log > at.log) {
        projection.setPosition(streamNames.vault, read.log, entries.at(-1)?.event.metadata.at);
      }
    });
    entries = [];
    keys = [];
    Object.assign(at, read);
    for (const waiter of [...waiting]) {
      if (at.log < waiter.log || at.keys < waiter.keys) continue;
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.resolve();
    }
  }

  function flushKeys(): void {
    if (read.keys <= at.keys) return;
    keyTable.transaction(() => {
      for (const { name, wrapped, sequence } of keys) keyTable.apply(name, wrapped, sequence);
      keyTable.setPosition(read.keys);
    });
    for (const { name } of keys) onKey(name);
  }

  const isAwaited = () => waiting.some((target) => read.log >= target.log && read.keys >= target.keys);

  function schedule(): void {
    if (entries.length + keys.length >= maxBatch || isAwaited()) {
      flush();
    } else if (!scheduled) {
      scheduled = true;
      setTimeout(() => {
        try {
          flush();
        } catch (error) {
          broke(error);
        }
      }, 5);
    }
  }

  function broke(error: unknown): void {
    if (stop.signal.aborted || failure) return;
    failure = error;
    for (const waiter of waiting.splice(0)) waiter.reject(error);
    onBroken(error);
  }

  const following = Promise.all([
    log.follow(
      at.log,
      {
        onEntry: (entry) => entries.push(entry),
        onOwner,
        onPosition: (sequence) => {
          read = { ...read, log: sequence };
          schedule();
        },
      },
      stop.signal,
    ),
    followKeys(
      at.keys,
      (name, wrapped, sequence) => {
        keys.push({ name, wrapped, sequence });
        read = { ...read, keys: sequence };
        schedule();
      },
      stop.signal,
    ),
  ]).catch(broke);

  return {
    caughtUp({ log: logTarget, keys: keysTarget }) {
      if (failure) return Promise.reject(failure);
      if (at.log >= logTarget && at.keys >= keysTarget) return Promise.resolve();
      return new Promise((resolve, reject) => {
        waiting.push({ log: logTarget, keys: keysTarget, resolve, reject });
      });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      // A read that waits for a NATS that is away is not worth waiting for.
      await Promise.race([following, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
    },
  };
}
