/**
 * What an event does to the rows. A row knows the sequence of the event that made it, and is changed only by a later
 * one: applying an event twice changes nothing. Every statement is prepared once, for a rebuild applies millions.
 */
import type Database from 'better-sqlite3';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { LRUCache } from 'lru-cache';
import { besideTokens } from '../grant/evolve.ts';
import { evictableAt, keepAliveFrom } from '../grant/expiry.ts';
import type { StoredEvent } from '../log/stored-event.ts';
import { and, drizzle, eq, getTableColumns, inArray, lt, sql } from '../sqlite/drizzle.ts';
import { isId } from '../sqlite/id-column.ts';
import { prepareInsert } from '../sqlite/prepared-insert.ts';
import { forgotten, grants, sessions, upstreamSessions } from './tables.ts';

export interface ProjectedEntry {
  readonly sequence: number;
  readonly partition: number;
  readonly event: StoredEvent;
}

/** Their grants come right behind them. */
const recentSessions = 1000;

export type ApplyEvent = (entry: ProjectedEntry) => void;

/**
 * @param linkedIdleMs so long after its last use a linked account may go
 * @param isLoading rows are not found by the person yet: `dropForgotten` is called when they are
 */
export function prepareApplyEvent(
  database: Database.Database,
  linkedIdleMs: number,
  isLoading = false,
): ApplyEvent {
  const db = drizzle(database);
  const endOfSession = database
    .prepare<[Buffer], number>(
      db.select({ endsAt: sessions.endsAt }).from(sessions).where(isId(sessions.sessionId, 'id')).toSQL().sql,
    )
    .pluck();
  const endOfRecent = new LRUCache<string, number>({ max: recentSessions });
  /** 0 if there is no such session. */
  const sessionEndsAt = (id: string) =>
    endOfRecent.get(id) ?? endOfSession.get(sessions.sessionId.mapToDriverValue(id) as Buffer) ?? 0;
  const keepGrant = prepareInsert(
    database,
    grants,
    (values) => db.insert(grants).values(values).onConflictDoUpdate(newerGrant),
    {
      ...{ refreshStatus: 'idle', claimId: null, refreshUntil: null, failures: 0, reason: null },
      ...{ linkId: null, usedAt: null, keepAliveFrom: null, startedClaims: [], forcedAt: null },
    },
  );
  const openSession = prepareInsert(database, sessions, (values) =>
    db.insert(sessions).values(values).onConflictDoNothing(),
  );
  const keepUpstreamSession = prepareInsert(database, upstreamSessions, (values) =>
    db.insert(upstreamSessions).values(values).onConflictDoNothing(),
  );
  const startRefresh = prepareUpdate(db, {
    refreshStatus: 'claimed',
    claimId: sql.placeholder('claimId'),
    refreshUntil: sql.placeholder('refreshUntil'),
    startedClaims: sql.placeholder('startedClaims'),
    forcedAt: sql`coalesce(${sql.placeholder('forcedAt')}, ${grants.forcedAt})`,
  });
  const failRefresh = prepareUpdate(db, {
    refreshStatus: 'waiting',
    claimId: null,
    refreshUntil: sql.placeholder('refreshUntil'),
    failures: sql.placeholder('failures'),
    reason: sql.placeholder('reason'),
    forcedAt: null,
  });
  const requireReauth = prepareUpdate(db, {
    refreshStatus: 'reauth-required',
    claimId: null,
    refreshUntil: null,
    reason: sql.placeholder('reason'),
  });
  const dropGrant = db
    .delete(grants)
    .where(and(isId(grants.grantId, 'grantId'), isOlder(grants)))
    .prepare();
  const dropSession = db
    .delete(sessions)
    .where(and(isId(sessions.sessionId, 'sessionId'), isOlder(sessions)))
    .prepare();
  const dropUpstreamSessions = db
    .delete(upstreamSessions)
    .where(and(isId(upstreamSessions.sessionId, 'sessionId'), isOlder(upstreamSessions)))
    .prepare();

  return ({ sequence, partition, event: { metadata, sealed } }) => {
    switch (metadata.type) {
      case 'TokensGranted':
      case 'GrantLinked':
      case 'TokensRefreshed':
      case 'GrantUsed': {
        const { grantId, sessionId, expiresAt, refreshExpiresAt, refreshable } = metadata;
        const { startedClaims, forcedAt, obtainedAt, linkId, usedAt } = besideTokens(metadata);
        keepGrant({
          grantId,
          partition,
          principalKey: metadata.principalKey,
          provider: metadata.provider,
          sessionId,
          linkId,
          usedAt,
          clientId: metadata.registration.clientId,
          clientGeneration: metadata.registration.generation,
          version: metadata.version,
          expiresAt,
          refreshExpiresAt,
          refreshable,
          obtainedAt,
          evictableAt: evictableAt(
            { accessExpiresAt: expiresAt, hasRefreshToken: refreshable, refreshExpiresAt },
            sessionId === null
              ? { kind: 'linked', idleEndsAt: (usedAt ?? obtainedAt) + linkedIdleMs }
              : { kind: 'session', endsAt: sessionEndsAt(sessionId) },
          ),
          keepAliveFrom:
            sessionId === null
              ? keepAliveFrom({ grantId, obtainedAt, refreshExpiresAt, hasRefreshToken: refreshable })
              : null,
          sealed,
          refreshStatus: 'idle',
          claimId: null,
          refreshUntil: null,
          failures: 0,
          reason: null,
          startedClaims,
          forcedAt,
          sequence,
        });
        return;
      }
      case 'RefreshStarted': {
        const { grantId, claimId, deadlineAt: refreshUntil, startedClaims } = metadata;
        const forcedAt = metadata.reason === 'rejected' ? metadata.at : null;
        startRefresh.run({ grantId, sequence, claimId, refreshUntil, startedClaims, forcedAt });
        return;
      }
      case 'RefreshFailed': {
        const { grantId, retryAt: refreshUntil, failures, reason } = metadata;
        failRefresh.run({ grantId, sequence, refreshUntil, failures, reason });
        return;
      }
      case 'ReauthRequired':
        requireReauth.run({ grantId: metadata.grantId, sequence, reason: metadata.reason });
        return;
      case 'GrantEvicted':
      case 'GrantRevoked':
      case 'GrantForgotten':
        dropGrant.run({ grantId: metadata.grantId, sequence });
        return;
      case 'SessionOpened': {
        const { sessionId, principalKey, clientId, endsAt } = metadata;
        const openedAt = metadata.at;
        const row = { sessionId, partition, principalKey, clientId, openedAt, endsAt, sequence };
        if (openSession(row)) endOfRecent.set(sessionId, endsAt);
        for (const upstream of metadata.upstreams ?? [])
          keepUpstreamSession({ sessionId, partition, ...upstream, sequence });
        return;
      }
      case 'SessionEnded':
      case 'SessionForgotten':
        endOfRecent.delete(metadata.sessionId);
        dropSession.run({ sessionId: metadata.sessionId, sequence });
        dropUpstreamSessions.run({ sessionId: metadata.sessionId, sequence });
        return;
      case 'UserForgotten':
        endOfRecent.clear();
        markForgotten(db, metadata.principalKey, sequence);
        if (!isLoading) dropHoldings(db, metadata.principalKey, sequence);
        return;
      default:
        metadata satisfies never;
    }
  };
}

