/**
 * Exchanges a provider's token for one of a backend (RFC 8693). The library writes the request and proves the client;
 * the answer is read here. What is no bearer token for HTTP is of no use to a backend and refused; a refresh token that
 * comes with it is not kept, for the provider's token can be exchanged again.
 */
import * as client from 'openid-client';
import type { TokenExchangeSettings } from '../../schemas/config/provider-config.ts';
import type { SecretReference } from '../../schemas/config/secret-reference.ts';
import { accessTokenUrn, jwtUrn } from '../../schemas/config/token-types.ts';
import type { Log } from '../../schemas/log.ts';
import type { TokenExchangeOutcome } from '../../schemas/messages/provider-requests.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { readTokenAnswer, type TokenAnswer } from './token-answer.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';

interface Dependencies {
  readonly clientSecret: Secret | null;
  readonly fetch: GuardedFetch;
  /** Reads a secret that changes while the process runs. @throws SecretUnreadableError */
  readonly readSecret: (reference: SecretReference) => Secret;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<Log, 'warn'>;
}

interface Reading {
  readonly answer: TokenAnswer;
  /** What the answer says beside the token (RFC 8693 section 2.2.1). */
  readonly issuedTokenType: unknown;
  readonly tokenType: unknown;
}

export function createTokenExchange(
  settings: TokenExchangeSettings,
  { clientSecret, fetch, readSecret, now, log }: Dependencies,
): (subjectToken: Secret) => Promise<TokenExchangeOutcome> {
  const { backend, tokenUrl } = settings;

  function parametersFor(subjectToken: Secret): Record<string, string> {
    const { audience, resource, scopes, subjectTokenType, actor } = settings;
    return {
      subject_token: subjectToken.reveal(),
      subject_token_type: subjectTokenType,
      requested_token_type: accessTokenUrn,
      ...(audience === null ? {} : { audience }),
      ...(resource === null ? {} : { resource }),
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      ...(actor === null
        ? {}
        : { actor_token: readSecret(actor.token).reveal(), actor_token_type: actor.tokenType }),
    };
  }

  async function send(subjectToken: Secret): Promise<Reading> {
    let reading: Reading | null = null;
    const configuration = new client.Configuration(
      { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl },
      settings.clientId ?? 'none',
      {},
      authenticationOf(settings, clientSecret),
    );
    // The guarded fetch decides where http may go.
    client.allowInsecureRequests(configuration);
    configuration[client.customFetch] = async (url, request) => {
      const sentAt = now();
      reading = await readAnswer(await fetch(url, request), sentAt);
      return Response.json({ access_token: '-', token_type: 'bearer' });
    };
    await client.genericGrantRequest(configuration, grantType, parametersFor(subjectToken));
    if (reading === null) throw new TypeError('the request was not sent');
    return reading;
  }

  return async (subjectToken: Secret): Promise<TokenExchangeOutcome> => {
    let reading: Reading;
    try {
      reading = await send(subjectToken);
    } catch (error) {
      log.warn({ backend, error }, 'a token exchange could not be made');
      return { status: 'unavailable', retryAfterSeconds: null };
    }
    const { answer } = reading;
    if (answer.status === 'tokens') {
      const fault = faultOf(reading, answer.tokens.accessToken);
      if (fault === null) {
        const { accessToken, expiresAt, scope } = answer.tokens;
        return { status: 'exchanged', accessToken, expiresAt, scope };
      }
      log.warn({ backend, fault }, 'the token service issued what is no access token');
      return { status: 'unavailable', retryAfterSeconds: null };
    }
    const oauthError = answer.status === 'refused' ? answer.error : null;
    log.warn({ backend, result: answer.status, oauthError }, 'the token service gave no token');
    return answer;
  };
}

function authenticationOf(
  { clientId, tokenEndpointAuthMethod }: TokenExchangeSettings,
  clientSecret: Secret | null,
): client.ClientAuth {
  // A service that knows no clients is told of none.
  if (clientId === null) return () => {};
  if (clientSecret === null) return client.None();
  return tokenEndpointAuthMethod === 'client_secret_post'
    ? client.ClientSecretPost(clientSecret.reveal())
    : client.ClientSecretBasic(clientSecret.reveal());
}

async function readAnswer(response: Response, sentAt: number): Promise<Reading> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  return {
    answer: await readTokenAnswer(response, sentAt),
    issuedTokenType: fields.issued_token_type,
    tokenType: fields.token_type,
  };
}

/** null: it can be sent to the backend as a bearer token (RFC 6750 section 2.1). */
function faultOf({ issuedTokenType, tokenType }: Reading, accessToken: Secret): string | null {
  if (issuedTokenType !== accessTokenUrn && issuedTokenType !== jwtUrn) return 'issued_token_type';
  if (typeof tokenType !== 'string' || !/^bearer$/i.test(tokenType)) return 'token_type';
  return /^[A-Za-z0-9\-._~+/]+=*$/.test(accessToken.reveal()) ? null : 'access_token';
}
