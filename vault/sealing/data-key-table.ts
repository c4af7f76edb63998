/**
 * What the stream KEYS says, in a SQLite file of its own: the wrapped data key of each person, and the position up to
 * which the stream was read. It lies apart from the projection, so that a copy of the projection opens nothing. The
 * file is disposable; one that is damaged, of another schema or of another stream is made anew.
 */
import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { drizzle, eq, lt, sql } from '../sqlite/drizzle.ts';
import { createKeyTables, dataKeys, keyPosition, keySchemaVersion } from './data-key-schema.ts';

export interface DataKeyRow {
  readonly principalKey: string;
  readonly wrapped: Buffer;
  readonly sequence: number;
}

export interface DataKeyTable extends Disposable {
  find(principalKey: string): Buffer | null;
  put(principalKey: string, wrapped: Uint8Array, sequence: number): void;
  /** The mark of a destroyed key was read. */
  remove(principalKey: string, sequence: number): void;
  /** Rows after one name, in order, whose names begin with the prefix; null: from the first on. */
  after(principalKey: string | null, prefix: string, limit: number): DataKeyRow[];
  position(): number;
  setPosition(sequence: number): void;
  transaction(work: () => void): void;
}

/** @param stream the incarnation of KEYS, and its last sequence; a file that is ahead of it read another stream */
export function openDataKeyTable(
  file: string,
  stream: { incarnation: string; lastSequence: number },
): DataKeyTable {
  const database = openUsable(file, stream) ?? createNew(file, stream.incarnation);
  const db = drizzle(database);
  const wrappedOf = db
    .select({ wrapped: dataKeys.wrapped })
    .from(dataKeys)
    .where(eq(dataKeys.principalKey, sql.placeholder('id')))
    .prepare();
  const rowsAfter = db
    .select()
    .from(dataKeys)
    .where(
      sql`${dataKeys.principalKey} > ${sql.placeholder('name')} AND ${dataKeys.principalKey} < ${sql.placeholder('end')}`,
    )
    .orderBy(dataKeys.principalKey)
    .limit(sql.placeholder('limit'))
    .prepare();
  return {
    find: (id) => wrappedOf.get({ id })?.wrapped ?? null,
    put(principalKey, wrapped, sequence) {
      const values = { principalKey, wrapped: Buffer.from(wrapped), sequence };
      db.insert(dataKeys)
        .values(values)
        .onConflictDoUpdate({
          target: dataKeys.principalKey,
          set: values,
          setWhere: lt(dataKeys.sequence, sequence),
        })
        .run();
    },
    remove(principalKey, sequence) {
      db.delete(dataKeys)
        .where(sql`${dataKeys.principalKey} = ${principalKey} AND ${dataKeys.sequence} <= ${sequence}`)
        .run();
    },
    after: (name, prefix, limit) =>
      // Names are ASCII: nothing that begins with the prefix comes after this.
      rowsAfter.all({ name: name ?? prefix, end: `${prefix}\x7f`, limit }),
    position: () => db.select().from(keyPosition).get()?.sequence ?? 0,
    setPosition(sequence) {
      db.update(keyPosition).set({ sequence }).run();
    },
    transaction: (work) => database.transaction(work)(),
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}

function openUsable(
  file: string,
  { incarnation, lastSequence }: { incarnation: string; lastSequence: number },
): Database.Database | null {
  if (!existsSync(file)) return null;
  let database: Database.Database | undefined;
  try {
    database = open(file);
    if (database.pragma('user_version', { simple: true }) !== keySchemaVersion)
      throw new Error('another schema');
    if (database.pragma('quick_check', { simple: true }) !== 'ok') throw new Error('damaged');
    const row = drizzle(database).select().from(keyPosition).get();
    if (row?.incarnation !== incarnation || row.sequence > lastSequence) throw new Error('another stream');
    return database;
  } catch {
    database?.close();
    return null;
  }
}

function createNew(file: string, incarnation: string): Database.Database {
  for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true });
  const database = open(file);
  database.transaction(() => {
    database.exec(createKeyTables);
    drizzle(database).insert(keyPosition).values({ sequence: 0, incarnation }).run();
    database.pragma(`user_version = ${keySchemaVersion}`);
  })();
  return database;
}

function open(file: string): Database.Database {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  // A key that was destroyed must not stay readable in free pages.
  database.pragma('secure_delete = ON');
  return database;
}
