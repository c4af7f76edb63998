/**
 * What a provider gave, kept on this worker's disk before anything else can fail: `outbox.sqlite`. Its write-ahead log is
 * synced by the one who waits for that and not by each commit, which is what `synchronous=FULL` does, but for the process,
 * which goes on answering while the disk takes its time. An entry is pending until its event is in the log, and stays an
 * hour after that, for a log that loses its tail. The file is never deleted automatically.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { VaultError } from '../errors.ts';
import type { LogMark } from '../log/event-log.ts';
import { isDamage } from '../sqlite/damage.ts';
import {
  and,
  asc,
  blob,
  desc,
  drizzle,
  eq,
  index,
  integer,
  isNotNull,
  isNull,
  lt,
  sql,
  sqliteTable,
  text,
} from '../sqlite/drizzle.ts';
import { prepareInsert } from '../sqlite/prepared-insert.ts';

const entries = sqliteTable(
  'entries',
  {
    claimId: text('claim_id').primaryKey(),
    partition: integer('partition').notNull(),
    grantId: text('grant_id').notNull(),
    /** The outcome, under the principal's data key. */
    sealed: blob('sealed', { mode: 'buffer' }).notNull(),
    receivedAt: integer('received_at').notNull(),
    /** null: not in the log yet. */
    appendedAt: integer('appended_at'),
    /** Where it stands among the token sets of its grant, under the same key; null: it has no place there. */
    place: blob('place', { mode: 'buffer' }),
    /** Its event in the log; null: none, or a log that lost it. */
    sequence: integer('sequence'),
    eventId: text('event_id'),
  },
  (table) => [
    index('entries_by_append').on(table.appendedAt),
    index('entries_by_sequence').on(table.sequence),
  ],
);

const createTables = `
  CREATE TABLE IF NOT EXISTS entries (
    claim_id TEXT PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, grant_id TEXT NOT NULL, sealed BLOB NOT NULL,
    received_at INTEGER NOT NULL, appended_at INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS entries_by_append ON entries (appended_at);
`;
const addPlaces = `
  ALTER TABLE entries ADD COLUMN place BLOB;
  ALTER TABLE entries ADD COLUMN sequence INTEGER;
  ALTER TABLE entries ADD COLUMN event_id TEXT;
  CREATE INDEX entries_by_sequence ON entries (sequence);
`;
/** In order; a file has the first so many, as its `user_version` says. */
const schemaSteps = [createTables, addPlaces];

const keepMs = 60 * 60 * 1000;

export interface OutboxEntry {
  readonly claimId: string;
  readonly partition: number;
  readonly grantId: string;
  readonly sealed: Buffer;
  readonly receivedAt: number;
  readonly place: Buffer | null;
}

export interface PendingEntry extends OutboxEntry {
  /** Of the event that the log has lost; null: it had none yet. */
  readonly eventId: string | null;
}

export interface AppendedEntry extends OutboxEntry {
  readonly mark: LogMark;
}

export interface Outbox extends Disposable {
  /** On disk after the next `sync`. The same claim again changes nothing. */
  put(entry: OutboxEntry): void;
  /** @param event of the entry, and its place now; null: there was nothing to append */
  markAppended(claimId: string, at: number, event: { mark: LogMark; place: Buffer } | null): void;
  /** Those that the log must have, the newest there first, before a sequence. */
  appended(beforeSequence: number, limit: number): AppendedEntry[];
  /** The log has lost their events: they are pending again, all or none of them. */
  reopen(lost: readonly AppendedEntry[]): void;
  /** What is not in the log, oldest first. */
  pending(): PendingEntry[];
  /** All of it, or nothing; on disk after the next `sync`. */
  transaction(work: () => void): void;
  /** Resolves when all that was written before is on disk, whatever becomes of the machine. */
  sync(): Promise<void>;
}

