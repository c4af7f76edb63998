/** Orders about one grant. The time rides in the command, milliseconds since the epoch. */
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GrantOwner } from './events.ts';

export interface GrantTokens extends GrantOwner {
  readonly type: 'GrantTokens';
  readonly at: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
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
  /** What the provider does with a refresh token that was used before. */
  readonly reuse: RefreshTokenReuse;
}

export interface RecordRefreshed {
  readonly type: 'RecordRefreshed';
  readonly at: number;
  readonly claimId: string;
  readonly tokens: TokenSet;
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
  /** null: the session that the grant ends with is over. */
  readonly sessionEndsAt: number | null;
}

export type GrantCommand = GrantTokens | StartRefresh | RecordRefreshed | RecordRefreshFailure | EvictGrant;
