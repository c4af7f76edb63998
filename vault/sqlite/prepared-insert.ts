/**
 * Puts rows in by a statement that drizzle writes and better-sqlite3 runs: drizzle itself looks at every parameter of
 * every row anew, which takes as long as SQLite takes for the row, and a rebuild puts millions in. To give SQLite a
 * value takes long as well, so those that a column has nearly always stand in the statement.
 */
import type Database from 'better-sqlite3';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { getTableColumns, sql } from './drizzle.ts';

/** One for each column of the table, under its name: the values of an insert that is prepared. */
type Values<Table extends SQLiteTable> = {
  [Column in keyof Table['$inferSelect']]: ReturnType<typeof sql.placeholder>;
};

interface InsertedColumn {
  readonly name: string;
  readonly column: SQLiteColumn;
}

/**
 * @param insertOf with these values and no further parameters
 * @param usual what nearly every row has in these columns
 * @returns whether the row went in, or changed the one that was there
 */
export function prepareInsert<Table extends SQLiteTable>(
  database: Database.Database,
  table: Table,
  insertOf: (values: Values<Table>) => { toSQL(): { readonly sql: string } },
  usual: Partial<Table['$inferSelect']> = {},
): (row: Table['$inferSelect']) => boolean {
  const columns = Object.entries(getTableColumns(table)).map(([name, column]) => ({ name, column }));
  const isUsual = ({ name }: InsertedColumn) => Object.hasOwn(usual, name);
  const prepare = (given: readonly InsertedColumn[]) => {
    const values = columns.map(({ name, column }) => [
      name,
      given.some((other) => other.name === name)
        ? sql.placeholder(name)
        : sql`${sql.param(Reflect.get(usual, name), column)}`.inlineParams(),
    ]);
    const statement = database.prepare(insertOf(Object.fromEntries(values)).toSQL().sql);
    const valuesOf = given.map(readingOf);
    return (row: Table['$inferSelect']) => statement.run(valuesOf.map((read) => read(row))).changes > 0;
  };
  const insertAll = prepare(columns);
  const expected = columns.filter(isUsual).map((given) => {
    const read = readingOf(given);
    const value = read(usual);
    return (row: Table['$inferSelect']) => read(row) === value;
  });
  if (expected.length === 0) return insertAll;
  const insertOthers = prepare(columns.filter((given) => !isUsual(given)));
  return (row) => (expected.every((has) => has(row)) ? insertOthers(row) : insertAll(row));
}

/** As better-sqlite3 takes it: a number, a text, bytes or null. */
function readingOf({ name, column }: InsertedColumn): (row: object) => unknown {
  const { columnType } = column;
  const read = (row: object): unknown => (row as Record<string, unknown>)[name];
  if (['SQLiteInteger', 'SQLiteText', 'SQLiteBlobBuffer'].includes(columnType)) return read;
  return (row) => {
    const value = read(row);
    return value === null ? null : column.mapToDriverValue(value);
  };
}
