/**
 * What the stream KEYS says, in a SQLite file of its own: the wrapped data key of each person, and the position up to
 * which the stream was read. It lies apart from the projection, so that a copy of the projection opens nothing. The
 * file is disposable; one that is damaged, of another schema or of another stream is made anew.
 */
import { type BulkLoad, beginBulkLoad } from '../sqlite/bulk-load.ts';
import { openDisposableDatabase } from '../sqlite/disposable-database.ts';
import { drizzle, eq, sql } from '../sqlite/drizzle.ts';
import { placeholdersOf, prepareInsert } from '../sqlite/prepared-insert.ts';
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
  transaction(work: () => void): void;
  /** Of a table that has read nothing yet. */
  beginLoad(): BulkLoad;
}

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
  if (!db.select().from(keyPosition).get()) db.insert(keyPosition).values({ sequence: 0, incarnation }).run();
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
  const put = prepareInsert(
    database,
    dataKeys,
    db
      .insert(dataKeys)
      .values(placeholdersOf(dataKeys))
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
  const table: Pick<DataKeyTable, 'put' | 'remove'> = {
    put: (principalKey, wrapped, sequence) => put({ principalKey, wrapped: Buffer.from(wrapped), sequence }),
    remove: (principalKey, sequence) => void remove.run({ principalKey, sequence }),
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
    },
    transaction: (work) => database.transaction(work)(),
    beginLoad: () => beginBulkLoad(database, 32_768),
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}
