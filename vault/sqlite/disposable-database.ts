/**
 * A SQLite file that holds nothing which cannot be read again elsewhere: it is opened if it is whole and of the present
 * schema, and made anew if not.
 */
import { existsSync, rmSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';

export interface DisposableDatabase {
  /** Raised with every change of a table. */
  readonly schemaVersion: number;
  /** SQL, with which an empty file begins. */
  readonly createTables: string;
  /** `ON`: what is deleted is overwritten at once, on free pages too; `FAST`: where that costs no further writing. */
  readonly secureDelete: 'ON' | 'FAST';
  /** Of SQLite's own memory for pages, KiB. */
  readonly cacheKiB: number;
  /** It was written just now, and is not looked through. */
  readonly trusted: boolean;
  /** Whether what is in the file may be gone on with. A file that this breaks on may not. */
  isUsable(database: Database.Database): boolean;
}

export function openDisposableDatabase(file: string, kind: DisposableDatabase): Database.Database {
  return openUsable(file, kind) ?? createNew(file, kind);
}

/** It will be made anew when it is opened next; who has it open reads on. */
export function throwAway(file: string): void {
  for (const part of ['', '-wal', '-shm', '-journal']) rmSync(file + part, { force: true });
}

function openUsable(file: string, kind: DisposableDatabase): Database.Database | null {
  if (!existsSync(file)) return null;
  let database: Database.Database | undefined;
  try {
    database = open(file, kind);
    if (database.pragma('user_version', { simple: true }) === kind.schemaVersion) {
      if ((kind.trusted || isWhole(database, file)) && kind.isUsable(database)) return database;
    }
  } catch {
    // Whatever it is, it is not usable.
  }
  database?.close();
  return null;
}

/** What SQLite looks through completely in about a second: 64 MiB. */
const smallBytes = 64 * 2 ** 20;

/**
 * Small files are compared with their indexes, entry by entry. That takes a quarter of a minute for a GiB; a large file
 * has its pages and the values in them looked through, and the entries of each index counted. What that does not find is
 * an entry under a wrong key: the row is missing then, or is found under the id of another, as which its sealed value does
 * not open.
 */
function isWhole(database: Database.Database, file: string): boolean {
  const isSmall = statSync(file).size <= smallBytes;
  if (database.pragma(isSmall ? 'integrity_check(1)' : 'quick_check(1)', { simple: true }) !== 'ok')
    return false;
  return isSmall || indexesAreComplete(database);
}

function indexesAreComplete(database: Database.Database): boolean {
  const indexes = database
    .prepare<[], { name: string; table: string; sql: string | null }>(
      "SELECT name, tbl_name AS 'table', sql FROM sqlite_schema WHERE type = 'index'",
    )
    .all();
  const count = (from: string) => database.prepare(`SELECT count(*) FROM ${from}`).pluck().get();
  return indexes.every(({ name, table, sql }) => {
    const condition = sql?.split(' WHERE ')[1];
    const where = condition === undefined ? '' : ` WHERE ${condition}`;
    return count(`${table} INDEXED BY ${name}${where}`) === count(`${table} NOT INDEXED${where}`);
  });
}

function createNew(file: string, kind: DisposableDatabase): Database.Database {
  throwAway(file);
  const database = open(file, kind);
  database.transaction(() => {
    database.exec(kind.createTables);
    database.pragma(`user_version = ${kind.schemaVersion}`);
  })();
  return database;
}

/** Less room is lost between rows of half a kilobyte than on pages of the usual size. */
const pageBytes = 16_384;

function open(file: string, { secureDelete, cacheKiB }: DisposableDatabase): Database.Database {
  const database = new Database(file);
  database.pragma(`page_size = ${pageBytes}`);
  database.pragma(`cache_size = -${cacheKiB}`);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  database.pragma(`secure_delete = ${secureDelete}`);
  return database;
}
