/**
 * What an event does to the rows. A row knows the sequence of the event that made it, and is changed only by a later
 * one: applying an event twice changes nothing.
 */
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import { besideTokens } from '../grant/evolve.ts';
import { evictableAt, keepAliveFrom } from '../grant/expiry.ts';
import type { StoredEvent } from '../log/stored-event.ts';
import { and, eq, lt } from '../sqlite/drizzle.ts';
import { forgotten, type GrantRow, grants, sessions } from './tables.ts';

export interface ProjectedEntry {
  readonly sequence: number;
  readonly partition: number;
  readonly event: StoredEvent;
}

export interface Bounds {
  /** 0 if there is no such session. */
  readonly sessionEndsAt: (sessionId: string) => number;
  /** So long after its last use a linked account may go. */
  readonly linkedIdleMs: number;
}

export function applyEvent(
  db: BetterSQLite3Database,
  { sequence, partition, event }: ProjectedEntry,
  bounds: Bounds,
): void {
  const { metadata, sealed } = event;
  switch (metadata.type) {
    case 'TokensGranted':
    case 'GrantLinked':
    case 'TokensRefreshed':
    case 'GrantUsed': {
      const { grantId, principalKey, provider, sessionId, version } = metadata;
      const { expiresAt, refreshExpiresAt, refreshable } = metadata;
      const beside = besideTokens(metadata);
      const { obtainedAt, usedAt } = beside;
      const values = {
        ...{ grantId, partition, principalKey, provider, sessionId, version },
        ...{ expiresAt, refreshExpiresAt, refreshable, ...beside },
        evictableAt: evictableAt(
          { accessExpiresAt: expiresAt, hasRefreshToken: refreshable, refreshExpiresAt },
          sessionId === null
            ? { kind: 'linked', idleEndsAt: (usedAt ?? obtainedAt) + bounds.linkedIdleMs }
            : { kind: 'session', endsAt: bounds.sessionEndsAt(sessionId) },
        ),
        keepAliveFrom:
          sessionId === null
            ? keepAliveFrom({ grantId, obtainedAt, refreshExpiresAt, hasRefreshToken: refreshable })
            : null,
        clientId: metadata.registration.clientId,
        clientGeneration: metadata.registration.generation,
        sealed,
        refreshStatus: 'idle' as const,
        ...{ claimId: null, refreshUntil: null, failures: 0, reason: null },
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
    case 'GrantRevoked':
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
