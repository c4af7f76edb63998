/**
 * drizzle in its CommonJS build, in which a vault worker starts in a third of the time: for each of the hundred modules
 * of the other build, Node reads drizzle's package.json again, which has 180 kB.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const { drizzle } =
  require('drizzle-orm/better-sqlite3') as typeof import('drizzle-orm/better-sqlite3');
export const { and, asc, desc, eq, getTableColumns, gte, inArray, isNotNull, isNull, lt, lte, ne, sql } =
  require('drizzle-orm') as typeof import('drizzle-orm');
export const { blob, customType, index, integer, primaryKey, sqliteTable, text } =
  require('drizzle-orm/sqlite-core') as typeof import('drizzle-orm/sqlite-core');
