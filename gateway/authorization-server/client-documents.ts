/**
 * Clients whose id is the address of their metadata (draft-ietf-oauth-client-id-metadata-document-02): the document is
 * fetched for the gateway by the vault's provider workers and kept for a while. A document that cannot be fetched again
 * keeps its former content for a day, so that the website of a client is not needed by those who are signed in, and a
 * vault or a website that is away is not taken for a client that does not exist: clients throw their tokens away then.
 */
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../../schemas/failure.ts';
import type { VaultClient } from '../vault-client.ts';
import { createRateLimit, type RateLimitSettings } from './rate-limit.ts';
import { normalizeRegistration } from './registration.ts';
import { fromVault, isVaultUnavailable, VaultUnavailableError } from './vault-failure.ts';

export interface ClientDocumentSettings {
  readonly maxDocuments: number;
  /** Of a document that does not say how long it may be kept. */
  readonly fallbackSeconds: number;
}

export const defaultClientDocuments: ClientDocumentSettings = { maxDocuments: 256, fallbackSeconds: 300 };

export interface ClientDocuments {
  /**
   * The metadata as the library should see it, as JSON; null if there is none to be had.
   * @throws VaultUnavailableError it cannot be said now
   */
  find(clientId: string): Promise<string | null>;
}

interface Known {
  /** `null`: there is no document of this client; `away`: whether there is one cannot be said. */
  readonly metadata: string | null | 'away';
  readonly freshUntil: number;
}

const shortestSeconds = 60;
const longestSeconds = 24 * 3600;
/** A document that is not there is not asked for by each request. */
const absentSeconds = 30;
/** Anybody can name an address: how often one is visited that nobody has named before is limited for all together. */
const fetchLimit: RateLimitSettings = { burst: 50, perMinute: 30 };

/** Whether it can be such an id at all (section 3 of the draft); what it is exactly, the library checks. */
export function isClientDocumentUrl(clientId: string): boolean {
  return clientId.startsWith('https://') && clientId.length <= 2048;
}

export function createClientDocuments({
  vault,
  settings,
  now = Date.now,
}: {
  vault: Pick<VaultClient, 'findClientMetadata'>;
  settings: ClientDocumentSettings;
  now?: () => number;
}): ClientDocuments {
  const known = new LRUCache<string, Known>({ max: settings.maxDocuments, ttl: longestSeconds * 1000 });
  const underWay = new Map<string, Promise<Known['metadata']>>();
  const takeFetch = createRateLimit(fetchLimit);

  async function fetchDocument(clientId: string, former: string | null): Promise<Known['metadata']> {
    const keep = (metadata: Known['metadata'], seconds: number) => {
      known.set(clientId, { metadata, freshUntil: now() + seconds * 1000 });
      return metadata;
    };
    if (takeFetch() > 0) return former ?? 'away';
    try {
      const { body, cacheControl } = await vault.findClientMetadata(clientId);
      return keep(readDocument(body, clientId), lifeOf(cacheControl, settings.fallbackSeconds));
    } catch (error) {
      if (former !== null) return keep(former, absentSeconds);
      if (isVaultUnavailable(error) || !(error instanceof RefusedError)) throw error;
      return keep(error.code === 'upstream-unavailable' ? 'away' : null, absentSeconds);
    }
  }

  async function findAnew(clientId: string, former: string | null): Promise<Known['metadata']> {
    const running = underWay.get(clientId);
    if (running) return running;
    const begun = fromVault(fetchDocument(clientId, former)).finally(() => underWay.delete(clientId));
    underWay.set(clientId, begun);
    return begun;
  }

  return {
    async find(clientId) {
      const found = known.get(clientId);
      const former = found === undefined || found.metadata === 'away' ? null : found.metadata;
      const isFresh = found !== undefined && now() < found.freshUntil;
      const metadata = isFresh ? found.metadata : await findAnew(clientId, former);
      if (metadata === 'away')
        throw new VaultUnavailableError('the document of the client cannot be fetched now');
      return metadata;
    },
  };
}

/** Null if it is no document of this client; the fields of others are not kept. */
function readDocument(body: string, clientId: string): string | null {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return null;
  const metadata = document as Record<string, unknown>;
  // Whoever proves who they are by a key would be taken for somebody who need not.
  const method = metadata.token_endpoint_auth_method ?? 'none';
  if (metadata.client_id !== clientId || method !== 'none') return null;
  return JSON.stringify({ ...normalizeRegistration(metadata), client_id: clientId });
}

/** Seconds. RFC 9111 section 5.2.2.1, within limits. */
function lifeOf(cacheControl: string | null, fallbackSeconds: number): number {
  const [, given] = /(?:^|,)\s*max-age\s*=\s*"?(\d+)/i.exec(cacheControl ?? '') ?? [];
  const seconds = given === undefined ? fallbackSeconds : Number(given);
  return Math.min(longestSeconds, Math.max(shortestSeconds, seconds));
}
