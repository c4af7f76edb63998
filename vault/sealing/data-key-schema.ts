/** Tables of `keys.sqlite`. */
import { blob, integer, sqliteTable, text } from '../sqlite/drizzle.ts';

/** Raised with every change of a table: an older file is read anew from the stream. */
export const keySchemaVersion = 2;

/** Data keys, wrapped by the key ring. */
export const dataKeys = sqliteTable('data_keys', {
  principalKey: text('principal_key').primaryKey(),
  wrapped: blob('wrapped', { mode: 'buffer' }).notNull(),
  sequence: integer('sequence').notNull(),
});

/** One row: how far the stream was read. */
export const keyPosition = sqliteTable('key_position', {
  sequence: integer('sequence').notNull(),
  incarnation: text('incarnation').notNull(),
});

export const createKeyTables = `
  CREATE TABLE data_keys (
    principal_key TEXT PRIMARY KEY NOT NULL, wrapped BLOB NOT NULL, sequence INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE key_position (sequence INTEGER NOT NULL, incarnation TEXT NOT NULL) STRICT;
`;
