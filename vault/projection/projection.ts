/**
 * The projection of the log in SQLite: sealed rows found by id, and the position up to which each stream was read,
 * stored in one transaction. Applying an event twice changes nothing, so the owner may apply what it appended before
 * the log brings it back.
 */

import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { LRUCache } from 'lru-cache';
import type { StoredEvent } from '../log/stored-event.ts';
import { and, drizzle, eq, lt, sql } from '../sqlite/drizzle.ts';
import {
  createTables,
  dataKeys,
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

export interface Projection extends Disposable {
  findGrant(grantId: string): GrantRow | null;
  findSession(sessionId: string): SessionRow | null;
  findDataKey(principalKey: string): Buffer | null;
  putDataKey(principalKey: string, wrapped: Uint8Array, sequence: number): void;
  apply(entry: ProjectedEntry): void;
  /** 0 if nothing was read yet. */
  position(stream: string): number;
  setPosition(stream: string, sequence: number): void;
  transaction(work: () => void): void;
}

export interface StreamIncarnation {
  readonly stream: string;
  readonly incarnation: string;
  /** The last sequence in the stream now; a file that is ahead of it read another log. */
  readonly lastSequence: number;
}

/** Opens the file, or makes it anew where it is missing, damaged, of another schema, or of another log. */
export function openProjection(file: string, streams: readonly StreamIncarnation[]): Projection {
  const database = openUsable(file, streams) ?? createNew(file);
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
  const dataKeyOf = db
    .select({ wrapped: dataKeys.wrapped })
    .from(dataKeys)
    .where(eq(dataKeys.principalKey, sql.placeholder('id')))
    .prepare();
  const setPosition = db
    .update(positions)
    .set({ sequence: sql`${sql.placeholder('sequence')}` })
    .where(eq(positions.stream, sql.placeholder('stream')))
    .prepare();

  return {
    findGrant: (id) => remembered(grantRows, id, () => grantById.get({ id })),
    findSession: (id) => remembered(sessionRows, id, () => sessionById.get({ id })),
    findDataKey: (id) => dataKeyOf.get({ id })?.wrapped ?? null,
    putDataKey(principalKey, wrapped, sequence) {
      const values = { principalKey, wrapped: Buffer.from(wrapped), sequence };
      db.insert(dataKeys)
        .values(values)
        .onConflictDoUpdate({
          target: dataKeys.principalKey,
          set: values,
          setWhere: lt(dataKeys.sequence, sequence),
        })
        .run();
    },
    apply(entry) {
      const { metadata } = entry.event;
      if ('grantId' in metadata) grantRows.delete(metadata.grantId);
      applyEvent(db, entry);
    },
    position: (stream) =>
      db.select().from(positions).where(eq(positions.stream, stream)).get()?.sequence ?? 0,
    setPosition: (stream, sequence) => {
      setPosition.run({ stream, sequence });
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

function applyEvent(db: BetterSQLite3Database, { sequence, partition, event }: ProjectedEntry): void {
  const { metadata, sealed } = event;
  switch (metadata.type) {
    case 'TokensGranted':
    case 'TokensRefreshed': {
      const { grantId, principalKey, provider, sessionId, version, expiresAt, refreshExpiresAt } = metadata;
      const values = {
        ...{ grantId, partition, principalKey, provider, sessionId, version, expiresAt, refreshExpiresAt },
        clientId: metadata.registration.clientId,
        clientGeneration: metadata.registration.generation,
        sealed,
        refreshStatus: 'idle' as const,
        ...{ claimId: null, refreshUntil: null, failures: 0, reason: null },
        startedClaims: metadata.type === 'TokensRefreshed' ? metadata.startedClaims : [],
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
    case 'SessionOpened': {
      const { sessionId, principalKey, clientId, endsAt } = metadata;
      db.insert(sessions)
        .values({ sessionId, partition, principalKey, clientId, openedAt: metadata.at, endsAt, sequence })
        .onConflictDoNothing()
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

function openUsable(file: string, streams: readonly StreamIncarnation[]): Database.Database | null {
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
