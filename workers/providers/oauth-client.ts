/**
 * The OAuth 2.0 client that all kinds of provider share: authorization code with PKCE S256 (RFC 7636), state,
 * `iss` (RFC 9207), refresh and revocation, by `openid-client`. The library writes every request and checks
 * every answer of the browser; the answer of the token endpoint is read here (token-answer.ts) before the library
 * judges it, so that nothing it dislikes can throw a rotated refresh token away.
 */
import * as client from 'openid-client';
import type { ClientProviderSettings } from '../../schemas/config/provider-config.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { LegSecrets } from '../../schemas/messages/provider-requests.ts';
import type { RefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { revokeInStyle } from './revocation.ts';
import {
  type OAuthErrorCode,
  parseErrorCode,
  readTokenAnswer,
  type TokenAnswer,
  type TokenAnswerForm,
} from './token-answer.ts';
import type { UserInfo } from './user-info.ts';

/** A configuration of the library whose requests go through `fetch`. Opened anew for each use; costs no request. */
export type OpenConfiguration = (fetch: GuardedFetch) => Promise<client.Configuration>;

export interface OAuthClient extends Pick<Provider, 'authorize' | 'refresh' | 'revoke'> {
  /** `claims`: of the ID token, checked, if one was expected. `identity`: what the answer itself says. */
  redeemCode(request: { leg: LegSecrets; parameters: Readonly<Record<string, Secret>> }): Promise<{
    tokens: TokenSet;
    claims: client.IDToken | null;
    identity: UserInfo | null;
    registration: ClientRegistration;
  }>;
  /** Has the provider forget tokens that nobody will use, as far as it can be done; whoever asks does not wait. */
  discard(tokens: TokenSet): void;
}

export interface OAuthClientOptions extends ProviderDependencies {
  readonly settings: ClientProviderSettings;
  readonly openConfiguration: OpenConfiguration;
  /** OpenID Connect: a nonce is sent, and an ID token with it must come back. */
  readonly idTokenExpected: boolean;
}

interface TokenRequest<T> {
  /** null: nothing was sent. */
  readonly answer: TokenAnswer | null;
  readonly result: T | null;
  readonly error: unknown;
}

export function createOAuthClient(options: OAuthClientOptions): OAuthClient {
  const { settings, openConfiguration, idTokenExpected, fetch, now, log } = options;
  const registration: ClientRegistration = {
    clientId: settings.clientId,
    generation: options.generation ?? 0,
  };
  const isOurs = (other: ClientRegistration) =>
    other.clientId === registration.clientId && other.generation === registration.generation;
  const form: Omit<TokenAnswerForm, 'mayBeFlat'> = {
    mapping: settings.type === 'oauth2' ? settings.tokenResponseMapping : null,
    identity: settings.type === 'oauth2' ? settings.identityFromToken : null,
    scopeSeparator: settings.scopeSeparator,
  };

  /** Sends one token request and reads its answer; the library then sees only what it has to check. */
  async function requestTokens<T>(
    send: (configuration: client.Configuration) => Promise<T>,
    refresh: { sendBefore: AbortSignal; answerBefore: number } | null = null,
  ): Promise<TokenRequest<T>> {
    let answer: TokenAnswer | null = null;
    const configuration = await openConfiguration(async (url, request) => {
      if (request?.method !== 'POST') return fetch(url, request);
      const sentAt = now();
      try {
        answer = { status: 'unavailable', retryAfterSeconds: null };
        const timeoutMs = refresh ? Math.max(0, refresh.answerBefore - sentAt) : undefined;
        const response = await fetch(url, { ...request, sendBefore: refresh?.sendBefore, timeoutMs });
        answer = await readTokenAnswer(response, sentAt, { ...form, mayBeFlat: refresh !== null });
      } catch (error) {
        log.warn({ error }, 'no answer from the token endpoint');
      }
      return answerForLibrary(answer, idTokenExpected);
    });
    try {
      return { result: await send(configuration), error: null, answer };
    } catch (error) {
      return { result: null, error, answer };
    }
  }

  /** Tells the operator of an ID token that the provider should not have sent; the tokens are kept. */
  async function checkRefreshedIdToken(idToken: Secret): Promise<void> {
    try {
      const configuration = await openConfiguration(async (url, request) =>
        request?.method === 'POST'
          ? Response.json({ access_token: '-', token_type: 'bearer', id_token: idToken.reveal() })
          : fetch(url, request),
      );
      client.enableNonRepudiationChecks(configuration);
      await client.refreshTokenGrant(configuration, '-');
    } catch (error) {
      log.warn({ error }, 'the ID token that came with a refresh is not valid');
    }
  }

  return {
    async authorize() {
      const configuration = await openConfiguration(fetch);
      const state = client.randomState();
      const nonce = idTokenExpected ? client.randomNonce() : null;
      const codeVerifier = client.randomPKCECodeVerifier();
      const authorizationUrl = client.buildAuthorizationUrl(configuration, {
        ...settings.authorizationParams,
        response_type: 'code',
        client_id: settings.clientId,
        redirect_uri: settings.redirectUri,
        ...(settings.scopes.length === 0
          ? {}
          : { [settings.scopeParameter]: settings.scopes.join(settings.scopeSeparator) }),
        state,
        ...(nonce === null ? {} : { nonce }),
        code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
      });
      return {
        authorizationUrl: authorizationUrl.href,
        leg: {
          state: new Secret(state),
          nonce: nonce === null ? null : new Secret(nonce),
          codeVerifier: new Secret(codeVerifier),
          redirectUri: settings.redirectUri,
        },
      };
    },

    async redeemCode({ leg, parameters }) {
      const callback = new URL(leg.redirectUri);
      for (const [name, value] of Object.entries(parameters)) callback.searchParams.set(name, value.reveal());
      const { answer, result, error } = await requestTokens((configuration) => {
        if (idTokenExpected) client.enableNonRepudiationChecks(configuration);
        return client.authorizationCodeGrant(configuration, callback, {
          expectedState: leg.state.reveal(),
          pkceCodeVerifier: leg.codeVerifier.reveal(),
          ...(leg.nonce === null ? {} : { expectedNonce: leg.nonce.reveal() }),
          idTokenExpected,
        });
      });
      if (answer === null) throw refusalOfCallback(error);
      if (answer.status === 'refused') {
        tellOfRefusal(answer.error);
        throw new RefusedError('upstream-refused', refusalMessage(answer.error));
      }
      if (answer.status === 'unavailable')
        throw new RefusedError('upstream-unavailable', 'the token endpoint gave no usable answer');
      if (result === null) {
        log.warn({ error }, 'the answer of the token endpoint does not pass the checks');
        discard(answer.tokens);
        throw new RefusedError('upstream-unavailable', 'the answer of the token endpoint is not valid');
      }
      const { identity } = answer;
      const tokens = answer.tokens.refreshToken === null ? answer.tokens : withRefreshExpiry(answer.tokens);
      return { tokens, claims: result.claims() ?? null, identity, registration };
    },

    async refresh({ refreshToken, registration: obtainedBy, sendBefore, answerBefore }) {
      if (!isOurs(obtainedBy)) return failed('registration-gone');
      try {
        // The scope is not sent: what is left out means the scope of the grant, and that is what is wanted.
        const { answer, error } = await requestTokens(
          (configuration) => client.refreshTokenGrant(configuration, refreshToken.reveal()),
          { sendBefore, answerBefore },
        );
        if (answer === null) throw error;
        if (answer.status === 'tokens') {
          if (idTokenExpected && answer.tokens.idToken) void checkRefreshedIdToken(answer.tokens.idToken);
          return { status: 'refreshed', tokens: withRefreshExpiry(answer.tokens) };
        }
        log.info({ outcome: answer.status, ...describeRefusal(answer) }, 'a refresh failed');
        if (answer.status === 'unavailable') return failed('provider-unavailable', answer.retryAfterSeconds);
        tellOfRefusal(answer.error);
        return failed(isFinal(answer.error) ? 'invalid-grant' : 'provider-configuration');
      } catch (error) {
        log.warn({ error }, 'a refresh could not be sent');
        return failed('provider-unavailable');
      }
    },

    revoke,
    discard,
  };

  async function revoke({
    token,
    tokenTypeHint,
    registration: obtainedBy,
  }: Parameters<Provider['revoke']>[0]): Promise<{ revoked: boolean }> {
    if (!isOurs(obtainedBy)) return { revoked: false };
    if (settings.type === 'oauth2' && settings.revocationStyle !== 'rfc7009') {
      const { revocationStyle: style, revocationEndpoint: endpoint, clientId } = settings;
      if (endpoint === null) return { revoked: false };
      const { clientSecret } = options;
      return revokeInStyle({ style, endpoint, clientId, clientSecret, fetch, log }, token, tokenTypeHint);
    }
    const configuration = await openConfiguration(fetch);
    if (configuration.serverMetadata().revocation_endpoint === undefined) return { revoked: false };
    try {
      await client.tokenRevocation(configuration, token.reveal(), { token_type_hint: tokenTypeHint });
      return { revoked: true };
    } catch (error) {
      if (error instanceof client.ResponseBodyError) {
        // RFC 7009 section 2.2: a token that is gone is what was asked for. Google calls it an error.
        if (error.error === 'invalid_token') return { revoked: true };
        throw new RefusedError('upstream-refused', refusalMessage(parseErrorCode(error.error)));
      }
      log.warn({ error }, 'a token could not be revoked');
      throw new RefusedError('upstream-unavailable', 'the revocation endpoint gave no usable answer');
    }
  }

  function discard({ refreshToken, accessToken }: TokenSet): void {
    const forget = (token: Secret, tokenTypeHint: 'access_token' | 'refresh_token') =>
      revoke({ token, tokenTypeHint, registration }).catch((error) =>
        log.warn({ error }, 'a token that nobody will use could not be revoked'),
      );
    if (refreshToken !== null) void forget(refreshToken, 'refresh_token');
    void forget(accessToken, 'access_token');
  }

  function tellOfRefusal(error: OAuthErrorCode | null): void {
    if (error === 'invalid_client') options.onClientRefused?.();
  }

  /** A use of the refresh token begins its lifetime anew, also where the answer has no other one. */
  function withRefreshExpiry(tokens: TokenSet): TokenSet {
    const { refreshTokenLifetimeMs } = settings;
    if (tokens.refreshExpiresAt !== null || refreshTokenLifetimeMs === null) return tokens;
    return { ...tokens, refreshExpiresAt: now() + refreshTokenLifetimeMs };
  }
}

/** Only the person can mend it: the token is no good, or the provider wants to see the person (Microsoft Entra). */
function isFinal(error: OAuthErrorCode | null): boolean {
  return (
    error === 'invalid_grant' ||
    error === 'interaction_required' ||
    error === 'login_required' ||
    error === 'consent_required'
  );
}

/** What the library has to check of an answer that was read already: the ID token, where one is expected. */
function answerForLibrary(answer: TokenAnswer | null, idTokenExpected: boolean): Response {
  if (answer?.status !== 'tokens') return Response.json({ error: 'read_already' }, { status: 400 });
  const idToken = idTokenExpected ? answer.tokens.idToken : null;
  return Response.json({
    access_token: '-',
    token_type: 'bearer',
    ...(idToken === null ? {} : { id_token: idToken.reveal() }),
  });
}

/** The answer of the authorization endpoint was an error, or does not belong to this leg. */
function refusalOfCallback(error: unknown): RefusedError {
  if (error instanceof client.AuthorizationResponseError)
    return new RefusedError('upstream-refused', refusalMessage(parseErrorCode(error.error)));
  return new RefusedError(
    'invalid-request',
    'parameters: state, iss or code do not fit the leg or the provider',
  );
}

const describeRefusal = (answer: TokenAnswer) =>
  answer.status === 'refused' ? { oauthError: answer.error } : {};

function refusalMessage(code: string | null): string {
  return code === null ? 'the provider refused' : `the provider refused: ${code}`;
}

function failed(
  reason: Extract<RefreshOutcome, { status: 'failed' }>['reason'],
  retryAfterSeconds: number | null = null,
): RefreshOutcome {
  return { status: 'failed', reason, retryAfterSeconds };
}

/**
 * How the client proves itself (RFC 6749 section 2.3.1): as configured, else as the provider's metadata says,
 * `client_secret_basic` if they say nothing, for that is the default of OpenID Connect discovery and what every server
 * must support.
 */
export function clientAuthenticationOf(
  clientSecret: Secret | null,
  configured: ClientProviderSettings['tokenEndpointAuthMethod'],
): client.ClientAuth {
  if (clientSecret === null) return client.None();
  const basic = client.ClientSecretBasic(clientSecret.reveal());
  const post = client.ClientSecretPost(clientSecret.reveal());
  if (configured !== null) return configured === 'client_secret_post' ? post : basic;
  return (server, metadata, body, headers) => {
    const supported = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const usePost = !supported.includes('client_secret_basic') && supported.includes('client_secret_post');
    return (usePost ? post : basic)(server, metadata, body, headers);
  };
}

/** The library takes over the checks of the guarded fetch: http only where private addresses are allowed. */
export function extensionsOf({
  allowPrivateIps,
}: ClientProviderSettings): ((configuration: client.Configuration) => void)[] {
  return allowPrivateIps ? [client.allowInsecureRequests] : [];
}
