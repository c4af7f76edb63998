/**
 * Fills an empty file with what a long log holds, all of it or nothing: one transaction with a rollback journal, in which
 * pages that are new cost nothing but their writing. Killed in between, the file is empty again when it is opened.
 * Indexes that serve questions only are built at the end, in order; those of few rows are kept, for each one that is built
 * reads the whole table.
 */
import type Database from 'better-sqlite3';

export interface BulkLoad {
  /** Keeps what was written. What waits meanwhile goes on between one index and the next. */
  finish(): Promise<void>;
}

interface Options {
  /** SQLite's own memory while it lasts: room for the index of ids, into which every row goes at random. */
  readonly cacheKiB: number;
  /** Names of indexes. */
  readonly ofFewRows?: readonly string[];
  /** What is to be done to the rows when they are found by every index, before they are kept. */
  readonly whenIndexed?: () => void;
}

export function beginBulkLoad(database: Database.Database, options: Options): BulkLoad {
  const { cacheKiB, ofFewRows = [], whenIndexed } = options;
  const usualCache = database.pragma('cache_size', { simple: true });
  database.pragma('journal_mode = DELETE');
  database.pragma(`cache_size = -${cacheKiB}`);
  const indexes = database
    .prepare<[], { name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
    )
    .all()
    .filter(({ name }) => !ofFewRows.includes(name));
  database.exec('BEGIN');
  for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
  return {
    async finish() {
      for (const { sql } of indexes) {
        database.exec(sql);
        await new Promise((resolve) => setImmediate(resolve));
      }
      whenIndexed?.();
      database.exec('COMMIT');
      database.pragma('journal_mode = WAL');
      database.pragma(`cache_size = ${usualCache}`);
      database.pragma('shrink_memory');
    },
  };
}
