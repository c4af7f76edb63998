/**
 * The external issuer of incoming tokens, as a worker asks it: its discovery document (OpenID Connect Discovery, or
 * RFC 8414 where it has only that) and its keys (RFC 7517). What is answered holds public keys alone, each of which could
 * verify an access token.
 */
import * as client from 'openid-client';
import type { IncomingIssuerSettings } from '../../schemas/config/provider-config.ts';
import { externalAlgorithms } from '../../schemas/external-issuer/access-token.ts';
import { RefusedError } from '../../schemas/failure.ts';
import {
  type IssuerPublicKey,
  issuerPublicKeySchema,
  mostIssuerKeys,
} from '../../schemas/messages/issuer-keys.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

export interface IncomingIssuer {
  /** @throws RefusedError `upstream-unavailable` */
  fetchKeys(): Promise<IssuerPublicKey[]>;
}

interface Dependencies {
  readonly fetch: GuardedFetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const documentMaxAgeMs = 3600_000;

export function createIncomingIssuer(
  settings: IncomingIssuerSettings,
  { fetch, now }: Dependencies,
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

  return {
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
function usableKeys(document: unknown): IssuerPublicKey[] {
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

function unavailable(message: string, cause?: unknown): RefusedError {
  return new RefusedError('upstream-unavailable', `the external issuer: ${message}`, { cause });
}
