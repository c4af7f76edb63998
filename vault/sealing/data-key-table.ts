/**
 * What the stream KEYS says, in a SQLite file of its own: the wrapped data key of each person, and the position up to
 * which the stream was read. It lies apart from the projection, so that a copy of the projection opens nothing. The
 * file is disposable; one that is damaged, of another schema or of another stream is made anew.
 */
import { createHash } from 'node:crypto';
import { type BulkLoad, beginBulkLoad } from '../sqlite/bulk-load.ts';
import { openDisposableDatabase } from '../sqlite/disposable-database.ts';
import { drizzle, eq, sql } from '../sqlite/drizzle.ts';
import { prepareInsert } from '../sqlite/prepared-insert.ts';
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
  /** What the stream says of a name: a key, or the mark of a destroyed one; other keys than a person's are passed over. */
  apply(name: string, wrapped: Uint8Array, sequence: number): void;
  /** Rows after one name, in order, whose names begin with the prefix; null: from the first on. */
  after(principalKey: string | null, prefix: string, limit: number): DataKeyRow[];
  position(): number;
  setPosition(sequence: number): void;
  /** The newest message of the stream that is in here; null: none. A stream that has another one there is another. */
  mark(): KeyMark | null;
  transaction(work: () => void): void;
  /** Of a table that has read nothing yet. */
  beginLoad(): BulkLoad;
}

export interface KeyMark {
  readonly sequence: number;
  readonly digest: string;
}

/** What tells one message of KEYS from every other. `wrapped`: empty for the mark of a destroyed key. */
export function keyDigest(name: string, wrapped: Uint8Array): string {
  return createHash('sha256').update(`${name}\0`).update(wrapped).digest('base64url');
}

const nothing: Uint8Array = new Uint8Array(0);

/**
 * @param stream the incarnation of KEYS, and its last sequence; a file that is ahead of it read another stream
 * @param trusted it was written just now, and is not looked through
 */
export function openDataKeyTable(
  file: string,
  stream: { incarnation: string; lastSequence: number },
  trusted = false,
): DataKeyTable {
  const database = openDisposableDatabase(file, {
    schemaVersion: keySchemaVersion,
    createTables: createKeyTables,
    // A key that was destroyed must not stay readable in free pages.
    secureDelete: 'ON',
    cacheKiB: 8192,
    trusted,
    isUsable(found) {
      const row = drizzle(found).select().from(keyPosition).get();
      return row?.incarnation === stream.incarnation && row.sequence <= stream.lastSequence;
    },
  });
  const db = drizzle(database);
  const { incarnation } = stream;
  if (!db.select().from(keyPosition).get())
    db.insert(keyPosition).values({ sequence: 0, incarnation, markSequence: 0, markDigest: '' }).run();
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
  const put = prepareInsert(database, dataKeys, (values) =>
    db
      .insert(dataKeys)
      .values(values)
      .onConflictDoUpdate({
        target: dataKeys.principalKey,
        set: { wrapped: sql`excluded.wrapped`, sequence: sql`excluded.sequence` },
        setWhere: sql`${dataKeys.sequence} < excluded.sequence`,
      }),
  );
  const remove = db
    .delete(dataKeys)
    .where(
      sql`${dataKeys.principalKey} = ${sql.placeholder('principalKey')} AND ${dataKeys.sequence} <= ${sql.placeholder('sequence')}`,
    )
    .prepare();
  let newest = {
    sequence: db.select().from(keyPosition).get()?.markSequence ?? 0,
    name: '',
    wrapped: nothing,
  };
  const storeMark = () => {
    if (newest === stored) return;
    stored = newest;
    const { sequence, name, wrapped } = newest;
    db.update(keyPosition)
      .set({ markSequence: sequence, markDigest: keyDigest(name, wrapped) })
      .run();
  };
  let stored = newest;
  const note = (sequence: number, name: string, wrapped: Uint8Array) => {
    if (sequence <= newest.sequence) return;
    newest = { sequence, name, wrapped };
    // One for many, where many are read at once.
    if (!database.inTransaction) storeMark();
  };
  const table: Pick<DataKeyTable, 'put' | 'remove'> = {
    put(principalKey, wrapped, sequence) {
      put({ principalKey, wrapped: Buffer.from(wrapped), sequence });
      note(sequence, principalKey, wrapped);
    },
    remove(principalKey, sequence) {
      remove.run({ principalKey, sequence });
      note(sequence, principalKey, nothing);
    },
  };
  return {
    ...table,
    apply(name, wrapped, sequence) {
      if (!name.startsWith('pri_')) return;
      if (wrapped.length === 0) table.remove(name, sequence);
      else table.put(name, wrapped, sequence);
    },
    find: (id) => wrappedOf.get({ id })?.wrapped ?? null,
    after: (name, prefix, limit) =>
      // Names are ASCII: nothing that begins with the prefix comes after this.
      rowsAfter.all({ name: name ?? prefix, end: `${prefix}\x7f`, limit }),
    position: () => db.select().from(keyPosition).get()?.sequence ?? 0,
    setPosition(sequence) {
      db.update(keyPosition).set({ sequence }).run();
      storeMark();
    },
    mark() {
      const row = db.select().from(keyPosition).get();
      return row?.markSequence ? { sequence: row.markSequence, digest: row.markDigest } : null;
    },
    transaction(work) {
      database.transaction(() => {
        work();
        storeMark();
      })();
    },
    beginLoad: () => beginBulkLoad(database, { cacheKiB: 32_768 }),
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}
