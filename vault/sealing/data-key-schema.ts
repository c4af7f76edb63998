/** Tables of `keys.sqlite`. */
import { blob, integer, sqliteTable, text } from '../sqlite/drizzle.ts';

/** Raised with every change of a table: an older file is read anew from the stream. */
export const keySchemaVersion = 3;

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
  /** The newest message that is in here, put by this worker perhaps before it was read. */
  markSequence: integer('mark_sequence').notNull(),
  markDigest: text('mark_digest').notNull(),
});

export const createKeyTables = `
  CREATE TABLE data_keys (
    principal_key TEXT PRIMARY KEY NOT NULL, wrapped BLOB NOT NULL, sequence INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE key_position (
    sequence INTEGER NOT NULL, incarnation TEXT NOT NULL, mark_sequence INTEGER NOT NULL, mark_digest TEXT NOT NULL
  ) STRICT;
`;
