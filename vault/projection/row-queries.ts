/** What is asked of the rows, each question prepared once. */

import type { SQL } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { streamNames } from '../../schemas/subjects.ts';
import type { LogMark } from '../log/event-log.ts';
import { and, asc, eq, lte, ne, sql } from '../sqlite/drizzle.ts';
import { isId } from '../sqlite/id-column.ts';
import {
  forgotten,
  type GrantRow,
  grants,
  positions,
  type SessionRow,
  sessions,
  type UpstreamSessionRow,
  upstreamSessions,
} from './tables.ts';

/** A place in the order of expiry: many grants may expire in the same millisecond. */
export interface ExpiryPlace {
  readonly expiresAt: number;
  readonly row: number;
}

export interface ExpiringGrant extends ExpiryPlace {
  readonly grantId: string;
  readonly obtainedAt: number;
}

/** A place in the order in which linked accounts are to be kept alive. */
export interface KeepAlivePlace {
  readonly from: number;
  readonly row: number;
}

export interface KeptAliveGrant extends KeepAlivePlace {
  readonly grantId: string;
  readonly version: number;
  readonly usedAt: number;
}

/** Who signed out at the provider that the keys are of: a person, one session there, or the session if it is that person's. */
export interface SignedOut {
  readonly partition: number;
  readonly subjectKey: string | null;
  readonly sessionKey: string | null;
}

export interface RowQueries {
  grant(grantId: string): GrantRow | undefined;
  session(sessionId: string): SessionRow | undefined;
  holdingsOf(principalKey: string): { readonly sessions: SessionRow[]; readonly grants: GrantRow[] };
  /** The people who were forgotten, each with the sequence in the log. */
  forgotten(): [principalKey: string, sequence: number][];
  sessionGrants(session: Pick<SessionRow, 'sessionId' | 'principalKey'>): GrantRow[];
  upstreamSessions(meant: SignedOut): UpstreamSessionRow[];
  endedSessions(partition: number, at: number, limit: number): string[];
  evictableGrants(partition: number, at: number, limit: number): string[];
  expiringGrants(partition: number, after: ExpiryPlace, until: number, limit: number): ExpiringGrant[];
  keptAliveGrants(partition: number, at: number, after: KeepAlivePlace, limit: number): KeptAliveGrant[];
  position(stream: string): number;
  setPosition(stream: string, sequence: number, eventAt: number | null): void;
  mark(): LogMark | null;
  setMark(mark: LogMark): void;
}

export function prepareRowQueries(db: BetterSQLite3Database): RowQueries {
  const grantById = db.select().from(grants).where(isId(grants.grantId, 'id')).prepare();
  const sessionById = db.select().from(sessions).where(isId(sessions.sessionId, 'id')).prepare();
  const setPosition = db
    .update(positions)
    .set({
      sequence: sql`${sql.placeholder('sequence')}`,
      eventAt: sql`coalesce(${sql.placeholder('eventAt')}, ${positions.eventAt})`,
    })
    .where(eq(positions.stream, sql.placeholder('stream')))
    .prepare();
  const setMark = db
    .update(positions)
    .set({
      markSequence: sql`${sql.placeholder('sequence')}`,
      markEventId: sql`${sql.placeholder('eventId')}`,
    })
    .where(eq(positions.stream, streamNames.vault))
    .prepare();
  const grantsOfPrincipal = db
    .select()
    .from(grants)
    .where(and(isId(grants.principalKey, 'principalKey'), isId(grants.sessionId, 'id')))
    .prepare();
  const ofUpstream = (key: SQL) =>
    db
      .select()
      .from(upstreamSessions)
      .where(and(key, eq(upstreamSessions.partition, sql.placeholder('partition'))))
      .prepare();
  const ofUpstreamSubject = ofUpstream(isId(upstreamSessions.subjectKey, 'key'));
  const ofUpstreamSession = ofUpstream(isId(upstreamSessions.sessionKey, 'key'));
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
  const keptAlive = db
    .select({
      grantId: grants.grantId,
      version: grants.version,
      from: sql<number>`${grants.keepAliveFrom}`,
      usedAt: sql<number>`${grants.usedAt}`,
      row: sql<number>`rowid`,
    })
    .from(grants)
    .where(
      and(
        // As the partial index says it.
        sql`${grants.keepAliveFrom} IS NOT NULL`,
        eq(grants.partition, sql.placeholder('partition')),
        sql`(${grants.keepAliveFrom}, rowid) > (${sql.placeholder('from')}, ${sql.placeholder('row')})`,
        lte(grants.keepAliveFrom, sql.placeholder('at')),
        ne(grants.refreshStatus, 'reauth-required'),
      ),
    )
    .orderBy(asc(grants.keepAliveFrom), asc(sql`rowid`))
    .limit(sql.placeholder('limit'))
    .prepare();

  return {
    grant: (id) => grantById.get({ id }),
    session: (id) => sessionById.get({ id }),
    holdingsOf: (principalKey) => ({
      sessions: db.select().from(sessions).where(eq(sessions.principalKey, principalKey)).all(),
      grants: db.select().from(grants).where(eq(grants.principalKey, principalKey)).all(),
    }),
    forgotten: () =>
      db
        .select()
        .from(forgotten)
        .all()
        .map(({ principalKey, sequence }) => [principalKey, sequence]),
    sessionGrants: ({ principalKey, sessionId: id }) => grantsOfPrincipal.all({ principalKey, id }),
    upstreamSessions({ partition, subjectKey, sessionKey }) {
      if (subjectKey === null)
        return sessionKey === null ? [] : ofUpstreamSession.all({ partition, key: sessionKey });
      return ofUpstreamSubject
        .all({ partition, key: subjectKey })
        .filter((row) => sessionKey === null || row.sessionKey === null || row.sessionKey === sessionKey);
    },
    endedSessions: (partition, at, limit) => ended.all({ partition, at, limit }).map(({ id }) => id),
    evictableGrants: (partition, at, limit) => evictable.all({ partition, at, limit }).map(({ id }) => id),
    expiringGrants: (partition, { expiresAt, row }, until, limit) =>
      expiring.all({ partition, expiresAt, row, until, limit }),
    keptAliveGrants: (partition, at, { from, row }, limit) =>
      keptAlive.all({ partition, at, from, row, limit }),
    position: (stream) =>
      db.select().from(positions).where(eq(positions.stream, stream)).get()?.sequence ?? 0,
    setPosition(stream, sequence, eventAt) {
      setPosition.run({ stream, sequence, eventAt });
    },
    mark() {
      const row = db.select().from(positions).where(eq(positions.stream, streamNames.vault)).get();
      if (!row?.markSequence || !row.markEventId) return null;
      return { sequence: row.markSequence, eventId: row.markEventId };
    },
    setMark({ sequence, eventId }) {
      setMark.run({ sequence, eventId });
    },
  };
}
