/**
 * Tables of `projection.sqlite`: what the log says, in a form that answers a look-up. Tokens and personal data are
 * the sealed bytes of the log. The file is disposable; whatever does not fit is thrown away and rebuilt.
 */
import { blob, index, integer, primaryKey, sql, sqliteTable, text } from '../sqlite/drizzle.ts';
import { idColumn } from '../sqlite/id-column.ts';

/** Raised with every change of a table: an older file is rebuilt from the log. */
export const schemaVersion = 8;

export const grants = sqliteTable(
  'grants',
  {
    grantId: idColumn('grt', 'grant_id').primaryKey(),
    partition: integer('partition').notNull(),
    principalKey: idColumn('pri', 'principal_key').notNull(),
    provider: text('provider').notNull(),
    /** null: a linked account. */
    sessionId: idColumn('ses', 'session_id'),
    /** Of a linked account: the link that brought it, and when it was used last. */
    linkId: text('link_id'),
    usedAt: integer('used_at'),
    clientId: text('client_id').notNull(),
    clientGeneration: integer('client_generation').notNull(),
    version: integer('version').notNull(),
    expiresAt: integer('expires_at'),
    refreshExpiresAt: integer('refresh_expires_at'),
    refreshable: integer('refreshable', { mode: 'boolean' }).notNull(),
    /** When the held tokens were got. */
    obtainedAt: integer('obtained_at').notNull(),
    /** From then on the grant has nothing left to give. */
    evictableAt: integer('evictable_at').notNull(),
    /** Of a linked account: from then on its refresh token is kept alive. */
    keepAliveFrom: integer('keep_alive_from'),
    /** `{tokens, account}` under the principal's data key. */
    sealed: blob('sealed', { mode: 'buffer' }).notNull(),
    refreshStatus: text('refresh_status', {
      enum: ['idle', 'claimed', 'waiting', 'reauth-required'],
    }).notNull(),
    claimId: text('claim_id'),
    /** Of the claim when claimed, of the next attempt when waiting. */
    refreshUntil: integer('refresh_until'),
    failures: integer('failures').notNull(),
    reason: text('reason'),
    /** A list of claim ids as JSON. */
    startedClaims: text('started_claims', { mode: 'json' }).$type<readonly string[]>().notNull(),
    forcedAt: integer('forced_at'),
    sequence: integer('sequence').notNull(),
  },
  (table) => [
    index('grants_by_principal').on(table.principalKey),
    index('grants_by_eviction').on(table.partition, table.evictableAt),
    index('grants_by_expiry').on(table.partition, table.expiresAt).where(sql`refreshable = 1`),
    index('grants_by_keep_alive')
      .on(table.partition, table.keepAliveFrom)
      .where(sql`keep_alive_from IS NOT NULL`),
  ],
);
export type GrantRow = typeof grants.$inferSelect;

export const sessions = sqliteTable(
  'sessions',
  {
    sessionId: idColumn('ses', 'session_id').primaryKey(),
    partition: integer('partition').notNull(),
    principalKey: idColumn('pri', 'principal_key').notNull(),
    clientId: text('client_id').notNull(),
    openedAt: integer('opened_at').notNull(),
    endsAt: integer('ends_at').notNull(),
    sequence: integer('sequence').notNull(),
  },
  (table) => [
    index('sessions_by_principal').on(table.principalKey),
    index('sessions_by_end').on(table.partition, table.endsAt),
  ],
);
export type SessionRow = typeof sessions.$inferSelect;

/** Whom a session belongs to at the OpenID providers of its sign-in: what one of them tells is told by these. */
export const upstreamSessions = sqliteTable(
  'upstream_sessions',
  {
    sessionId: idColumn('ses', 'session_id').notNull(),
    partition: integer('partition').notNull(),
    provider: text('provider').notNull(),
    subjectKey: idColumn('sbj', 'subject_key').notNull(),
    /** null: which of the person's sign-ins there it is, is not known. */
    sessionKey: idColumn('ssn', 'session_key'),
    sequence: integer('sequence').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.sessionId, table.provider] }),
    index('upstream_sessions_by_subject').on(table.subjectKey),
    index('upstream_sessions_by_session').on(table.sessionKey).where(sql`session_key IS NOT NULL`),
  ],
);

