/**
 * Puts rows in by a statement that drizzle writes and better-sqlite3 runs: drizzle itself looks at every parameter of
 * every row anew, which takes as long as SQLite takes for the row, and a rebuild puts millions in.
 */
import type Database from 'better-sqlite3';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { getTableColumns, sql } from './drizzle.ts';

type Placeholders<Table extends SQLiteTable> = {
  [Column in keyof Table['$inferSelect']]: ReturnType<typeof sql.placeholder>;
};

/** One for each column of the table, under its name: the values of an insert that is prepared. */
export function placeholdersOf<Table extends SQLiteTable>(table: Table): Placeholders<Table> {
  const names = Object.keys(getTableColumns(table));
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as Placeholders<Table>;
}

/** @param insert of `placeholdersOf` the table, and with no further parameters */
export function prepareInsert<Table extends SQLiteTable>(
  database: Database.Database,
  table: Table,
  insert: { toSQL(): { readonly sql: string } },
): (row: Table['$inferSelect']) => void {
  const statement = database.prepare(insert.toSQL().sql);
  const columns = Object.entries(getTableColumns(table));
  const names = columns.map(([name]) => name as keyof Table['$inferSelect']);
  const mapped = columns.flatMap(([, column], index) =>
    takesAsIs(column) ? [] : [{ index, map: (value: unknown) => column.mapToDriverValue(value) }],
  );
  return (row) => {
    const values: unknown[] = new Array(names.length);
    for (let index = 0; index < names.length; index++) values[index] = row[names[index]!];
    for (const { index, map } of mapped) if (values[index] !== null) values[index] = map(values[index]);
    statement.run(values);
  };
}

/** A number, a text or bytes, which better-sqlite3 takes as they are. */
function takesAsIs({ columnType }: SQLiteColumn): boolean {
  return columnType === 'SQLiteInteger' || columnType === 'SQLiteText' || columnType === 'SQLiteBlobBuffer';
}
