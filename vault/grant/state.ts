/** The state of one grant, as its events made it. */
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GrantOwner, ReauthRequired } from './events.ts';

export type RefreshState =
  | { readonly status: 'idle' }
  | {
      readonly status: 'claimed';
      readonly claimId: string;
      readonly deadlineAt: number;
      readonly failures: number;
    }
  | { readonly status: 'waiting'; readonly failures: number; readonly retryAt: number }
  | { readonly status: 'reauth-required'; readonly reason: ReauthRequired['reason'] };

export interface HeldGrant extends GrantOwner {
  readonly status: 'held';
  /** Grows by one with each token set. */
  readonly version: number;
  readonly tokens: TokenSet;
  readonly account: UpstreamAccount;
  /** When the held tokens were got. */
  readonly obtainedAt: number;
  /** The link that brought the grant; null: it is a session's. */
  readonly linkId: string | null;
  /** When a linked account was used last, as far as the log knows: to a day or so. null: the grant is a session's. */
  readonly usedAt: number | null;
  readonly refresh: RefreshState;
  /** When a refresh was forced last, because a backend rejected the token; null: never, or it failed. */
  readonly forcedAt: number | null;
  /**
   * The claims, oldest first, whose tokens would be newer than the held ones: those that were taken over at their
   * deadline and the last one. A claim that is not among them was recorded already, or is overtaken.
   */
  readonly startedClaims: readonly string[];
}

export type GrantState = { readonly status: 'absent' } | HeldGrant;

export const noGrant: GrantState = { status: 'absent' };
