/** Orders about one grant. The time rides in the command, milliseconds since the epoch. */
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GrantOwner, RevocationReason } from './events.ts';

export interface GrantTokens extends GrantOwner {
  readonly type: 'GrantTokens';
  readonly at: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
}

/**
 * Link an account. Refused by `isOtherAccount`; nothing to do if it is the link that is held already.
 */
export interface LinkGrant extends GrantOwner {
  readonly type: 'LinkGrant';
  readonly at: number;
  readonly linkId: string;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
}

/** Note in the log that a linked account was used. */
export interface RecordUse {
  readonly type: 'RecordUse';
  readonly at: number;
  readonly usedAt: number;
}

export interface RevokeGrant {
  readonly type: 'RevokeGrant';
  readonly at: number;
  readonly reason: RevocationReason;
}

/** Refresh, unless that is needless, under way or to be waited for. */
export interface StartRefresh {
  readonly type: 'StartRefresh';
  readonly at: number;
  readonly claimId: string;
  readonly deadlineAt: number;
  /** A token that lives beyond this time needs no refresh. */
  readonly neededUntil: number;
  /** The version that a backend rejected: refreshed even if it has not expired. */
  readonly rejectedVersion: number | null;
  /** The version whose refresh token would expire of idleness: refreshed even if the access token lives. */
  readonly keepAliveVersion?: number;
  /** What the provider does with a refresh token that was used before. */
  readonly reuse: RefreshTokenReuse;
}

export interface RecordRefreshed {
  readonly type: 'RecordRefreshed';
  readonly at: number;
  readonly claimId: string;
  readonly tokens: TokenSet;
  /** When the grant was used last, if that is known; a refresh that nobody asked for is no use. */
  readonly usedAt: number | null;
}

/** Tokens that the log had, or had taken the claim of, before it lost its tail. */
export interface RestoreTokens {
  readonly type: 'RestoreTokens';
  readonly at: number;
  readonly claimId: string;
  readonly tokens: TokenSet;
  readonly place: TokenPlace;
}

/** Where a token set stands among those of its grant. */
export interface TokenPlace {
  readonly version: number;
  readonly obtainedAt: number;
  /** See `HeldGrant`: of another link they may be somebody else's. */
  readonly linkId: string | null;
}

export interface RecordRefreshFailure {
  readonly type: 'RecordRefreshFailure';
  readonly at: number;
  readonly claimId: string;
  readonly reason: 'invalid-grant' | 'registration-gone' | 'provider-configuration' | 'provider-unavailable';
  /** When to try again if the failure is not final. */
  readonly retryAt: number;
}

/** Let the grant go, if it has nothing left to give. */
export interface EvictGrant {
  readonly type: 'EvictGrant';
  readonly at: number;
  /** null: the session that the grant ends with is over. Of no meaning for a linked account. */
  readonly sessionEndsAt: number | null;
  /** So long after its last use a linked account may go. */
  readonly linkedIdleMs: number;
}

export type GrantCommand =
  | GrantTokens
  | LinkGrant
  | RecordUse
  | StartRefresh
  | RecordRefreshed
  | RestoreTokens
  | RecordRefreshFailure
  | RevokeGrant
  | EvictGrant;
