/**
 * The OAuth 2.0 client that all kinds of provider share: authorization code with PKCE S256 (RFC 7636), state,
 * `iss` (RFC 9207), refresh and revocation, by `openid-client`. The library writes every request and checks
 * every answer of the browser; the answer of the token endpoint is read here (token-answer.ts) before the library
 * judges it, so that nothing it dislikes can throw a rotated refresh token away.
 */
import * as client from 'openid-client';
import type { ProviderSettings } from '../../schemas/config/provider-config.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { LegSecrets } from '../../schemas/messages/provider-requests.ts';
import type { RefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { parseErrorCode, readTokenAnswer, type TokenAnswer } from './token-answer.ts';

/** A configuration of the library whose requests go through `fetch`. Opened anew for each use; costs no request. */
export type OpenConfiguration = (fetch: GuardedFetch) => Promise<client.Configuration>;

export interface OAuthClient extends Pick<Provider, 'authorize' | 'refresh' | 'revoke'> {
  /** `claims`: of the ID token, checked, if one was expected. */
  redeemCode(request: {
    leg: LegSecrets;
    parameters: Readonly<Record<string, Secret>>;
  }): Promise<{ tokens: TokenSet; claims: client.IDToken | null; registration: ClientRegistration }>;
}

export interface OAuthClientOptions extends ProviderDependencies {
  readonly settings: ProviderSettings;
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
  const registration: ClientRegistration = { clientId: settings.clientId, generation: 0 };
  const isOurs = (other: ClientRegistration) =>
    other.clientId === registration.clientId && other.generation === registration.generation;

  /** Sends one token request and reads its answer; the library then sees only what it has to check. */
  async function requestTokens<T>(
    send: (configuration: client.Configuration) => Promise<T>,
    sendBefore?: AbortSignal,
  ): Promise<TokenRequest<T>> {
    let answer: TokenAnswer | null = null;
    const configuration = await openConfiguration(async (url, request) => {
      if (request?.method !== 'POST') return fetch(url, request);
      const sentAt = now();
      try {
        answer = { status: 'unavailable', retryAfterSeconds: null };
        answer = await readTokenAnswer(await fetch(url, { ...request, sendBefore }), sentAt);
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
        ...(settings.scopes.length === 0 ? {} : { scope: settings.scopes.join(' ') }),
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
      if (answer.status === 'refused')
        throw new RefusedError('upstream-refused', refusalMessage(answer.error));
      if (answer.status === 'unavailable')
        throw new RefusedError('upstream-unavailable', 'the token endpoint gave no usable answer');
      if (result === null) {
        log.warn({ error }, 'the answer of the token endpoint does not pass the checks');
        throw new RefusedError('upstream-unavailable', 'the answer of the token endpoint is not valid');
      }
      return { tokens: answer.tokens, claims: result.claims() ?? null, registration };
    },

    async refresh({ refreshToken, registration: obtainedBy, sendBefore }) {
      if (!isOurs(obtainedBy)) return failed('registration-gone');
      try {
        // The scope is not sent: what is left out means the scope of the grant, and that is what is wanted.
        const { answer, error } = await requestTokens(
          (configuration) => client.refreshTokenGrant(configuration, refreshToken.reveal()),
          sendBefore,
        );
        if (answer === null) throw error;
        if (answer.status === 'tokens') {
          if (idTokenExpected && answer.tokens.idToken) void checkRefreshedIdToken(answer.tokens.idToken);
          return { status: 'refreshed', tokens: answer.tokens };
        }
        log.info({ outcome: answer.status, ...describeRefusal(answer) }, 'a refresh failed');
        if (answer.status === 'unavailable') return failed('provider-unavailable', answer.retryAfterSeconds);
        return failed(answer.error === 'invalid_grant' ? 'invalid-grant' : 'provider-configuration');
      } catch (error) {
        log.warn({ error }, 'a refresh could not be sent');
        return failed('provider-unavailable');
      }
    },

    async revoke({ token, tokenTypeHint, registration: obtainedBy }) {
      if (!isOurs(obtainedBy)) return { revoked: false };
      const configuration = await openConfiguration(fetch);
      if (configuration.serverMetadata().revocation_endpoint === undefined) return { revoked: false };
      try {
        await client.tokenRevocation(configuration, token.reveal(), { token_type_hint: tokenTypeHint });
        return { revoked: true };
      } catch (error) {
        if (error instanceof client.ResponseBodyError) {
          throw new RefusedError('upstream-refused', refusalMessage(parseErrorCode(error.error)));
        }
        log.warn({ error }, 'a token could not be revoked');
        throw new RefusedError('upstream-unavailable', 'the revocation endpoint gave no usable answer');
      }
    },
  };
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
 * How the client proves itself (RFC 6749 section 2.3.1): as the provider's metadata says, `client_secret_basic` if
 * they say nothing, for that is the default of OpenID Connect discovery and what every server must support.
 */
export function clientAuthenticationOf(clientSecret: Secret | null): client.ClientAuth {
  if (clientSecret === null) return client.None();
  const basic = client.ClientSecretBasic(clientSecret.reveal());
  const post = client.ClientSecretPost(clientSecret.reveal());
  return (server, metadata, body, headers) => {
    const supported = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const usePost = !supported.includes('client_secret_basic') && supported.includes('client_secret_post');
    return (usePost ? post : basic)(server, metadata, body, headers);
  };
}

/** The library takes over the checks of the guarded fetch: http only where private addresses are allowed. */
export function extensionsOf({
  allowPrivateIps,
}: ProviderSettings): ((configuration: client.Configuration) => void)[] {
  return allowPrivateIps ? [client.allowInsecureRequests] : [];
}
