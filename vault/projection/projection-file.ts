/**
 * The file of the projection: opened if it belongs to this log and this schema and is whole, made anew if not. It holds
 * nothing that the log does not.
 */
import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { tombstoneSeconds } from '../log/event-log.ts';
import { drizzle } from '../sqlite/drizzle.ts';
import { createTables, positions, schemaVersion } from './tables.ts';

export interface StreamIncarnation {
  readonly stream: string;
  readonly incarnation: string;
  /** The last sequence in the stream now; a file that is ahead of it read another log. */
  readonly lastSequence: number;
}

/**
 * Made anew where it is missing, damaged, of another schema, of another log, older than the tombstones in the log, or
 * reckoned with another idle time of linked accounts.
 */
export function openProjectionFile(
  file: string,
  streams: readonly StreamIncarnation[],
  now: number,
  linkedIdleMs: number,
): Database.Database {
  const database = openUsable(file, streams, now, linkedIdleMs) ?? createNew(file, linkedIdleMs);
  const db = drizzle(database);
  for (const { stream, incarnation } of streams) {
    db.insert(positions).values({ stream, sequence: 0, incarnation }).onConflictDoNothing().run();
  }
  return database;
}

/** Less than the tombstones lie in the log, for the clocks of two machines differ. */
const oldestMs = (tombstoneSeconds - 24 * 3600) * 1000;

function openUsable(
  file: string,
  streams: readonly StreamIncarnation[],
  now: number,
  linkedIdleMs: number,
): Database.Database | null {
  if (!existsSync(file)) return null;
  let database: Database.Database | undefined;
  try {
    database = open(file);
    if (database.pragma('user_version', { simple: true }) !== schemaVersion)
      throw new Error('another schema');
    if (database.prepare('SELECT linked_idle_ms FROM reckoning').pluck().get() !== linkedIdleMs)
      throw new Error('another idle time');
    if (database.pragma('quick_check', { simple: true }) !== 'ok') throw new Error('damaged');
    const rows = drizzle(database).select().from(positions).all();
    for (const { stream, incarnation, lastSequence } of streams) {
      const row = rows.find((candidate) => candidate.stream === stream);
      if (row && (row.incarnation !== incarnation || row.sequence > lastSequence))
        throw new Error('another log');
      if (row && row.eventAt !== null && now - row.eventAt > oldestMs) throw new Error('too old');
    }
    return database;
  } catch {
    database?.close();
    return null;
  }
}

function createNew(file: string, linkedIdleMs: number): Database.Database {
  for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true });
  const database = open(file);
  database.transaction(() => {
    database.exec(createTables);
    database.prepare('INSERT INTO reckoning VALUES (?)').run(linkedIdleMs);
    database.pragma(`user_version = ${schemaVersion}`);
  })();
  return database;
}

function open(file: string): Database.Database {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  // What is overwritten must not stay readable in free pages.
  database.pragma('secure_delete = FAST');
  return database;
}
