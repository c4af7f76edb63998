/**
 * Facts about one grant: one token set of one provider, held by a principal for a session or as a linked account.
 * An event that carries tokens carries the complete set, so that it can replace everything before it in the log.
 */
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { TokenSet } from '../../schemas/token.ts';

/** What stays with a grant for its whole life. */
export interface GrantOwner {
  readonly grantId: string;
  readonly principalKey: string;
  readonly provider: string;
  /** The session that the grant ends with; null: a linked account, which outlives sessions. */
  readonly sessionId: string | null;
  readonly registration: ClientRegistration;
}

interface TokenBearing extends GrantOwner {
  readonly at: number;
  readonly version: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
}

export interface TokensGranted extends TokenBearing {
  readonly type: 'TokensGranted';
}

/** A person linked an account at a provider, for the first time or again. */
export interface GrantLinked extends TokenBearing {
  readonly type: 'GrantLinked';
  /** Which link it was. */
  readonly linkId: string;
}

/** Appended before the provider is called: a refresh token is sent by the one who holds the claim. */
export interface RefreshStarted {
  readonly type: 'RefreshStarted';
  readonly at: number;
  readonly grantId: string;
  readonly claimId: string;
  readonly deadlineAt: number;
  readonly reason: RefreshReason;
  /** With this one last: see `HeldGrant`. */
  readonly startedClaims: readonly string[];
}

/** What `HeldGrant` says beside the tokens, in an event that replaces those that said it. */
export interface Carried {
  readonly startedClaims: readonly string[];
  readonly forcedAt: number | null;
  readonly linkId: string | null;
  readonly usedAt: number | null;
}

/** Of the claims it keeps those that were started after the one that this is the outcome of. */
export interface TokensRefreshed extends TokenBearing, Carried {
  readonly type: 'TokensRefreshed';
  readonly claimId: string;
  /** Why it was appended, if not because a provider answered. `at` is then when these tokens were got. */
  readonly reason: 'repaired-from-outbox' | null;
}

/** A linked account was used. Carries everything, so that it replaces what was before it and nothing piles up. */
export interface GrantUsed extends TokenBearing, Carried {
  readonly type: 'GrantUsed';
  readonly obtainedAt: number;
}

/** The provider could not be used; the grant stays and is tried again after `retryAt`. */
export interface RefreshFailed {
  readonly type: 'RefreshFailed';
  readonly at: number;
  readonly grantId: string;
  readonly claimId: string;
  readonly reason: 'provider-unavailable' | 'provider-configuration';
  readonly failures: number;
  readonly retryAt: number;
}

/** Final: the person must sign in at the provider again. */
export interface ReauthRequired {
  readonly type: 'ReauthRequired';
  readonly at: number;
  readonly grantId: string;
  readonly claimId: string | null;
  readonly reason: 'invalid-grant' | 'registration-gone' | 'no-refresh-token';
}

/** The grant had nothing left to give. Replaces everything before it in the log, and goes itself after a month. */
export interface GrantEvicted {
  readonly type: 'GrantEvicted';
  readonly at: number;
  readonly grantId: string;
}

/** Somebody took the grant away. Replaces everything before it in the log, and goes itself after a month. */
export interface GrantRevoked
  extends Pick<GrantOwner, 'grantId' | 'principalKey' | 'provider' | 'registration'> {
  readonly type: 'GrantRevoked';
  readonly at: number;
  readonly reason: RevocationReason;
}

/** `keep-alive`: the refresh token would expire of idleness. */
export type RefreshReason = 'expiring' | 'rejected' | 'keep-alive';
export type RevocationReason = 'unlinked' | 'operator' | 'session-revoked' | 'upstream-logout';
export type TokenBearingEvent = TokensGranted | GrantLinked | TokensRefreshed | GrantUsed;
export type GrantEvent =
  | TokenBearingEvent
  | RefreshStarted
  | RefreshFailed
  | ReauthRequired
  | GrantRevoked
  | GrantEvicted;

export function bearsTokens(event: GrantEvent): event is TokenBearingEvent {
  switch (event.type) {
    case 'TokensGranted':
    case 'GrantLinked':
    case 'TokensRefreshed':
    case 'GrantUsed':
      return true;
    default:
      return false;
  }
}
