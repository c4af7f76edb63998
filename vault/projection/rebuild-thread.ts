/**
 * The writing half of a rebuild: decodes what the reader hands over, writes it into the empty file, and ends when that is
 * whole.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { streamNames } from '../../schemas/subjects.ts';
import { logEntryOf } from '../log/log-entry.ts';
import type { FollowedMessage } from '../log/stream-follower.ts';
import { openDataKeyTable } from '../sealing/data-key-table.ts';
import { type Part, type PartMemory, releaseAll, takePart } from './part-ring.ts';
import { openProjection } from './projection.ts';
import type { StreamIncarnation } from './projection-file.ts';

interface ProjectionOrder {
  readonly stream: 'log';
  readonly file: string;
  readonly log: StreamIncarnation;
  readonly linkedIdleMs: number;
}

interface KeyTableOrder {
  readonly stream: 'keys';
  readonly file: string;
  readonly keys: { readonly incarnation: string; readonly lastSequence: number };
}

export type RebuildOrder = ProjectionOrder | KeyTableOrder;
export type ThreadOrder = RebuildOrder & { readonly memory: PartMemory };

interface LoadedFile extends Disposable {
  readonly write: (message: FollowedMessage) => void;
  readonly setPosition: (sequence: number) => void;
  readonly finish: () => Promise<void>;
}

const order = workerData as ThreadOrder;
const loaded = order.stream === 'log' ? loadLog(order) : loadKeys(order);

parentPort!.on('message', async (part: Part) => {
  try {
    await writePart(part);
  } catch (error) {
    releaseAll(order.memory);
    throw error;
  }
});

async function writePart(part: Part): Promise<void> {
  for (const message of takePart(order.memory, part)) loaded.write(message);
  loaded.setPosition(part.sequences.at(-1)!);
  if (!part.isLast) return;
  await loaded.finish();
  loaded[Symbol.dispose]();
  parentPort!.close();
}

function loadLog({ file, log, linkedIdleMs }: ProjectionOrder): LoadedFile {
  const projection = openProjection(file, [log], 0, linkedIdleMs);
  const { finish } = projection.beginLoad();
  let eventAt: number | undefined;
  return {
    write(message) {
      const entry = logEntryOf(message);
      if (!entry) return;
      projection.apply(entry);
      eventAt = entry.event.metadata.at;
    },
    setPosition: (sequence) => projection.setPosition(streamNames.vault, sequence, eventAt),
    finish,
    [Symbol.dispose]: () => projection[Symbol.dispose](),
  };
}

function loadKeys({ file, keys }: KeyTableOrder): LoadedFile {
  const table = openDataKeyTable(file, keys);
  const { finish } = table.beginLoad();
  return {
    write: ({ subject, data, seq }) => table.apply(subject.slice(subject.lastIndexOf('.') + 1), data, seq),
    setPosition: table.setPosition,
    finish,
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
