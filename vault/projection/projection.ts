/**
 * The projection of the log in SQLite: sealed rows found by id, and the position up to which each stream was read,
 * stored in one transaction. Applying an event twice changes nothing, so the owner may apply what it appended before
 * the log brings it back.
 */
import type Database from 'better-sqlite3';
import { LRUCache } from 'lru-cache';
import { streamNames } from '../../schemas/subjects.ts';
import type { LogMark } from '../log/event-log.ts';
import type { EventMetadata } from '../log/stored-event.ts';
import { type BulkLoad, beginBulkLoad } from '../sqlite/bulk-load.ts';
import { drizzle } from '../sqlite/drizzle.ts';
import { dropForgotten, type ProjectedEntry, prepareApplyEvent } from './apply-event.ts';
import { type EndingQueries, prepareEndingQueries } from './ending-queries.ts';
import { openProjectionFile, type StreamIncarnation } from './projection-file.ts';
import {
  type ExpiringGrant,
  type ExpiryPlace,
  type KeepAlivePlace,
  type KeptAliveGrant,
  prepareRowQueries,
  type SignedOut,
} from './row-queries.ts';
import type { GrantRow, SessionRow } from './tables.ts';

export interface Projection extends Disposable {
  findGrant(grantId: string): GrantRow | null;
  findSession(sessionId: string): SessionRow | null;
  /** Everything of one person. */
  holdingsOf(principalKey: string): { readonly sessions: SessionRow[]; readonly grants: GrantRow[] };
  /** The sequence in the log with which a person was forgotten last; null: never. */
  forgottenAt(principalKey: string): number | null;
  /** What was read from the log. */
  apply(entry: ProjectedEntry): void;
  /** What this worker has appended to the log, and will read there. */
  applyAppended(entry: ProjectedEntry): void;
  /** Those of the session, all of one principal. */
  sessionGrants(session: Pick<SessionRow, 'sessionId' | 'principalKey'>): GrantRow[];
  /** The sessions of whom a provider told that they signed out there; of an unknown session there, if the person is told. */
  upstreamSessions(signedOut: SignedOut): SessionRow[];
  /** Ids of sessions whose time is over, the oldest first. */
  endedSessions(partition: number, at: number, limit: number): string[];
  /** Ids of grants that have nothing left to give, the oldest first. */
  evictableGrants(partition: number, at: number, limit: number): string[];
  /** Linked accounts that are to be kept alive from now on or before, those first that were to be so first. */
  keptAliveGrants(partition: number, at: number, after: KeepAlivePlace, limit: number): KeptAliveGrant[];
  /** Grants that can be refreshed, in the order in which their tokens expire, from a place up to a time. */
  expiringGrants(partition: number, after: ExpiryPlace, until: number, limit: number): ExpiringGrant[];
  /** What will end when. */
  readonly endings: EndingQueries;
  /** 0 if nothing was read yet. */
  position(stream: string): number;
  /** `eventAt`: when the last event that was read happened, if one was. */
  setPosition(stream: string, sequence: number, eventAt?: number): void;
  transaction(work: () => void): void;
  /** Of a projection that has read nothing yet; until it is finished nothing else may be asked of it. */
  beginLoad(): BulkLoad;
  /** The newest event that is in here; null: none. A log that does not have it is not the one that was read. */
  mark(): LogMark | null;
}

/**
 * Opens the file, or makes it anew where it is missing, damaged, of another schema, of another log, older than the
 * tombstones in the log, or reckoned with another idle time of linked accounts.
 * @param trusted it was written just now, and is not looked through
 */
export function openProjection(
  file: string,
  streams: readonly StreamIncarnation[],
  now: number,
  linkedIdleMs = 90 * 24 * 3_600_000,
  trusted = false,
): Projection {
  return createProjection(openProjectionFile(file, streams, { now, linkedIdleMs, trusted }), linkedIdleMs);
}

