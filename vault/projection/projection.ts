/**
 * The projection of the log in SQLite: sealed rows found by id, and the position up to which each stream was read,
 * stored in one transaction. Applying an event twice changes nothing, so the owner may apply what it appended before
 * the log brings it back.
 */

import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { LRUCache } from 'lru-cache';
import { streamNames } from '../../schemas/subjects.ts';
import { evictableAt } from '../grant/expiry.ts';
import { tombstoneSeconds } from '../log/event-log.ts';
import type { EventMetadata, StoredEvent } from '../log/stored-event.ts';
import { and, asc, drizzle, eq, lt, lte, ne, sql } from '../sqlite/drizzle.ts';
import {
  createTables,
  forgotten,
  type GrantRow,
  grants,
  positions,
  type SessionRow,
  schemaVersion,
  sessions,
} from './tables.ts';

export interface ProjectedEntry {
  readonly sequence: number;
  readonly partition: number;
  readonly event: StoredEvent;
}

/** A place in the order of expiry: many grants may expire in the same millisecond. */
export interface ExpiryPlace {
  readonly expiresAt: number;
  readonly row: number;
}

export interface ExpiringGrant extends ExpiryPlace {
  readonly grantId: string;
  readonly obtainedAt: number;
}

export interface Projection extends Disposable {
  findGrant(grantId: string): GrantRow | null;
  findSession(sessionId: string): SessionRow | null;
  /** Everything of one person. */
  holdingsOf(principalKey: string): { readonly sessions: SessionRow[]; readonly grants: GrantRow[] };
  /** The sequence in the log with which a person was forgotten last; null: never. */
  forgottenAt(principalKey: string): number | null;
  apply(entry: ProjectedEntry): void;
  /** Those of the session, all of one principal. */
  sessionGrants(session: Pick<SessionRow, 'sessionId' | 'principalKey'>): GrantRow[];
  /** Ids of sessions whose time is over, the oldest first. */
  endedSessions(partition: number, at: number, limit: number): string[];
  /** Ids of grants that have nothing left to give, the oldest first. */
  evictableGrants(partition: number, at: number, limit: number): string[];
  /** Grants that can be refreshed, in the order in which their tokens expire, from a place up to a time. */
  expiringGrants(partition: number, after: ExpiryPlace, until: number, limit: number): ExpiringGrant[];
  /** 0 if nothing was read yet. */
  position(stream: string): number;
  /** `eventAt`: when the last event that was read happened, if one was. */
  setPosition(stream: string, sequence: number, eventAt?: number): void;
  transaction(work: () => void): void;
}

export interface StreamIncarnation {
  readonly stream: string;
  readonly incarnation: string;
  /** The last sequence in the stream now; a file that is ahead of it read another log. */
  readonly lastSequence: number;
}

/**
 * Opens the file, or makes it anew where it is missing, damaged, of another schema, of another log, or older than the
 * tombstones in the log.
 */
export function openProjection(file: string, streams: readonly StreamIncarnation[], now: number): Projection {
  const database = openUsable(file, streams, now) ?? createNew(file);
  const db = drizzle(database);
  for (const { stream, incarnation } of streams) {
    db.insert(positions).values({ stream, sequence: 0, incarnation }).onConflictDoNothing().run();
  }
  return createProjection(database, db);
}

/** People who call often are answered from memory; the rest of a row's way is the page cache of SQLite. */
const rememberedRows = 20_000;

