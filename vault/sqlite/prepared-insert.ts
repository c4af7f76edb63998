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
    const values = columns.map((each) => [
      each.name,
      given.includes(each)
        ? sql.placeholder(each.name)
        : sql`${sql.param(Reflect.get(usual, each.name), each.column)}`.inlineParams(),
    ]);
    const statement = database.prepare(insertOf(Object.fromEntries(values)).toSQL().sql);
    const valuesOf = reading(given);
    return (row: Table['$inferSelect']) => statement.run(valuesOf(row)).changes > 0;
  };
  const insertAll = prepare(columns);
  const withUsual = columns.filter(isUsual);
  if (withUsual.length === 0) return insertAll;
  const insertOthers = prepare(columns.filter((each) => !isUsual(each)));
  const usualOf = reading(withUsual);
  const expected = usualOf(usual);
  return (row) =>
    usualOf(row).every((value, index) => value === expected[index]) ? insertOthers(row) : insertAll(row);
}

/** The values of these columns as better-sqlite3 takes them: numbers, texts, bytes and nulls. */
function reading(columns: readonly InsertedColumn[]): (row: object) => unknown[] {
  const names = columns.map(({ name }) => name);
  const mapped = columns.flatMap(({ column }, index) =>
    takesAsIs(column) ? [] : [{ index, map: (value: unknown) => column.mapToDriverValue(value) }],
  );
  return (row) => {
    const given = row as Record<string, unknown>;
    const values: unknown[] = new Array(names.length);
    for (let index = 0; index < names.length; index++) values[index] = given[names[index]!];
    for (const { index, map } of mapped) if (values[index] !== null) values[index] = map(values[index]);
    return values;
  };
}

function takesAsIs({ columnType }: SQLiteColumn): boolean {
  return columnType === 'SQLiteInteger' || columnType === 'SQLiteText' || columnType === 'SQLiteBlobBuffer';
}
