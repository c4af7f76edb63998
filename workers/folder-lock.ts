/**
 * One process for each folder: SQLite's exclusive lock on a file in it, which is one of the kernel. A killed process
 * leaves none behind, and no number of a process can be mistaken for another.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { StartupError } from '../schemas/run-process.ts';

/**
 * @param inUse what to say if another process has the folder
 * @throws StartupError `data-folder-in-use`; `lock-unusable` the file cannot be locked at all
 */
export function lockFolder(folder: string, file: string, inUse: () => string): Disposable {
  let lock: Database.Database | undefined;
  try {
    lock = new Database(join(folder, file), { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY')
      throw new StartupError('data-folder-in-use', inUse());
    throw new StartupError('lock-unusable', `data folder ${folder}: ${join(folder, file)} cannot be locked`, {
      cause: error,
    });
  }
  const held = lock;
  return {
    [Symbol.dispose]: () => {
      held.close();
    },
  };
}
