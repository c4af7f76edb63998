/**
 * The port of an upstream identity provider: what Latchkey needs from one, whatever its kind. One kind is one file
 * beside this one. Failures but those of `refresh` are `RefusedError`s with a code of the bus;
 * how a refresh ended is a value, for both ends are expected.
 */
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { Log } from '../../schemas/log.ts';
import type { LogoutTokenContent } from '../../schemas/messages/backchannel-logout.ts';
import type { LegSecrets } from '../../schemas/messages/provider-requests.ts';
import type { RefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

export interface Provider {
  /** The address for the browser (RFC 6749 section 4.1.1, PKCE S256), and what the leg must keep. */
  authorize(): Promise<{ authorizationUrl: string; leg: LegSecrets }>;
  /**
   * Checks the answer of the authorization endpoint against its leg and redeems the code. Tokens that came but cannot
   * be used, for nobody knows whose they are, are revoked at the provider as far as it can be done.
   */
  exchange(request: {
    leg: LegSecrets;
    parameters: Readonly<Record<string, Secret>>;
  }): Promise<{ tokens: TokenSet; account: UpstreamAccount; registration: ClientRegistration }>;
  /**
   * RFC 6749 section 6. Never throws, and is not cancelled: once `sendBefore` aborts, what was not sent is not
   * sent; what was sent is waited for until `answerBefore` (milliseconds since the epoch), for a late answer may have
   * the only copy of a rotated refresh token.
   */
  refresh(request: {
    refreshToken: Secret;
    registration: ClientRegistration;
    sendBefore: AbortSignal;
    answerBefore: number;
  }): Promise<RefreshOutcome>;
  /** RFC 7009. `revoked: false` where the provider has no such endpoint. */
  revoke(request: {
    token: Secret;
    tokenTypeHint: 'access_token' | 'refresh_token';
    registration: ClientRegistration;
  }): Promise<{ revoked: boolean }>;
  /** Who signed out there. A provider that has no such tokens refuses with `invalid-request`, as a wrong token is. */
  readLogoutToken(logoutToken: Secret): Promise<LogoutTokenContent>;
}

export interface ProviderDependencies {
  /** null: a public client, which proves itself by PKCE alone. */
  readonly clientSecret: Secret | null;
  /** Of the client's registration; by default 0, for one that is configured. */
  readonly generation?: number;
  /** The token endpoint answered `invalid_client` (RFC 6749 section 5.2). */
  readonly onClientRefused?: () => void;
  readonly fetch: GuardedFetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Log;
}
