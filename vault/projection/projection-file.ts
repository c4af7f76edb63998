/**
 * The file of the projection: gone on with if it read this log, is not ahead of it, is not older than the tombstones in
 * it, and was reckoned with the present idle time of linked accounts.
 */
import type Database from 'better-sqlite3';
import { tombstoneSeconds } from '../log/event-log.ts';
import { openDisposableDatabase } from '../sqlite/disposable-database.ts';
import { drizzle } from '../sqlite/drizzle.ts';
import { createTables, positions, reckoning, schemaVersion } from './tables.ts';

export interface StreamIncarnation {
  readonly stream: string;
  readonly incarnation: string;
  /** The last sequence in the stream now; a file that is ahead of it read another log. */
  readonly lastSequence: number;
}

/** Less than the tombstones lie in the log, for the clocks of two machines differ. */
const oldestMs = (tombstoneSeconds - 24 * 3600) * 1000;

export interface OpenedAs {
  readonly now: number;
  readonly linkedIdleMs: number;
  /** It was written just now, and is not looked through. */
  readonly trusted: boolean;
}

export function openProjectionFile(
  file: string,
  streams: readonly StreamIncarnation[],
  { now, linkedIdleMs, trusted }: OpenedAs,
): Database.Database {
  const database = openDisposableDatabase(file, {
    schemaVersion,
    createTables,
    // What is overwritten must not stay readable in free pages.
    secureDelete: 'FAST',
    cacheKiB: 32_768,
    trusted,
    isUsable(found) {
      const db = drizzle(found);
      if (db.select().from(reckoning).get()?.linkedIdleMs !== linkedIdleMs) return false;
      const rows = db.select().from(positions).all();
      return streams.every(({ stream, incarnation, lastSequence }) => {
        const row = rows.find((candidate) => candidate.stream === stream);
        if (!row) return true;
        if (row.incarnation !== incarnation || row.sequence > lastSequence) return false;
        return row.eventAt === null || now - row.eventAt <= oldestMs;
      });
    },
  });
  const db = drizzle(database);
  if (!db.select().from(reckoning).get()) db.insert(reckoning).values({ linkedIdleMs }).run();
  for (const { stream, incarnation } of streams) {
    db.insert(positions).values({ stream, sequence: 0, incarnation }).onConflictDoNothing().run();
  }
  return database;
}
