/**
 * The two files that follow the streams, opened where they were left. One that is empty while there is much to read is
 * built first, as a whole.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { NatsConnection } from 'nats';
import { streamNames } from '../../schemas/subjects.ts';
import type { VaultError } from '../errors.ts';
import { type DataKeyTable, openDataKeyTable } from '../sealing/data-key-table.ts';
import { noticeDamage } from '../sqlite/damage.ts';
import { throwAway } from '../sqlite/disposable-database.ts';
import { openProjection, type Projection } from './projection.ts';
import { rebuildFiles } from './rebuild.ts';

export interface ProjectedFilesOptions {
  readonly connection: NatsConnection;
  readonly folder: string;
  readonly incarnations: { readonly log: string; readonly keys: string };
  /** The last sequence that each stream ever had; a file that is ahead of it read another stream. */
  readonly lastSequences: { readonly log: number; readonly keys: number };
  /** The last one that is there to be read; 0: none. */
  readonly until: { readonly log: number; readonly keys: number };
  readonly now: () => number;
  /** One of the files turned out to be damaged while it was read, and is gone: this worker must stop. */
  readonly onDamaged: (error: VaultError) => void;
  /** There was a projection, and it could not be gone on with. */
  readonly onBuiltAnew: () => void;
  readonly linkedIdleMs: number;
  /** Whether the stream still has what the file read last: its sequences are used again if it lost its tail. */
  readonly isOfStream: {
    log(file: Projection): Promise<boolean>;
    keys(file: DataKeyTable): Promise<boolean>;
  };
}

/** Less is read as fast in the usual way. */
const worthwhile = 10_000;

/** @throws VaultError `projection-failed` */
export async function openProjectedFiles(
  options: ProjectedFilesOptions,
): Promise<{ projection: Projection; keyTable: DataKeyTable }> {
  const { connection, folder, incarnations, lastSequences, until, now, linkedIdleMs } = options;
  const { isOfStream, onDamaged, onBuiltAnew } = options;
  const [projectionFile, keyFile] = [join(folder, 'projection.sqlite'), join(folder, 'keys.sqlite')];
  const log = {
    stream: streamNames.vault,
    incarnation: incarnations.log,
    lastSequence: lastSequences.log,
  };
  const keys = { incarnation: incarnations.keys, lastSequence: lastSequences.keys };
  const watched = <File extends object>(file: File, path: string) =>
    noticeDamage(file, basename(path), (error) => {
      throwAway(path);
      onDamaged(error);
    });
  const open = (trusted: boolean) => ({
    projection: watched(openProjection(projectionFile, [log], now(), linkedIdleMs, trusted), projectionFile),
    keyTable: watched(openDataKeyTable(keyFile, keys, trusted), keyFile),
  });

  const wasThere = existsSync(projectionFile);
  let found = open(false);
  const foreign = [
    ...((await isOfStream.log(found.projection)) ? [] : [projectionFile]),
    ...((await isOfStream.keys(found.keyTable)) ? [] : [keyFile]),
  ];
  if (foreign.length > 0) {
    close(found);
    foreign.forEach(throwAway);
    found = open(false);
  }
  if (wasThere && found.projection.position(streamNames.vault) === 0) onBuiltAnew();
  const orders = [
    ...(found.projection.position(streamNames.vault) === 0 && until.log >= worthwhile
      ? [{ stream: 'log' as const, file: projectionFile, log, linkedIdleMs, until: until.log }]
      : []),
    ...(found.keyTable.position() === 0 && until.keys >= worthwhile
      ? [{ stream: 'keys' as const, file: keyFile, keys, until: until.keys }]
      : []),
  ];
  if (orders.length === 0) return found;
  close(found);
  await rebuildFiles(connection, orders);
  return open(true);
}

function close({ projection, keyTable }: { projection: Projection; keyTable: DataKeyTable }): void {
  projection[Symbol.dispose]();
  keyTable[Symbol.dispose]();
}
