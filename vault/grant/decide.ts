/**
 * The rules of a grant, above all those of its refresh (RFC 6749 section 6): at most one claim is open, a rotated
 * token is never thrown away, and `invalid_grant` alone is final. Pure: no clock, no store, no randomness.
 */
import type { TokenSet } from '../../schemas/token.ts';
import type {
  EvictGrant,
  GrantCommand,
  LinkGrant,
  RecordRefreshed,
  RecordRefreshFailure,
  RecordUse,
  RestoreTokens,
  RevokeGrant,
  StartRefresh,
} from './commands.ts';
import type { GrantEvent } from './events.ts';
import { evictableAt } from './expiry.ts';
import type { GrantState, HeldGrant } from './state.ts';

/** An outcome is delivered within minutes; a provider that is down for days must not make a grant grow. */
const rememberedClaims = 16;

/** A backend that rejects the token of a forced refresh too will reject the next one: the refresh is not its cure. */
const forcedPauseMs = 60_000;

/** So little life is not worth waiting for. */
const nearlySpentMs = 5_000;

/** At most one event; none where there is nothing to do. */
export function decide(command: GrantCommand, state: GrantState): GrantEvent | null {
  switch (command.type) {
    case 'GrantTokens': {
      const { type: _, ...grant } = command;
      return { type: 'TokensGranted', ...grant, version: state.status === 'held' ? state.version + 1 : 1 };
    }
    case 'LinkGrant':
      return link(command, state);
    case 'RecordUse':
      return state.status === 'held' ? recordUse(command, state) : null;
    case 'StartRefresh':
      return state.status === 'held' ? startRefresh(command, state) : null;
    case 'RecordRefreshed':
      return state.status === 'held' ? recordRefreshed(command, state) : null;
    case 'RestoreTokens':
      return state.status === 'held' ? restoreTokens(command, state) : null;
    case 'RecordRefreshFailure':
      return state.status === 'held' ? recordFailure(command, state) : null;
    case 'RevokeGrant':
      return state.status === 'held' ? revoke(command, state) : null;
    case 'EvictGrant':
      return state.status === 'held' ? evict(command, state) : null;
    default:
      return command satisfies never;
  }
}

/** One person at a provider is linked at a time: another one must not slip in under the name of the first. */
export function isOtherAccount({ account }: Pick<LinkGrant, 'account'>, state: GrantState): boolean {
  return state.status === 'held' && state.account.subject !== account.subject;
}

function link(command: LinkGrant, state: GrantState): GrantEvent | null {
  const { type: _, ...grant } = command;
  if (state.status === 'absent') return { type: 'GrantLinked', ...grant, version: 1 };
  if (isOtherAccount(command, state) || state.linkId === command.linkId) return null;
  const tokens = keepsRefreshToken(command, state)
    ? {
        ...command.tokens,
        refreshToken: state.tokens.refreshToken,
        refreshExpiresAt: state.tokens.refreshExpiresAt,
      }
    : command.tokens;
  return { type: 'GrantLinked', ...grant, tokens, version: state.version + 1 };
}

/** A provider that leaves it out when an account is linked again means the former one to serve on. */
function keepsRefreshToken({ tokens, registration }: LinkGrant, state: HeldGrant): boolean {
  return (
    tokens.refreshToken === null &&
    state.refresh.status !== 'reauth-required' &&
    state.registration.clientId === registration.clientId &&
    state.registration.generation === registration.generation
  );
}

/** The event replaces those before it, so that it must not come while a claim or a failure stands there. */
function recordUse({ at, usedAt }: RecordUse, grant: HeldGrant): GrantEvent | null {
  if (grant.usedAt === null || usedAt <= grant.usedAt || grant.refresh.status !== 'idle') return null;
  const { status: _, refresh: __, ...carried } = grant;
  return { type: 'GrantUsed', at, ...carried, usedAt };
}

function startRefresh(command: StartRefresh, grant: HeldGrant): GrantEvent | null {
  const { at, claimId, deadlineAt } = command;
  const rejected = command.rejectedVersion === grant.version && !wasJustForced(grant, at);
  const expiring = grant.tokens.expiresAt !== null && grant.tokens.expiresAt <= command.neededUntil;
  const keepAlive = command.keepAliveVersion === grant.version && grant.tokens.refreshToken !== null;
  if (!rejected && !expiring && !keepAlive) return null;
  if (grant.refresh.status === 'reauth-required') return null;
  if (grant.refresh.status === 'claimed' && !mayTakeOver(command, grant.refresh.deadlineAt, grant, rejected))
    return null;
  if (grant.refresh.status === 'waiting' && grant.refresh.retryAt > at) return null;
  if (grant.tokens.refreshToken === null) {
    // A token that still lives is worth keeping, even if nothing can follow it.
    const alive = grant.tokens.expiresAt === null || grant.tokens.expiresAt > at;
    if (alive && !rejected) return null;
    return { type: 'ReauthRequired', at, grantId: grant.grantId, claimId: null, reason: 'no-refresh-token' };
  }
  const reason = rejected ? 'rejected' : expiring ? 'expiring' : 'keep-alive';
  const startedClaims = [...grant.startedClaims, claimId].slice(-rememberedClaims);
  return { type: 'RefreshStarted', at, grantId: grant.grantId, claimId, deadlineAt, reason, startedClaims };
}

/**
 * An outcome that is late may still come, and where the old token must not be sent twice (RFC 9700 section 4.14.2) it
 * alone can save the grant: as long as the access token is of use, it is waited for.
 */