export type UpstreamSessionRow = typeof upstreamSessions.$inferSelect;

/** People who were forgotten, and when in the log: what is older than that and still read is not theirs any more. */
export const forgotten = sqliteTable('forgotten', {
  principalKey: idColumn('pri', 'principal_key').primaryKey(),
  sequence: integer('sequence').notNull(),
});

/** How far each stream was read. */
export const positions = sqliteTable('positions', {
  stream: text('stream').primaryKey(),
  sequence: integer('sequence').notNull(),
  incarnation: text('incarnation').notNull(),
  /** When the event happened that was read last; null: none yet. */
  eventAt: integer('event_at'),
  /** The newest event that was applied, by the owner perhaps before it was read; null: none yet. */
  markSequence: integer('mark_sequence'),
  markEventId: text('mark_event_id'),
});

/** One row: what times were reckoned with that are not in the log. */
export const reckoning = sqliteTable('reckoning', { linkedIdleMs: integer('linked_idle_ms').notNull() });

/** The tables as SQL. Rowid tables: `WITHOUT ROWID` loads seven times slower with rows of this size. */
export const createTables = `
  CREATE TABLE grants (
    grant_id BLOB PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, principal_key BLOB NOT NULL,
    provider TEXT NOT NULL, session_id BLOB, link_id TEXT, used_at INTEGER,
    client_id TEXT NOT NULL, client_generation INTEGER NOT NULL,
    version INTEGER NOT NULL, expires_at INTEGER, refresh_expires_at INTEGER, refreshable INTEGER NOT NULL,
    obtained_at INTEGER NOT NULL, evictable_at INTEGER NOT NULL, keep_alive_from INTEGER, sealed BLOB NOT NULL,
    refresh_status TEXT NOT NULL, claim_id TEXT, refresh_until INTEGER, failures INTEGER NOT NULL, reason TEXT,
    started_claims TEXT NOT NULL, forced_at INTEGER, sequence INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX grants_by_principal ON grants (principal_key);
  CREATE INDEX grants_by_eviction ON grants (partition, evictable_at);
  CREATE INDEX grants_by_expiry ON grants (partition, expires_at) WHERE refreshable = 1;
  CREATE INDEX grants_by_keep_alive ON grants (partition, keep_alive_from) WHERE keep_alive_from IS NOT NULL;
  CREATE TABLE sessions (
    session_id BLOB PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, principal_key BLOB NOT NULL,
    client_id TEXT NOT NULL, opened_at INTEGER NOT NULL, ends_at INTEGER NOT NULL, sequence INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sessions_by_principal ON sessions (principal_key);
  CREATE INDEX sessions_by_end ON sessions (partition, ends_at);
  CREATE TABLE upstream_sessions (
    session_id BLOB NOT NULL, partition INTEGER NOT NULL, provider TEXT NOT NULL, subject_key BLOB NOT NULL,
    session_key BLOB, sequence INTEGER NOT NULL, PRIMARY KEY (session_id, provider)
  ) STRICT;
  CREATE INDEX upstream_sessions_by_subject ON upstream_sessions (subject_key);
  CREATE INDEX upstream_sessions_by_session ON upstream_sessions (session_key) WHERE session_key IS NOT NULL;
  CREATE TABLE forgotten (principal_key BLOB PRIMARY KEY NOT NULL, sequence INTEGER NOT NULL) STRICT;
  CREATE TABLE positions (
    stream TEXT PRIMARY KEY NOT NULL, sequence INTEGER NOT NULL, incarnation TEXT NOT NULL, event_at INTEGER,
    mark_sequence INTEGER, mark_event_id TEXT
  ) STRICT;
  CREATE TABLE reckoning (linked_idle_ms INTEGER NOT NULL) STRICT;
`;
