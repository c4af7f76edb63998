/**
 * A vault in memory behind the gateway's `VaultClient`: the same contract (requests and answers pass the schemas of the
 * bus), real ES256 signatures, and providers that are played by one small HTTP server. It can be away, and fail in
 * the middle.
 */
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { decodeJwt } from 'jose';
import * as z from 'zod';
import type { BeginLegResponse, VaultClient } from '../../gateway/vault-client.ts';
import { type FailureCode, NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { realmOf } from '../../schemas/identity.ts';
import { createInstanceId, derivedId, legIdOf, sessionIdOf } from '../../schemas/ids.ts';
import { findAuthRecord, putAuthRecord } from '../../schemas/messages/auth-record.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../../schemas/messages/client-metadata.ts';
import type { InstanceDescription, PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  beginLeg,
  completeLeg,
  findChain,
  openSession,
  signAccessToken,
} from '../../schemas/messages/sign-in.ts';

type Payload = Record<string, unknown>;
type Row = { kind: string; id: string; payload: Payload; expiresAt: number; used: boolean };
type ChainState = {
  visited: string[];
  failed: null | { provider: string; error: 'access_denied' | 'server_error' | 'temporarily_unavailable' };
  sub: string | null;
};
type Leg = { uid: string; provider: string; binding: string; used: boolean };
type Name = keyof VaultClient;

export type InMemoryVault = VaultClient & {
  readonly description: InstanceDescription;
  readonly rows: ReadonlyMap<string, Row>;
  readonly sessions: Map<string, { sub: string; clientId: string }>;
  /** How often each request was made. */
  readonly calls: Map<Name, number>;
  /** Nobody answers. */
  away: boolean;
  /** By address: a document of a client, or how fetching it is refused. */
  readonly clientDocuments: Map<string, ClientMetadataDocument | FailureCode>;
  /** How many it keeps. */
  maxClients: number;
  /** Providers that cannot be reached. */
  readonly unreachable: Set<string>;
  /** The next so many requests of this kind find nobody. */
  failNext(name: Name, times?: number): void;
  /** A new key signs; the former ones still verify. */
  rotateSigningKey(): void;
  endSessions(): void;
  /** As when ten minutes have passed. */
  forgetChains(): void;
};

export type InMemoryVaultOptions = {
  issuer: string;
  /** The chain, in order. */
  providers: string[];
  /** Where a provider asks the person. */
  authorizationEndpoint: (provider: string) => string;
  callbackUrl?: (provider: string) => string;
};

export function createInMemoryVault(options: InMemoryVaultOptions): InMemoryVault {
  const { issuer, providers } = options;
  const callbackUrl = options.callbackUrl ?? ((provider) => `${issuer}/oauth/callback/${provider}`);
  const instanceId = createInstanceId();
  const realm = realmOf(instanceId);
  const privateKeys = new Map<string, KeyObject>();
  let description: InstanceDescription = {
    instanceId,
    issuer,
    realm,
    partitions: 64,
    signingKeys: [createSigningKey()],
  };
  function createSigningKey(): PublicSigningKey {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const kid = `test-key-${privateKeys.size + 1}`;
    privateKeys.set(kid, privateKey);
    return { kid, alg: 'ES256', use: 'sig', kty: 'EC', crv: 'P-256', x, y };
  }
  const rows = new Map<string, Row>();
  const chains = new Map<string, ChainState>();
  const legs = new Map<string, Leg>();
  const sessions = new Map<string, { sub: string; clientId: string }>();
  const calls = new Map<Name, number>();
  const failures = new Map<Name, number>();
  const unreachable = new Set<string>();

  const enter = (name: Name) => {
    calls.set(name, (calls.get(name) ?? 0) + 1);
    const left = failures.get(name) ?? 0;
    if (left > 0) failures.set(name, left - 1);
    if (left > 0 || vault.away) throw new NoRespondersError(`nobody answers ${name}`);
  };
  const keyOf = (kind: string, id: string) => `${kind}.${id}`;
  const findRow = (kind: string, id: string) => {
    const row = rows.get(keyOf(kind, id));
    return row && row.expiresAt > Date.now() ? row : null;
  };
  const chainOf = (uid: string): ChainState => {
    const chain = chains.get(uid) ?? { visited: [], failed: null, sub: null };
    chains.set(uid, chain);
    return chain;
  };

  const vault: InMemoryVault = {
    get description() {
      return description;
    },
    rotateSigningKey() {
      description = { ...description, signingKeys: [createSigningKey(), ...description.signingKeys] };
    },
    rows,
    sessions,
    calls,
    unreachable,
    away: false,
    maxClients: 1000,
    clientDocuments: new Map(),
    failNext: (name, times = 1) => void failures.set(name, times),
    endSessions: () => sessions.clear(),
    forgetChains: () => chains.clear(),

    async findUpstreamTokens() {
      throw new Error('not part of these tests');
    },

    async putRecord(kind, id, payload, expiresInSeconds) {
      enter('putRecord');
      const request = overTheBus(putAuthRecord, {
        kind,
        id,
        payload: JSON.parse(JSON.stringify(payload)),
        ...(expiresInSeconds === undefined ? {} : { expiresInSeconds }),
      });
      const clients = [...rows.values()].filter((row) => row.kind === 'Client');
      if (kind === 'Client' && !findRow(kind, id) && clients.length >= vault.maxClients)
        throw new RefusedError('unavailable', 'there are as many clients as are kept', { retryable: false });
      const expiresAt =
        expiresInSeconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + expiresInSeconds * 1000;
      rows.set(keyOf(kind, id), { kind, id, payload: request.payload, expiresAt, used: false });
    },
    async findRecord(kind, by, value) {
      enter('findRecord');
      overTheBus(findAuthRecord, { kind, by, value });
      return structuredClone(findRow(kind, value)?.payload ?? null);
    },
    async consumeRecord(kind, id) {
      enter('consumeRecord');
      const row = findRow(kind, id);
      if (!row) throw new RefusedError('not-found', `there is no such ${kind}`);
      if (row.used) throw new RefusedError('conflict', `this ${kind} was used before`);
      row.used = true;
      row.payload = { ...row.payload, consumed: Math.floor(Date.now() / 1000) };
    },
    async deleteRecord(kind, id) {
      enter('deleteRecord');
      rows.delete(keyOf(kind, id));
    },

    async findClientMetadata(url) {
      enter('findClientMetadata');
      overTheBus(findClientMetadata, { url });
      const found = vault.clientDocuments.get(url) ?? 'upstream-refused';
      if (typeof found === 'string') throw new RefusedError(found, 'no document', { retryable: false });
      return answered(findClientMetadata, found);
    },

    async beginLeg(interactionUid) {
      enter('beginLeg');
      overTheBus(beginLeg, { interactionUid });
      const chain = chainOf(interactionUid);
      const provider = chain.failed ? undefined : providers[chain.visited.length];
      if (provider === undefined) throw new RefusedError('invalid-request', 'no open leg');
      if (unreachable.has(provider)) {
        chain.failed = { provider, error: 'temporarily_unavailable' };
        throw new RefusedError('upstream-unavailable', `the provider ${provider} cannot be reached`);
      }
      const state = randomBytes(32).toString('base64url');
      const binding = randomBytes(32).toString('base64url');
      legs.set(state, { uid: interactionUid, provider, binding, used: false });
      const url = new URL(options.authorizationEndpoint(provider));
      url.searchParams.set('redirect_uri', callbackUrl(provider));
      url.searchParams.set('state', state);
      return answered(beginLeg, {
        provider,
        authorizationUrl: url.href,
        legId: legIdOf(state),
        browserBinding: binding,
      }) as BeginLegResponse;
    },

    async completeLeg(request) {
      enter('completeLeg');
      const { provider, parameters, browserBinding } = overTheBus(completeLeg, {
        provider: request.provider,
        parameters: Object.fromEntries(
          Object.entries(request.parameters).map(([key, value]) => [key, value.reveal()]),
        ),
        browserBinding: request.browserBinding?.reveal() ?? null,
      });
      const leg = legs.get(parameters.state?.reveal() ?? '');
      if (!leg || leg.used) throw new RefusedError('not-found', 'unknown leg');
      if (leg.provider !== provider)
        throw new RefusedError('invalid-request', 'callback of another provider');
      if (browserBinding?.reveal() !== leg.binding)
        throw new RefusedError('invalid-request', 'another browser');
      leg.used = true;
      const chain = chainOf(leg.uid);
      const code = parameters.code?.reveal();
      if (code === undefined) {
        const error = parameters.error?.reveal() === 'access_denied' ? 'access_denied' : 'server_error';
        chain.failed = { provider, error };
        return { interactionUid: leg.uid, status: 'failed' };
      }
      chain.visited.push(provider);
      // The codes of the played providers say who signed in.
      chain.sub ??= derivedId('usr', createHmac('sha256', 'people').update(`${provider} ${code}`).digest());
      return {
        interactionUid: leg.uid,
        status: chain.visited.length === providers.length ? 'complete' : 'next-leg',
      };
    },

    async findChain(interactionUid) {
      enter('findChain');
      const { visited, failed, sub } = chainOf(interactionUid);
      if (failed) return answered(findChain, { status: 'failed', ...failed });
      if (visited.length < providers.length) return answered(findChain, { status: 'open', visited });
      return answered(findChain, { status: 'complete', principal: { iss: realm, sub } });
    },

    async openSession(request) {
      enter('openSession');
      const { interactionUid, principal, grantId, clientId } = overTheBus(openSession, request);
      const sessionId = sessionIdOf(grantId);
      if (sessions.get(sessionId)?.sub === principal.sub) return answered(openSession, { sessionId });
      const chain = chainOf(interactionUid);
      if (chain.sub !== principal.sub || chain.visited.length < providers.length)
        throw new RefusedError('not-found', 'there is no complete sign-in of this person');
      sessions.set(sessionId, { sub: principal.sub, clientId });
      chains.delete(interactionUid);
      return answered(openSession, { sessionId });
    },

    async signAccessToken(principal, kid, signingInput) {
      enter('signAccessToken');
      overTheBus(signAccessToken, { kid, signingInput });
      const claims = decodeJwt(`${signingInput}.`);
      const key = privateKeys.get(kid);
      if (claims.iss !== issuer || principal.iss !== realm || claims.sub !== principal.sub || !key)
        throw new RefusedError('invalid-request', 'not a token that this vault would issue');
      const session = sessions.get(String(claims.tsid));
      if (session?.sub !== claims.sub) throw new RefusedError('session-ended', 'the session has ended');
      const signature = sign('sha256', Buffer.from(signingInput), {
        key,
        dsaEncoding: 'ieee-p1363',
      });
      return answered(signAccessToken, { signature: signature.toString('base64url') });
    },
  };
  return vault;
}

/** As the receiving side parses it. */
function overTheBus<Request, Response>(operation: Operation<Request, Response>, body: unknown): Request {
  const parsed = operation.request.safeParse(body);
  if (!parsed.success)
    throw new RefusedError('invalid-request', `${operation.name}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function answered<Request, Response>(operation: Operation<Request, Response>, body: unknown): Response {
  return operation.response.parse(body);
}
