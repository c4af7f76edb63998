/**
 * The writing half of a rebuild: decodes what the reader hands over, writes it into the empty files, and ends when both
 * are whole.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { streamNames } from '../../schemas/subjects.ts';
import { logEntryOf } from '../log/log-entry.ts';
import type { FollowedMessage } from '../log/stream-follower.ts';
import { openDataKeyTable } from '../sealing/data-key-table.ts';
import { type Part, type PartMemory, releaseAll, takePart } from './part-ring.ts';
import { openProjection } from './projection.ts';
import type { StreamIncarnation } from './projection-file.ts';

export interface RebuildOrder {
  readonly projectionFile: string;
  readonly linkedIdleMs: number;
  readonly log: StreamIncarnation;
  readonly keyFile: string;
  readonly keys: { readonly incarnation: string; readonly lastSequence: number };
  /** Those whose file is empty. */
  readonly streams: readonly ('log' | 'keys')[];
  readonly memory: PartMemory;
}

interface LoadedFile extends Disposable {
  readonly write: (message: FollowedMessage) => void;
  readonly setPosition: (sequence: number) => void;
  readonly finish: () => Promise<void>;
}

const order = workerData as RebuildOrder;
const files = new Map(order.streams.map((stream) => [stream, stream === 'log' ? loadLog() : loadKeys()]));

parentPort!.on('message', async (part: Part) => {
  try {
    await writePart(part);
  } catch (error) {
    releaseAll(order.memory);
    throw error;
  }
});

async function writePart(part: Part): Promise<void> {
  const { write, setPosition, finish, [Symbol.dispose]: close } = files.get(part.stream)!;
  for (const message of takePart(order.memory, part)) write(message);
  setPosition(part.sequences.at(-1)!);
  if (!part.isLast) return;
  await finish();
  close();
  files.delete(part.stream);
  if (files.size === 0) parentPort!.close();
}

function loadLog(): LoadedFile {
  const projection = openProjection(order.projectionFile, [order.log], 0, order.linkedIdleMs);
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

function loadKeys(): LoadedFile {
  const table = openDataKeyTable(order.keyFile, order.keys);
  const { finish } = table.beginLoad();
  return {
    write: ({ subject, data, seq }) => table.apply(subject.split('.')[2]!, data, seq),
    setPosition: table.setPosition,
    finish,
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
