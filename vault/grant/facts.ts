/** The fact that tells of an event, without anything that must stay secret. */
import type { VaultFact } from '../../schemas/events/facts.ts';
import type { Skipped } from '../authorization/chain.ts';
import type { SessionEvent } from '../session/session.ts';
import type { GrantEvent, GrantOwner } from './events.ts';

const factNames = {
  TokensGranted: 'tokens-granted',
  GrantLinked: 'grant-linked',
  GrantUsed: 'grant-used',
  RefreshStarted: 'refresh-started',
  TokensRefreshed: 'tokens-refreshed',
  RefreshFailed: 'refresh-failed',
  ReauthRequired: 'reauth-required',
  GrantRevoked: 'grant-revoked',
  GrantEvicted: 'grant-evicted',
} as const;

export function grantFact(id: string, event: GrantEvent, owner: GrantOwner): VaultFact {
  return {
    id,
    fact: factNames[event.type],
    at: event.at,
    principal: owner.principalKey,
    session: owner.sessionId,
    grant: owner.grantId,
    provider: owner.provider,
    version: 'version' in event ? event.version : null,
    reason: 'reason' in event ? event.reason : null,
  };
}

/** A session begins without the tokens of this provider. */
export function skippedFact(
  id: string,
  { at, sessionId, principalKey }: Extract<SessionEvent, { type: 'SessionOpened' }>,
  { provider, reason }: Skipped,
): VaultFact {
  const fact = { id, fact: 'provider-skipped', at, principal: principalKey, session: sessionId } as const;
  return { ...fact, grant: null, provider, version: null, reason };
}

export function sessionFact(id: string, event: SessionEvent, principalKey: string): VaultFact {
  return {
    id,
    fact: event.type === 'SessionOpened' ? 'session-opened' : 'session-ended',
    at: event.at,
    principal: principalKey,
    session: event.sessionId,
    grant: null,
    provider: null,
    version: null,
    reason: event.type === 'SessionEnded' ? event.reason : null,
  };
}
