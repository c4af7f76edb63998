/**
 * What will end when, as an operator asks it: counted for each day and provider, or one grant after another. In the order
 * of the index by eviction.
 */
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { and, asc, eq, gte, lt, sql } from '../sqlite/drizzle.ts';
import { grants } from './tables.ts';

/** `reauth-required`: the person must sign in there again. `kept-alive`: it will be refreshed before it ends. */
export type EndingKind = 'ends' | 'reauth-required' | 'kept-alive';

export interface EndingQuestion {
  /** Now, milliseconds since the epoch; what should be gone already counts for today. */
  readonly at: number;
  readonly from: number;
  /** Not included. */
  readonly until: number;
  readonly provider: string | null;
  /** The idle time of linked accounts that are kept alive; 0: none is. */
  readonly keptAliveMs: number;
}

export interface EndingCount {
  /** Days since the epoch, in UTC. */
  readonly day: number;
  readonly provider: string;
  readonly linked: boolean;
  readonly kind: EndingKind;
  readonly count: number;
}

export interface EndingPlace {
  readonly endsAt: number;
  readonly row: number;
}

export interface EndingGrant extends EndingPlace {
  readonly grantId: string;
  readonly provider: string;
  readonly sessionId: string | null;
  readonly kind: EndingKind;
}

export interface EndingQueries {
  count(partition: number, question: EndingQuestion): EndingCount[];
  list(partition: number, question: EndingQuestion, after: EndingPlace | null, limit: number): EndingGrant[];
}

const dayMs = 24 * 3_600_000;

export function prepareEndingQueries(db: BetterSQLite3Database): EndingQueries {
  const kindOf = ({ at, keptAliveMs }: EndingQuestion) => sql<EndingKind>`CASE
    WHEN ${grants.refreshStatus} = 'reauth-required' THEN 'reauth-required'
    WHEN ${grants.keepAliveFrom} IS NOT NULL AND ${keptAliveMs} > 0
      AND ${grants.usedAt} + ${keptAliveMs} > max(${grants.keepAliveFrom}, ${at}) THEN 'kept-alive'
    ELSE 'ends' END`;

  const isMeant = (partition: number, { from, until, provider }: EndingQuestion) =>
    and(
      eq(grants.partition, partition),
      gte(grants.evictableAt, from),
      lt(grants.evictableAt, until),
      provider === null ? undefined : eq(grants.provider, provider),
    );

  return {
    count(partition, question) {
      const day = sql<number>`CAST(max(${grants.evictableAt}, ${question.at}) / ${dayMs} AS INTEGER)`;
      const linked = sql<number>`${grants.sessionId} IS NULL`;
      const kind = kindOf(question);
      const rows = db
        .select({ day, provider: grants.provider, linked, kind, count: sql<number>`count(*)` })
        .from(grants)
        .where(isMeant(partition, question))
        .groupBy(sql`1`, sql`2`, sql`3`, sql`4`)
        .all();
      return rows.map((row) => ({ ...row, linked: row.linked === 1 }));
    },

    list(partition, question, after, limit) {
      const place = after ?? { endsAt: 0, row: 0 };
      return db
        .select({
          grantId: grants.grantId,
          provider: grants.provider,
          sessionId: grants.sessionId,
          endsAt: grants.evictableAt,
          row: sql<number>`rowid`,
          kind: kindOf(question),
        })
        .from(grants)
        .where(
          and(
            isMeant(partition, question),
            sql`(${grants.evictableAt}, rowid) > (${place.endsAt}, ${place.row})`,
          ),
        )
        .orderBy(asc(grants.evictableAt), asc(sql`rowid`))
        .limit(limit)
        .all();
    },
  };
}