/**
 * People who call often are answered from memory; the rest of a row's way is the page cache of SQLite. Of grants: what is
 * sealed in them, and what a row and its opened answer take beside it. With ID tokens they are fewer.
 */
const rememberedBytes = 32 * 2 ** 20;
const rowBytes = 2200;
/** No more people than have their grants there. */
const rememberedSessions = 10_000;

function createProjection(database: Database.Database, linkedIdleMs: number): Projection {
  const db = drizzle(database);
  const rows = prepareRowQueries(db);
  const grantRows = new LRUCache<string, GrantRow>({
    maxSize: rememberedBytes,
    sizeCalculation: ({ sealed }) => rowBytes + sealed.length,
  });
  const sessionRows = new LRUCache<string, SessionRow>({ max: rememberedSessions });
  /** By aggregate, the last of what is in here and was not read yet: what is read up to it is in here already. */
  const appended = new Map<string, number>();
  /** Few, and asked at every event that brings something of a person. */
  const forgottenAt = new Map(rows.forgotten());
  let mark = rows.mark();
  let storedMark = mark;
  const storeMark = () => {
    if (mark && mark !== storedMark) rows.setMark(mark);
    storedMark = mark;
  };
  const findSession = (id: string) => remembered(sessionRows, id, rows.session);
  let applyEvent = prepareApplyEvent(database, linkedIdleMs);

  function applyTo(aggregate: string, entry: ProjectedEntry): void {
    const { metadata } = entry.event;
    if (entry.sequence > (mark?.sequence ?? 0)) mark = { sequence: entry.sequence, eventId: metadata.id };
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
    applyEvent(entry);
  }

  return {
    findGrant: (id) => remembered(grantRows, id, rows.grant),
    findSession,
    forgottenAt: (principalKey) => forgottenAt.get(principalKey) ?? null,
    apply(entry) {
      const aggregate = aggregateOf(entry.event.metadata);
      if (entry.sequence > (appended.get(aggregate) ?? 0)) applyTo(aggregate, entry);
    },
    applyAppended(entry) {
      const aggregate = aggregateOf(entry.event.metadata);
      appended.set(aggregate, entry.sequence);
      applyTo(aggregate, entry);
    },
    setPosition(stream, sequence, eventAt) {
      rows.setPosition(stream, sequence, eventAt ?? null);
      storeMark();
      if (stream !== streamNames.vault) return;
      for (const [aggregate, last] of appended) if (last <= sequence) appended.delete(aggregate);
    },
    holdingsOf: rows.holdingsOf,
    sessionGrants: rows.sessionGrants,
    upstreamSessions: (signedOut) =>
      rows
        .upstreamSessions(signedOut)
        .map(({ sessionId }) => findSession(sessionId))
        .filter((session) => session !== null),
    endedSessions: rows.endedSessions,
    evictableGrants: rows.evictableGrants,
    expiringGrants: rows.expiringGrants,
    keptAliveGrants: rows.keptAliveGrants,
    endings: prepareEndingQueries(db),
    position: rows.position,
    transaction(work) {
      try {
        database.transaction(() => {
          work();
          storeMark();
        })();
      } catch (error) {
        // With what the former one remembers of what is not there.
        appended.clear();
        applyEvent = prepareApplyEvent(database, linkedIdleMs);
        throw error;
      }
    },
    mark: () => mark,
    beginLoad() {
      const load = beginBulkLoad(database, {
        cacheKiB: 65_536,
        ofFewRows: ['grants_by_keep_alive'],
        whenIndexed: () => dropForgotten(database),
      });
      applyEvent = prepareApplyEvent(database, linkedIdleMs, true);
      return load;
    },
    [Symbol.dispose]: () => {
      database.close();
    },
  };
}

function remembered<Row extends object>(
  rows: LRUCache<string, Row>,
  id: string,
  read: (id: string) => Row | undefined,
): Row | null {
  const known = rows.get(id);
  if (known) return known;
  const row = read(id);
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