/** @throws VaultError `outbox-damaged` it is not a whole database: an operator must decide, for it may hold the only copy */
export function openOutbox(file: string): Outbox {
  const database = openWhole(file);
  // SQLite syncs the log itself before a checkpoint and when it begins anew.
  database.pragma('synchronous = NORMAL');
  database.pragma('fullfsync = ON');
  database.pragma('secure_delete = FAST');
  database.transaction(() => {
    const steps = Number(database.pragma('user_version', { simple: true }));
    for (const step of schemaSteps.slice(steps)) database.exec(step);
    database.pragma(`user_version = ${Math.max(steps, schemaSteps.length)}`);
  })();
  const db = drizzle(database);
  // It exists from the first transaction on, and is the same file until the database is closed.
  const log = openSync(`${file}-wal`, 'r+');
  let syncing: Promise<unknown> = Promise.resolve();
  const insert = prepareInsert(database, entries, (values) =>
    db.insert(entries).values(values).onConflictDoNothing(),
  );
  const given = (name: string) => sql`${sql.placeholder(name)}`;
  const isClaim = eq(entries.claimId, sql.placeholder('claimId'));
  const mark = db
    .update(entries)
    .set({ appendedAt: given('at') })
    .where(isClaim)
    .prepare();
  const markEvent = db
    .update(entries)
    .set({
      appendedAt: given('at'),
      sequence: given('sequence'),
      eventId: given('eventId'),
      place: given('place'),
    })
    .where(isClaim)
    .prepare();
  const removeOld = db
    .delete(entries)
    .where(and(isNotNull(entries.appendedAt), lt(entries.appendedAt, sql.placeholder('before'))))
    .prepare();
  return {
    put(entry) {
      insert({ ...entry, appendedAt: null, sequence: null, eventId: null });
    },
    markAppended(claimId, at, event) {
      if (event) markEvent.run({ claimId, at, ...event.mark, place: event.place });
      else mark.run({ claimId, at });
      removeOld.run({ before: at - keepMs });
    },
    appended: (beforeSequence, limit) =>
      db
        .select()
        .from(entries)
        .where(lt(entries.sequence, beforeSequence))
        .orderBy(desc(entries.sequence))
        .limit(limit)
        .all()
        .map(({ sequence, eventId, ...entry }) => ({
          ...entry,
          mark: { sequence: sequence!, eventId: eventId! },
        })),
    reopen(lost) {
      database.transaction(() => {
        for (const { claimId, mark } of lost)
          db.update(entries)
            .set({ appendedAt: null, sequence: null })
            .where(and(eq(entries.claimId, claimId), eq(entries.sequence, mark.sequence)))
            .run();
      })();
    },
    pending: () =>
      db.select().from(entries).where(isNull(entries.appendedAt)).orderBy(asc(entries.receivedAt)).all(),
    transaction: (work) => database.transaction(work)(),
    sync() {
      const synced = syncToDisk(log);
      syncing = Promise.allSettled([syncing, synced]);
      return synced;
    },
    [Symbol.dispose]: () => {
      fdatasyncSync(log);
      database.close();
      void syncing.then(() => closeSync(log));
    },
  };
}

/** On macOS with `F_FULLFSYNC`. */
const syncToDisk = promisify(fdatasync);

function openWhole(file: string): Database.Database {
  const database = new Database(file);
  try {
    database.pragma('journal_mode = WAL');
    const found = database.pragma('integrity_check(1)', { simple: true });
    if (found !== 'ok') throw new Database.SqliteError(String(found), 'SQLITE_CORRUPT');
    return database;
  } catch (cause) {
    database.close();
    if (!isDamage(cause)) throw cause;
    throw new VaultError(
      'outbox-damaged',
      `${file} is damaged, and is not removed, for it may hold tokens that are nowhere else: put the file back from the ` +
        `volume's backup, or save what is left with "sqlite3 ${basename(file)} .recover"; or move it away together with ` +
        'its -wal file, and those whose refresh it held must sign in again',
      { cause },
    );
  }
}
