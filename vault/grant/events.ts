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
  /** The session that the grant ends with. */
  readonly sessionId: string;
  readonly registration: ClientRegistration;
}

export interface TokensGranted extends GrantOwner {
  readonly type: 'TokensGranted';
  readonly at: number;
  readonly version: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
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

export interface TokensRefreshed extends GrantOwner {
  readonly type: 'TokensRefreshed';
  readonly at: number;
  readonly claimId: string;
  readonly version: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
  /** The claims that were started after the one that this is the outcome of. */
  readonly startedClaims: readonly string[];
  /** See `HeldGrant`. */
  readonly forcedAt: number | null;
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

export type RefreshReason = 'expiring' | 'rejected';
export type GrantEvent =
  | TokensGranted
  | RefreshStarted
  | TokensRefreshed
  | RefreshFailed
  | ReauthRequired
  | GrantEvicted;