function createProjection(database: Database.Database, db: BetterSQLite3Database): Projection {
  const grantRows = new LRUCache<string, GrantRow>({ max: rememberedRows });
  const sessionRows = new LRUCache<string, SessionRow>({ max: rememberedRows });
  /**
   * The sequences of tombstones that the follower has not read yet. What it brings meanwhile and is older must not come
   * back to life.
   */
  const buried = new Map<string, number>();
  const grantById = db
    .select()
    .from(grants)
    .where(eq(grants.grantId, sql.placeholder('id')))
    .prepare();
  const sessionById = db
    .select()
    .from(sessions)
    .where(eq(sessions.sessionId, sql.placeholder('id')))
    .prepare();
  /** Few, and asked at every event that brings something of a person. */
  const forgottenAt = new Map(
    db
      .select()
      .from(forgotten)
      .all()
      .map(({ principalKey, sequence }) => [principalKey, sequence]),
  );
  const setPosition = db
    .update(positions)
    .set({
      sequence: sql`${sql.placeholder('sequence')}`,
      eventAt: sql`coalesce(${sql.placeholder('eventAt')}, ${positions.eventAt})`,
    })
    .where(eq(positions.stream, sql.placeholder('stream')))
    .prepare();
  const grantsOfPrincipal = db
    .select()
    .from(grants)
    .where(
      and(
        eq(grants.principalKey, sql.placeholder('principalKey')),
        eq(grants.sessionId, sql.placeholder('id')),
      ),
    )
    .prepare();
  const ended = db
    .select({ id: sessions.sessionId })
    .from(sessions)
    .where(
      and(eq(sessions.partition, sql.placeholder('partition')), lte(sessions.endsAt, sql.placeholder('at'))),
    )
    .orderBy(asc(sessions.endsAt))
    .limit(sql.placeholder('limit'))
    .prepare();
  const evictable = db
    .select({ id: grants.grantId })
    .from(grants)
    .where(
      and(eq(grants.partition, sql.placeholder('partition')), lte(grants.evictableAt, sql.placeholder('at'))),
    )
    .orderBy(asc(grants.evictableAt))
    .limit(sql.placeholder('limit'))
    .prepare();
  const expiring = db
    .select({
      grantId: grants.grantId,
      // Those without an expiry are behind no place.
      expiresAt: sql<number>`${grants.expiresAt}`,
      obtainedAt: grants.obtainedAt,
      row: sql<number>`rowid`,
    })
    .from(grants)
    .where(
      and(
        // As the partial index says it.
        sql`${grants.refreshable} = 1`,
        eq(grants.partition, sql.placeholder('partition')),
        sql`(${grants.expiresAt}, rowid) > (${sql.placeholder('expiresAt')}, ${sql.placeholder('row')})`,
        lte(grants.expiresAt, sql.placeholder('until')),
        ne(grants.refreshStatus, 'reauth-required'),
      ),
    )
    .orderBy(asc(grants.expiresAt), asc(sql`rowid`))
    .limit(sql.placeholder('limit'))
    .prepare();
  const findSession = (id: string) => remembered(sessionRows, id, () => sessionById.get({ id }));
  const sessionEndsAt = (sessionId: string) => findSession(sessionId)?.endsAt ?? 0;

  return {
    findGrant: (id) => remembered(grantRows, id, () => grantById.get({ id })),
    findSession,
    holdingsOf: (principalKey) => ({
      sessions: db.select().from(sessions).where(eq(sessions.principalKey, principalKey)).all(),
      grants: db.select().from(grants).where(eq(grants.principalKey, principalKey)).all(),
    }),
    forgottenAt: (principalKey) => forgottenAt.get(principalKey) ?? null,
    apply(entry) {
      const { metadata } = entry.event;
      const aggregate = aggregateOf(metadata);
      grantRows.delete(aggregate);
      sessionRows.delete(aggregate);
      if (metadata.type === 'UserForgotten') {
        const { principalKey } = metadata;
        forgottenAt.set(principalKey, Math.max(entry.sequence, forgottenAt.get(principalKey) ?? 0));
        dropOf(grantRows, principalKey);
        dropOf(sessionRows, principalKey);
      } else if ('principalKey' in metadata) {
        // The owner may know already what the log is only now telling everybody.
        if (entry.sequence < (forgottenAt.get(metadata.principalKey) ?? 0)) return;
      }
      if (entry.sequence < (buried.get(aggregate) ?? 0)) return;
      if (metadata.type === 'GrantEvicted' || metadata.type === 'SessionEnded') {
        buried.set(aggregate, entry.sequence);
      }
      applyEvent(db, entry, sessionEndsAt);
    },
    sessionGrants: ({ principalKey, sessionId: id }) => grantsOfPrincipal.all({ principalKey, id }),
    endedSessions: (partition, at, limit) => ended.all({ partition, at, limit }).map(({ id }) => id),
    expiringGrants: (partition, { expiresAt, row }, until, limit) =>
      expiring.all({ partition, expiresAt, row, until, limit }),
    evictableGrants: (partition, at, limit) => evictable.all({ partition, at, limit }).map(({ id }) => id),
    position: (stream) =>
      db.select().from(positions).where(eq(positions.stream, stream)).get()?.sequence ?? 0,
    setPosition(stream, sequence, eventAt) {
      setPosition.run({ stream, sequence, eventAt: eventAt ?? null });
      if (stream !== streamNames.vault) return;
      for (const [aggregate, last] of buried) if (last <= sequence) buried.delete(aggregate);
    },
    transaction: (work) => database.transaction(work)(),
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}

function remembered<Row extends object>(
  rows: LRUCache<string, Row>,
  id: string,
  read: () => Row | undefined,
): Row | null {
  const known = rows.get(id);
  if (known) return known;
  const row = read();
  if (row) rows.set(id, row);
  return row ?? null;
}

function aggregateOf(metadata: EventMetadata): string {
  if ('grantId' in metadata) return metadata.grantId;
  return 'sessionId' in metadata ? metadata.sessionId : metadata.principalKey;
}

function dropOf<Row extends { principalKey: string }>(
  rows: LRUCache<string, Row>,
  principalKey: string,
): void {
  for (const [id, row] of [...rows.entries()]) if (row.principalKey === principalKey) rows.delete(id);
}

function applyEvent(
  db: BetterSQLite3Database,
  { sequence, partition, event }: ProjectedEntry,
  sessionEndsAt: (sessionId: string) => number,
): void {
  const { metadata, sealed } = event;
  switch (metadata.type) {
    case 'TokensGranted':
    case 'TokensRefreshed': {
      const { grantId, principalKey, provider, sessionId, version } = metadata;
      const { expiresAt, refreshExpiresAt, refreshable } = metadata;
      const values = {
        ...{ grantId, partition, principalKey, provider, sessionId, version },
        ...{ expiresAt, refreshExpiresAt, refreshable, obtainedAt: metadata.at },
        evictableAt: evictableAt({
          accessExpiresAt: expiresAt,
          hasRefreshToken: refreshable,
          refreshExpiresAt,
          sessionEndsAt: sessionEndsAt(sessionId),
        }),
        clientId: metadata.registration.clientId,
        clientGeneration: metadata.registration.generation,
        sealed,
        refreshStatus: 'idle' as const,
        ...{ claimId: null, refreshUntil: null, failures: 0, reason: null },
        startedClaims: metadata.type === 'TokensRefreshed' ? metadata.startedClaims : [],
        forcedAt: metadata.type === 'TokensRefreshed' ? metadata.forcedAt : null,
        eventId: metadata.id,
        sequence,
      };
      db.insert(grants)
        .values(values)
        .onConflictDoUpdate({ target: grants.grantId, set: values, setWhere: lt(grants.sequence, sequence) })
        .run();
      return;
    }
    case 'RefreshStarted':
      updateGrant(db, metadata.grantId, sequence, {
        refreshStatus: 'claimed',
        claimId: metadata.claimId,
        refreshUntil: metadata.deadlineAt,
        startedClaims: metadata.startedClaims,
        ...(metadata.reason === 'rejected' && { forcedAt: metadata.at }),
        eventId: metadata.id,
      });
      return;
    case 'RefreshFailed':
      updateGrant(db, metadata.grantId, sequence, {
        refreshStatus: 'waiting',
        claimId: null,
        refreshUntil: metadata.retryAt,
        failures: metadata.failures,
        reason: metadata.reason,
        forcedAt: null,
        eventId: metadata.id,
      });
      return;
    case 'ReauthRequired':
      updateGrant(db, metadata.grantId, sequence, {
        refreshStatus: 'reauth-required',
        claimId: null,
        refreshUntil: null,
        reason: metadata.reason,
        eventId: metadata.id,
      });
      return;
    case 'GrantEvicted':
      db.delete(grants)
        .where(and(eq(grants.grantId, metadata.grantId), lt(grants.sequence, sequence)))
        .run();
      return;
    case 'SessionEnded':
      db.delete(sessions)
        .where(and(eq(sessions.sessionId, metadata.sessionId), lt(sessions.sequence, sequence)))
        .run();
      return;
    case 'SessionOpened': {
      const { sessionId, principalKey, clientId, endsAt } = metadata;
      db.insert(sessions)
        .values({ sessionId, partition, principalKey, clientId, openedAt: metadata.at, endsAt, sequence })
        .onConflictDoNothing()
        .run();
      return;
    }
    case 'GrantForgotten':
      db.delete(grants)
        .where(and(eq(grants.grantId, metadata.grantId), lt(grants.sequence, sequence)))
        .run();
      return;
    case 'SessionForgotten':
      db.delete(sessions)
        .where(and(eq(sessions.sessionId, metadata.sessionId), lt(sessions.sequence, sequence)))
        .run();
      return;
    case 'UserForgotten': {
      const { principalKey } = metadata;
      for (const table of [grants, sessions])
        db.delete(table)
          .where(and(eq(table.principalKey, principalKey), lt(table.sequence, sequence)))
          .run();
      db.insert(forgotten)
        .values({ principalKey, sequence })
        .onConflictDoUpdate({
          target: forgotten.principalKey,
          set: { sequence },
          setWhere: lt(forgotten.sequence, sequence),
        })
        .run();
      return;
    }
    default:
      metadata satisfies never;
  }
}

function updateGrant(
  db: BetterSQLite3Database,
  grantId: string,
  sequence: number,
  values: Partial<Omit<GrantRow, 'grantId' | 'sequence'>>,
): void {
  db.update(grants)
    .set({ ...values, sequence })
    .where(and(eq(grants.grantId, grantId), lt(grants.sequence, sequence)))
    .run();
}

/** Less than the tombstones lie in the log, for the clocks of two machines differ. */
const oldestMs = (tombstoneSeconds - 24 * 3600) * 1000;

function openUsable(
  file: string,
  streams: readonly StreamIncarnation[],
  now: number,
): Database.Database | null {
  if (!existsSync(file)) return null;
  let database: Database.Database | undefined;
  try {
    database = open(file);
    if (database.pragma('user_version', { simple: true }) !== schemaVersion)
      throw new Error('another schema');
    if (database.pragma('quick_check', { simple: true }) !== 'ok') throw new Error('damaged');
    const rows = drizzle(database).select().from(positions).all();
    for (const { stream, incarnation, lastSequence } of streams) {
      const row = rows.find((candidate) => candidate.stream === stream);
      if (row && (row.incarnation !== incarnation || row.sequence > lastSequence))
        throw new Error('another log');
      if (row && row.eventAt !== null && now - row.eventAt > oldestMs) throw new Error('too old');
    }
    return database;
  } catch {
    database?.close();
    return null;
  }
}

function createNew(file: string): Database.Database {
  for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true });
  const database = open(file);
  database.transaction(() => {
    database.exec(createTables);
    database.pragma(`user_version = ${schemaVersion}`);
  })();
  return database;
}

function open(file: string): Database.Database {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  // What is overwritten must not stay readable in free pages.
  database.pragma('secure_delete = FAST');
  return database;
}