function mayTakeOver(
  { at, deadlineAt: ownDeadlineAt, reuse }: StartRefresh,
  deadlineAt: number,
  { tokens }: HeldGrant,
  rejected: boolean,
): boolean {
  if (deadlineAt > at) return false;
  if (rejected || reuse.policy === 'tolerant') return true;
  const startedAt = deadlineAt - (ownDeadlineAt - at);
  if (reuse.policy === 'leeway' && at <= startedAt + reuse.leewayMs) return true;
  return tokens.expiresAt !== null && tokens.expiresAt <= at + nearlySpentMs;
}

function wasJustForced({ forcedAt, refresh }: HeldGrant, at: number): boolean {
  return forcedAt !== null && refresh.status !== 'claimed' && at < forcedAt + forcedPauseMs;
}

/**
 * Tokens that a provider gave are kept even if their claim was taken over, failed or was given up meanwhile: as long
 * as no later claim brought any, they are the newest there is. A repeated delivery finds its claim gone and changes
 * nothing, even while the next refresh runs.
 */
function recordRefreshed(command: RecordRefreshed, grant: HeldGrant): GrantEvent | null {
  const place = grant.startedClaims.indexOf(command.claimId);
  if (place < 0) return null;
  const { grantId, principalKey, provider, sessionId, registration, account, linkId } = grant;
  return {
    type: 'TokensRefreshed',
    at: command.at,
    claimId: command.claimId,
    ...{ grantId, principalKey, provider, sessionId, registration, account, linkId },
    version: grant.version + 1,
    tokens: mergeTokens(grant.tokens, command.tokens),
    startedClaims: grant.startedClaims.slice(place + 1),
    forcedAt: grant.forcedAt,
    usedAt: grant.usedAt === null ? null : Math.max(grant.usedAt, command.usedAt ?? 0),
    reason: null,
  };
}

/**
 * A log that lost its tail may have gone another way since: the same version then stands for tokens that were got later.
 * Both version and time must be newer. A claim that was started on the way is left: its outcome is newer still.
 */
function restoreTokens({ claimId, tokens, place }: RestoreTokens, grant: HeldGrant): GrantEvent | null {
  if (place.version <= grant.version || place.obtainedAt <= grant.obtainedAt) return null;
  if (place.linkId !== grant.linkId) return null;
  const { grantId, principalKey, provider, sessionId, registration, account } = grant;
  return {
    type: 'TokensRefreshed',
    at: place.obtainedAt,
    claimId,
    ...{ grantId, principalKey, provider, sessionId, registration, account },
    version: place.version,
    tokens: mergeTokens(grant.tokens, tokens),
    startedClaims: grant.startedClaims.slice(grant.startedClaims.indexOf(claimId) + 1),
    forcedAt: grant.forcedAt,
    linkId: grant.linkId,
    usedAt: grant.usedAt,
    reason: 'repaired-from-outbox',
  };
}

function recordFailure(command: RecordRefreshFailure, grant: HeldGrant): GrantEvent | null {
  const { at, claimId, reason, retryAt } = command;
  if (grant.refresh.status !== 'claimed' || grant.refresh.claimId !== claimId) return null;
  if (reason === 'invalid-grant' || reason === 'registration-gone') {
    return { type: 'ReauthRequired', at, grantId: grant.grantId, claimId, reason };
  }
  const failures = grant.refresh.failures + 1;
  return { type: 'RefreshFailed', at, grantId: grant.grantId, claimId, reason, failures, retryAt };
}

/** At once, also while a claim is open: what the provider answers to it is then revoked there too. */
function revoke({ at, reason }: RevokeGrant, grant: HeldGrant): GrantEvent {
  const { grantId, principalKey, provider, registration } = grant;
  return { type: 'GrantRevoked', at, reason, grantId, principalKey, provider, registration };
}

/** While a claim is open the provider may be rotating the refresh token: what it answers would have no place. */
function evict(
  { at, sessionEndsAt, linkedIdleMs }: EvictGrant,
  { grantId, tokens, refresh, usedAt }: HeldGrant,
): GrantEvent | null {
  if (refresh.status === 'claimed' && refresh.deadlineAt > at) return null;
  const goesAt = evictableAt(
    {
      accessExpiresAt: tokens.expiresAt,
      hasRefreshToken: tokens.refreshToken !== null,
      refreshExpiresAt: tokens.refreshExpiresAt,
    },
    usedAt === null
      ? { kind: 'session', endsAt: sessionEndsAt ?? 0 }
      : { kind: 'linked', idleEndsAt: usedAt + linkedIdleMs },
  );
  return goesAt <= at ? { type: 'GrantEvicted', at, grantId } : null;
}

/** A response without `refresh_token`, `id_token` or `scope` keeps the old one (RFC 6749 sections 5.1 and 6). */
function mergeTokens(old: TokenSet, answer: TokenSet): TokenSet {
  return {
    accessToken: answer.accessToken,
    tokenType: answer.tokenType,
    expiresAt: answer.expiresAt,
    refreshToken: answer.refreshToken ?? old.refreshToken,
    refreshExpiresAt:
      answer.refreshToken === null
        ? (answer.refreshExpiresAt ?? old.refreshExpiresAt)
        : answer.refreshExpiresAt,
    idToken: answer.idToken ?? old.idToken,
    scope: answer.scope ?? old.scope,
  };
}
