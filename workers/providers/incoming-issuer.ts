/**
 * The external issuer of incoming tokens, as a worker asks it: its discovery document (OpenID Connect Discovery, or
 * RFC 8414 where it has only that) and its keys (RFC 7517). What is answered holds public keys alone, each of which could
 * verify an access token.
 */
import { hash } from 'node:crypto';
import * as client from 'openid-client';
import type { IncomingIssuerSettings } from '../../schemas/config/provider-config.ts';
import { externalAlgorithms } from '../../schemas/external-issuer/access-token.ts';
import { RefusedError } from '../../schemas/failure.ts';
import {
  type IssuerPublicKey,
  issuerPublicKeySchema,
  mostIssuerKeys,
} from '../../schemas/messages/issuer-keys.ts';
import { longestIntrospection } from '../../schemas/messages/token-introspection.ts';
import type { Secret } from '../../schemas/secret.ts';
import { type GuardedFetch, OutboundRequestError } from './guarded-fetch.ts';

export interface IncomingIssuer {
  /** @throws RefusedError `upstream-unavailable` */
  fetchKeys(): Promise<IssuerPublicKey[]>;
  /**
   * RFC 7662, by the client of Latchkey. Once for all who ask about the same token at the same time.
   * @returns null: the token is not active
   * @throws RefusedError `upstream-unavailable`; `invalid-request` this issuer is not asked about tokens
   */
  introspect(token: Secret): Promise<Record<string, unknown> | null>;
}

interface Dependencies {
  /** Of the client that asks about tokens; null: none does. */
  readonly clientSecret: Secret | null;
  readonly fetch: GuardedFetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const documentMaxAgeMs = 3600_000;
const introspectionTimeoutMs = 4_000;

export function createIncomingIssuer(
  settings: IncomingIssuerSettings,
  { clientSecret, fetch, now }: Dependencies,
): IncomingIssuer {
  let document: { readonly metadata: client.ServerMetadata; readonly readAt: number } | null = null;

  const discover = async (algorithm: 'oidc' | 'oauth2') => {
    const configuration = await client.discovery(
      new URL(settings.issuer),
      'latchkey',
      undefined,
      client.None(),
      {
        algorithm,
        [client.customFetch]: (url, request) => fetch(url, request),
        execute: settings.allowPrivateIps ? [client.allowInsecureRequests] : [],
      },
    );
    return configuration.serverMetadata();
  };

  async function currentMetadata(): Promise<client.ServerMetadata> {
    if (document !== null && now() - document.readAt < documentMaxAgeMs) return document.metadata;
    const readAt = now();
    try {
      const metadata = await discover('oidc').catch((error) =>
        discover('oauth2').catch(() => Promise.reject(error)),
      );
      document = { metadata, readAt };
    } catch (cause) {
      if (document === null)
        throw unavailable('the discovery document cannot be read, or is of another issuer', cause);
    }
    return document!.metadata;
  }

  const asking = new Map<string, Promise<Record<string, unknown> | null>>();

  async function ask(token: Secret): Promise<Record<string, unknown> | null> {
    const { introspection } = settings;
    if (introspection === null || clientSecret === null)
      throw new RefusedError('invalid-request', 'the external issuer is not asked about tokens');
    const configuration = new client.Configuration(
      { issuer: settings.issuer, introspection_endpoint: introspection.url },
      introspection.clientId,
      undefined,
      client.ClientSecretBasic(clientSecret.reveal()),
    );
    configuration[client.customFetch] = (url, request) =>
      fetch(url, { ...request, timeoutMs: introspectionTimeoutMs });
    if (settings.allowPrivateIps) client.allowInsecureRequests(configuration);
    try {
      const answer = await client.tokenIntrospection(configuration, token.reveal(), {
        token_type_hint: 'access_token',
      });
      if (answer.active !== true) return null;
      if (JSON.stringify(answer).length > longestIntrospection) throw new Error('answer-too-large');
      return { ...answer };
    } catch (cause) {
      throw unavailable(`the introspection endpoint gave no usable answer (${reasonOf(cause)})`);
    }
  }

  return {
    introspect(token) {
      const digest = hash('sha256', token.reveal(), 'base64');
      const underWay = asking.get(digest);
      if (underWay) return underWay;
      const begun = ask(token).finally(() => asking.delete(digest));
      asking.set(digest, begun);
      return begun;
    },

    async fetchKeys() {
      const address = settings.jwksUrl ?? (await currentMetadata()).jwks_uri;
      if (address === undefined) throw unavailable('the discovery document names no keys');
      const response = await fetch(address, { headers: { accept: 'application/json' } }).catch((cause) => {
        throw unavailable('the keys cannot be fetched', cause);
      });
      if (response.status !== 200) throw unavailable(`the keys are answered with status ${response.status}`);
      const keys = usableKeys(await response.json().catch(() => null));
      if (keys.length === 0)
        throw unavailable('there is no key among them that could verify an access token');
      return keys;
    },
  };
}

/** Keys for other uses, and those of symmetric algorithms, are left out. */
export function usableKeys(document: unknown): IssuerPublicKey[] {
  const { keys } = Object(document) as { keys?: unknown };
  if (!Array.isArray(keys)) return [];
  return keys
    .flatMap((key) => {
      const parsed = issuerPublicKeySchema.safeParse(key);
      return parsed.success ? [parsed.data] : [];
    })
    .filter(({ alg }) => alg === undefined || externalAlgorithms.includes(alg))
    .slice(0, mostIssuerKeys);
}

/** Of what is thrown nothing is shown but its kind: it may hold the request. */
function reasonOf(error: unknown): string {
  if (error instanceof client.ResponseBodyError) return `status ${error.status}`;
  const { code, cause } = Object(error) as { code?: unknown; cause?: unknown };
  if (cause instanceof OutboundRequestError) return cause.code;
  return typeof code === 'string' ? code : 'error';
}

function unavailable(message: string, cause?: unknown): RefusedError {
  return new RefusedError('upstream-unavailable', `the external issuer: ${message}`, { cause });
}
