/**
 * What this worker keeps on its own disk. The projection and the table of data keys can be made again and are kept only
 * while the streams still have what they read last; the outbox is never thrown away.
 */
import { join } from 'node:path';
import type { EventLog } from './log/event-log.ts';
import { whenItAnswers } from './log/patience.ts';
import { type Outbox, openOutbox } from './outbox/outbox.ts';
import { openProjectedFiles, type ProjectedFilesOptions } from './projection/projected-files.ts';
import type { Projection } from './projection/projection.ts';
import { type DataKeyTable, keyDigest } from './sealing/data-key-table.ts';
import type { WrappedKeyStore } from './sealing/wrapped-key-store.ts';

export interface LocalFiles extends Disposable {
  readonly projection: Projection;
  readonly keyTable: DataKeyTable;
  readonly outbox: Outbox;
  /**
   * Whether a stream has lost something that is in here: NATS was restored from an older copy, or did not keep what it
   * had acknowledged. @throws what the streams throw while they do not answer
   */
  areAhead(): Promise<boolean>;
}

interface Options
  extends Pick<
    ProjectedFilesOptions,
    'connection' | 'folder' | 'until' | 'now' | 'linkedIdleMs' | 'onDamaged' | 'onBuiltAnew'
  > {
  readonly log: EventLog;
  readonly keyStore: WrappedKeyStore;
  readonly incarnations: { readonly log: string; readonly keys: string };
  /** Of the streams now. */
  readonly lastSequences: () => Promise<{ log: number; keys: number }>;
}

export async function openLocalFiles(options: Options): Promise<LocalFiles> {
  const { connection, folder, until, now, linkedIdleMs, onDamaged, onBuiltAnew } = options;
  const { log, keyStore, incarnations, lastSequences } = options;
  const last = await whenItAnswers(lastSequences);

  async function logLacks(file: Projection): Promise<boolean> {
    const mark = file.mark();
    return mark !== null && !(await log.has(mark));
  }

  /** `unknown`: the message is not there any more, which a key that was changed explains as well. */
  async function keysOf(file: DataKeyTable): Promise<'same' | 'other' | 'unknown'> {
    const mark = file.mark();
    if (mark === null) return 'same';
    const stored = await keyStore.at(mark.sequence);
    if (stored) return keyDigest(stored.name, stored.wrapped) === mark.digest ? 'same' : 'other';
    return (await lastSequences()).keys < mark.sequence ? 'other' : 'unknown';
  }

  const { projection, keyTable } = await openProjectedFiles({
    ...{ connection, folder, incarnations, until, now, linkedIdleMs, lastSequences: last },
    ...{ onDamaged, onBuiltAnew },
    isOfStream: {
      log: async (file) => !(await whenItAnswers(() => logLacks(file))),
      keys: async (file) => (await whenItAnswers(() => keysOf(file))) === 'same',
    },
  });
  const outbox = openOutbox(join(folder, 'outbox.sqlite'));
  return {
    ...{ projection, keyTable, outbox },
    areAhead: async () => (await logLacks(projection)) || (await keysOf(keyTable)) === 'other',
    [Symbol.dispose]() {
      outbox[Symbol.dispose]();
      projection[Symbol.dispose]();
      keyTable[Symbol.dispose]();
    },
  };
}
