/**
 * What a provider gave, kept on this worker's disk before anything else can fail: `outbox.sqlite` with
 * `synchronous=FULL`. An entry is pending until its event is in the log, and stays an hour after that. The file is
 * never deleted automatically.
 */
import Database from 'better-sqlite3';
import {
  and,
  asc,
  blob,
  drizzle,
  eq,
  index,
  integer,
  isNotNull,
  isNull,
  lt,
  sqliteTable,
  text,
} from '../sqlite/drizzle.ts';

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
  },
  (table) => [index('entries_by_append').on(table.appendedAt)],
);

const createTables = `
  CREATE TABLE IF NOT EXISTS entries (
    claim_id TEXT PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, grant_id TEXT NOT NULL, sealed BLOB NOT NULL,
    received_at INTEGER NOT NULL, appended_at INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS entries_by_append ON entries (appended_at);
`;

const keepMs = 60 * 60 * 1000;

export interface OutboxEntry {
  readonly claimId: string;
  readonly partition: number;
  readonly grantId: string;
  readonly sealed: Buffer;
  readonly receivedAt: number;
}

export interface Outbox extends Disposable {
  /** On disk when it returns. The same claim again changes nothing. */
  put(entry: OutboxEntry): void;
  markAppended(claimId: string, at: number): void;
  /** What is not in the log yet, oldest first. */
  pending(): OutboxEntry[];
}

export function openOutbox(file: string): Outbox {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.pragma('fullfsync = ON');
  database.pragma('secure_delete = FAST');
  database.exec(createTables);
  const db = drizzle(database);
  return {
    put(entry) {
      db.insert(entries).values(entry).onConflictDoNothing().run();
    },
    markAppended(claimId, at) {
      db.update(entries).set({ appendedAt: at }).where(eq(entries.claimId, claimId)).run();
      db.delete(entries)
        .where(and(isNotNull(entries.appendedAt), lt(entries.appendedAt, at - keepMs)))
        .run();
    },
    pending: () =>
      db.select().from(entries).where(isNull(entries.appendedAt)).orderBy(asc(entries.receivedAt)).all(),
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}
