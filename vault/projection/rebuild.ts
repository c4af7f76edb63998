/**
 * Builds the files of a worker that has read nothing yet, from the beginning of the streams. To write is more work than
 * one processor core does while another reads: the reader is here, and each file has a thread that writes it, which also
 * keeps the worker answering NATS meanwhile. Killed in between, the files are empty again and it begins anew.
 */
import { Worker } from 'node:worker_threads';
import type { NatsConnection } from 'nats';
import { streamNames, streamSubjects } from '../../schemas/subjects.ts';
import { VaultError } from '../errors.ts';
import { followStream } from '../log/stream-follower.ts';
import { createPartMemory, createPartWriter } from './part-ring.ts';
import type { RebuildOrder, ThreadOrder } from './rebuild-thread.ts';

/** What a thread holds is in SQLite; JavaScript has no need of more, MiB. */
const threadHeap = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 };

const beginnings = {
  log: { stream: streamNames.vault, filterSubject: streamSubjects.log, afterSequence: 0 },
  keys: { stream: streamNames.keys, filterSubject: streamSubjects.keys, afterSequence: 0 },
};

/**
 * @param orders one for each file, with the last sequence to be read of its stream
 * @throws VaultError `projection-failed`
 */
export async function rebuildFiles(
  connection: NatsConnection,
  orders: readonly (RebuildOrder & { readonly until: number })[],
): Promise<void> {
  const stop = new AbortController();
  const files = orders.map((order) => rebuildFile(connection, order, order.until, stop.signal));
  try {
    await Promise.all(files);
  } catch (cause) {
    throw new VaultError('projection-failed', 'the projection cannot be built from the log', { cause });
  } finally {
    stop.abort();
    await Promise.allSettled(files);
  }
}

async function rebuildFile(
  connection: NatsConnection,
  order: RebuildOrder,
  until: number,
  stop: AbortSignal,
): Promise<void> {
  const memory = createPartMemory();
  const workerData: ThreadOrder = { ...order, memory };
  const thread = new Worker(new URL('./rebuild-thread.ts', import.meta.url), {
    workerData,
    resourceLimits: threadHeap,
  });
  stop.addEventListener('abort', () => void thread.terminate(), { once: true });
  const parts = createPartWriter(memory, (part) => thread.postMessage(part));
  const written = new Promise<void>((resolve, reject) => {
    thread.once('error', reject);
    thread.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the writing thread ended'))));
  });

  async function read(): Promise<void> {
    const ended = new AbortController();
    let part = parts.begin();
    await followStream(
      connection,
      beginnings[order.stream],
      (message) => {
        if (ended.signal.aborted) return;
        if (!parts.add(part, message)) {
          parts.give(part);
          part = parts.begin();
          parts.add(part, message);
        }
        if (message.seq < until) return;
        part.isLast = true;
        parts.give(part);
        ended.abort();
      },
      AbortSignal.any([ended.signal, stop]),
    );
  }

  try {
    await Promise.race([Promise.all([read(), written]), written]);
  } finally {
    await thread.terminate();
  }
}
