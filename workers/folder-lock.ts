/**
 * One process for each folder: SQLite's exclusive lock on a file in it, which is one of the kernel. A killed process
 * leaves none behind, and no number of a process can be mistaken for another.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { StartupError } from '../schemas/run-process.ts';
import { ensureFolder } from './keys/private-files.ts';

/**
 * @param inUse what to say if another process has the folder
 * @throws StartupError `folder-unusable`; `data-folder-in-use`; `lock-unusable` the file cannot be locked at all
 */
export function lockFolder(folder: string, file: string, inUse: () => string): Disposable {
  ensureFolder(folder, 'data folder');
  let lock: Database.Database | undefined;
  try {
    lock = new Database(join(folder, file), { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    const { code = 'unknown reason' } = error as { code?: string };
    if (code === 'SQLITE_BUSY') throw new StartupError('data-folder-in-use', inUse());
    throw new StartupError(
      'lock-unusable',
      `data folder ${folder}: ${join(folder, file)} cannot be locked (${code}): it must be writable, and on a local disk; if it is damaged, remove it`,
      { cause: error },
    );
  }
  const held = lock;
  return {
    [Symbol.dispose]: () => {
      held.close();
    },
  };
}
