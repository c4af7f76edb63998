/**
 * A derived id as a column: its 24 bytes, without the prefix that the column implies. That is a third less than its
 * text, in the rows and again in each index.
 */
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { customType, sql } from './drizzle.ts';

const textLength = 36;

/** @throws TypeError (when a value is written or asked for) it is not such an id */
export function idColumn(prefix: 'pri' | 'ses' | 'grt' | 'sbj' | 'ssn', name: string) {
  return customType<{ data: string; driverData: Buffer }>({
    dataType: () => 'blob',
    toDriver(id) {
      if (id.length !== textLength || !id.startsWith(`${prefix}_`))
        throw new TypeError(`what is kept as ${name} must be an id of the form ${prefix}_\u2026`);
      return Buffer.from(id.slice(4), 'base64url');
    },
    fromDriver: (bytes) => `${prefix}_${bytes.toString('base64url')}`,
  })(name);
}

/** `column = :name` in a prepared statement: a bare placeholder would be compared as text. */
export function isId(column: SQLiteColumn, name: string) {
  return sql`${column} = ${sql.param(sql.placeholder(name), column)}`;
}
