/**
 * Builds the files of a worker that has read nothing yet, from the beginning of both streams. Reading and writing are
 * each as much work as one processor core does: the reader is here, the writer is a thread of its own, which also keeps
 * the worker answering NATS while it writes. Killed in between, the files are empty again and it begins anew.
 */
import { Worker } from 'node:worker_threads';
import type { NatsConnection } from 'nats';
import { streamNames, streamSubjects } from '../../schemas/subjects.ts';
import { VaultError } from '../errors.ts';
import { followStream } from '../log/stream-follower.ts';
import { createPartMemory, createPartWriter } from './part-ring.ts';
import type { RebuildOrder } from './rebuild-thread.ts';

interface Options extends Omit<RebuildOrder, 'streams' | 'memory'> {
  readonly connection: NatsConnection;
  /** The last sequence to be read of each stream that has to be read. */
  readonly until: { readonly log?: number; readonly keys?: number };
}

/** What the thread holds is in SQLite; JavaScript has no need of more, MiB. */
const threadHeap = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 };

const beginnings = {
  log: { stream: streamNames.vault, filterSubject: streamSubjects.log, afterSequence: 0 },
  keys: { stream: streamNames.keys, filterSubject: streamSubjects.keys, afterSequence: 0 },
};

/** @throws VaultError `projection-failed` */
export async function rebuildFiles({ connection, until, ...files }: Options): Promise<void> {
  const streams = (['log', 'keys'] as const).filter((stream) => until[stream] !== undefined);
  const memory = createPartMemory();
  const workerData: RebuildOrder = { ...files, streams, memory };
  const thread = new Worker(new URL('./rebuild-thread.ts', import.meta.url), {
    workerData,
    resourceLimits: threadHeap,
  });
  const stop = new AbortController();
  const parts = createPartWriter(memory, (part) => thread.postMessage(part));
  const written = new Promise<void>((resolve, reject) => {
    thread.once('error', reject);
    thread.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the writing thread ended'))));
  });

  async function read(stream: 'log' | 'keys'): Promise<void> {
    const last = until[stream]!;
    const ended = new AbortController();
    let part = parts.begin(stream);
    await followStream(
      connection,
      beginnings[stream],
      (message) => {
        if (ended.signal.aborted) return;
        if (!parts.add(part, message)) {
          parts.give(part);
          part = parts.begin(stream);
          parts.add(part, message);
        }
        if (message.seq < last) return;
        part.isLast = true;
        parts.give(part);
        ended.abort();
      },
      AbortSignal.any([ended.signal, stop.signal]),
    );
  }

  try {
    await Promise.race([Promise.all([...streams.map(read), written]), written]);
  } catch (cause) {
    throw new VaultError('projection-failed', 'the projection cannot be built from the log', { cause });
  } finally {
    stop.abort();
    await thread.terminate();
  }
}