function isOlder(table: typeof grants | typeof sessions | typeof upstreamSessions) {
  return sql`${table.sequence} < ${sql.placeholder('sequence')}`;
}

/** Puts a row in place of an older one. */
const newerGrant = {
  target: grants.grantId,
  set: Object.fromEntries(
    Object.entries(getTableColumns(grants)).map(([name, column]) => [
      name,
      sql`excluded.${sql.identifier(column.name)}`,
    ]),
  ),
  setWhere: sql`${grants.sequence} < excluded.sequence`,
};

type GrantChange = Parameters<ReturnType<BetterSQLite3Database['update']>['set']>[0];

function prepareUpdate(db: BetterSQLite3Database, change: GrantChange) {
  return db
    .update(grants)
    .set({ ...change, sequence: sql`${sql.placeholder('sequence')}` })
    .where(and(isId(grants.grantId, 'grantId'), isOlder(grants)))
    .prepare();
}

function markForgotten(db: BetterSQLite3Database, principalKey: string, sequence: number): void {
  db.insert(forgotten)
    .values({ principalKey, sequence })
    .onConflictDoUpdate({
      target: forgotten.principalKey,
      set: { sequence },
      setWhere: lt(forgotten.sequence, sequence),
    })
    .run();
}

function dropHoldings(db: BetterSQLite3Database, principalKey: string, sequence: number): void {
  const theirs = db
    .select({ sessionId: sessions.sessionId })
    .from(sessions)
    .where(and(eq(sessions.principalKey, principalKey), lt(sessions.sequence, sequence)));
  db.delete(upstreamSessions).where(inArray(upstreamSessions.sessionId, theirs)).run();
  for (const table of [grants, sessions])
    db.delete(table)
      .where(and(eq(table.principalKey, principalKey), lt(table.sequence, sequence)))
      .run();
}

/** Of everybody who was forgotten while the file was loaded. */
export function dropForgotten(database: Database.Database): void {
  const db = drizzle(database);
  for (const { principalKey, sequence } of db.select().from(forgotten).all())
    dropHoldings(db, principalKey, sequence);
}
