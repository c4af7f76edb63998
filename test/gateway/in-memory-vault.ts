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
import { createCommandId, createInstanceId, derivedId, legIdOf, sessionIdOf } from '../../schemas/ids.ts';
import { findAuthRecord, putAuthRecord } from '../../schemas/messages/auth-record.ts';
import { receiveLogoutToken } from '../../schemas/messages/backchannel-logout.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../../schemas/messages/client-metadata.ts';
import { findApprover, openAccountSession } from '../../schemas/messages/consent.ts';
import type { InstanceDescription, PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  abandonChain,
  beginLeg,
  completeLeg,
  endSession,
  findChain,
  openSession,
  type SessionEndReason,
  signAccessToken,
  skipLinked,
} from '../../schemas/messages/sign-in.ts';
import { beginTokenUse, endTokenUse } from '../../schemas/messages/token-use.ts';
import { createAuthRecords } from '../../vault/authorization/auth-records.ts';
import type { AuthStore } from '../../vault/authorization/auth-store.ts';
import { type Consents, createConsents } from '../../vault/authorization/consents.ts';
import { createTokenUses } from '../../vault/authorization/token-uses.ts';

type Payload = Record<string, unknown>;
type Row = { kind: string; id: string; payload: Payload; expiresAt: number; used: boolean };
type Kept = { kind: string; id: string; value: unknown; expiresAt: number | null; revision: number };
type ChainState = {
  visited: string[];
  skipped: string[];
  failed: null | { provider: string; error: 'access_denied' | 'server_error' | 'temporarily_unavailable' };
  sub: string | null;
};
type Leg = { uid: string; provider: string; binding: string; used: boolean };
type Name = keyof VaultClient;

export type InMemoryVault = VaultClient & {
  readonly description: InstanceDescription;
  readonly rows: ReadonlyMap<string, Row>;
  /** A person's key is their id here. */
  readonly consents: Consents;
  readonly sessions: Map<string, { sub: string; clientId: string }>;
  /** Sessions that were taken away, and why. */
  readonly ended: ReadonlyMap<string, SessionEndReason>;
  /** How often each request was made. */
  readonly calls: Map<Name, number>;
  /** Nobody answers. */
  away: boolean;
  /** By address: a document of a client, or how fetching it is refused. */
  readonly clientDocuments: Map<string, ClientMetadataDocument | FailureCode>;
  /** By logout token: signed out, or how it is refused. */
  readonly logoutTokens: Map<string, 'ok' | FailureCode>;
  /** Providers that cannot be reached. */
  readonly unreachable: Set<string>;
  /** Providers without which a sign-in goes on. */
  readonly optional: Set<string>;
  /** Providers at which everybody has a linked account. */
  readonly linked: Set<string>;
  /** Why no sign-in takes a further leg; null: they do. */
  legRefusal: 'invalid-request' | 'not-found' | null;
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
  /** How many it keeps. */
  maxClients?: number | undefined;
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
  const store = createInMemoryAuthStore();
  const records = createAuthRecords({
    ...{ store, now: Date.now },
    ...(options.maxClients === undefined ? {} : { maxClients: options.maxClients }),
  });
  const tokenUses = createTokenUses({ records, store, now: Date.now });
  const consents = createConsents({ store, now: Date.now });
  const chains = new Map<string, ChainState>();
  const legs = new Map<string, Leg>();
  const sessions = new Map<string, { sub: string; clientId: string }>();
  const ended = new Map<string, SessionEndReason>();
  const calls = new Map<Name, number>();
  const failures = new Map<Name, number>();
  const unreachable = new Set<string>();
  const optional = new Set<string>();
  const linked = new Set<string>();

  const enter = (name: Name) => {
    calls.set(name, (calls.get(name) ?? 0) + 1);
    const left = failures.get(name) ?? 0;
    if (left > 0) failures.set(name, left - 1);
    if (left > 0 || vault.away) throw new NoRespondersError(`nobody answers ${name}`);
  };
  const chainOf = (uid: string): ChainState => {
    const chain = chains.get(uid) ?? { visited: [], skipped: [], failed: null, sub: null };
    chains.set(uid, chain);
    return chain;
  };

  const nextOf = ({ failed, visited, skipped }: ChainState) =>
    failed ? undefined : providers.find((provider) => ![...visited, ...skipped].includes(provider));
  const statusOf = (chain: ChainState) =>
    chain.failed ? 'failed' : nextOf(chain) === undefined ? 'complete' : 'next-leg';
  const fail = (chain: ChainState, provider: string, error: NonNullable<ChainState['failed']>['error']) => {
    if (optional.has(provider)) chain.skipped.push(provider);
    else chain.failed = { provider, error };
  };

  const vault: InMemoryVault = {
    get description() {
      return description;
    },
    rotateSigningKey() {
      description = { ...description, signingKeys: [createSigningKey(), ...description.signingKeys] };
    },
    get rows() {
      return store.rows();
    },
    consents,
    sessions,
    ended,
    calls,
    unreachable,
    optional,
    linked,
    away: false,
    clientDocuments: new Map(),
    logoutTokens: new Map(),
    failNext: (name, times = 1) => void failures.set(name, times),
    legRefusal: null,
    endSessions: () => sessions.clear(),
    forgetChains: () => chains.clear(),

    /** It holds none, and says whether the session lives. */
    findProviderStatuses: async () => ({}),
    async findUpstreamTokens(principal, { accessToken }) {
      enter('findUpstreamTokens');
      const { tsid, sub } = decodeJwt(accessToken.reveal());
      if (sub !== principal.sub || sessions.get(String(tsid))?.sub !== sub)
        throw new RefusedError('session-ended', 'the session has ended');
      return new Map();
    },

    async putRecord(kind, id, payload, expiresInSeconds) {
      enter('putRecord');
      const request = overTheBus(putAuthRecord, {
        kind,
        id,
        payload: JSON.parse(JSON.stringify(payload)),
        ...(expiresInSeconds === undefined ? {} : { expiresInSeconds }),
      });
      await records.put(kind, id, request.payload, { commandId: createCommandId(), expiresInSeconds });
    },
    async findRecord(kind, by, value) {
      enter('findRecord');
      overTheBus(findAuthRecord, { kind, by, value });
      return records.findById(kind, value);
    },
    async deleteRecord(kind, id) {
      enter('deleteRecord');
      await records.delete(kind, id);
    },
    async beginTokenUse(request) {
      enter('beginTokenUse');
      return answered(
        beginTokenUse,
        z.encode(beginTokenUse.response, await tokenUses.begin(overTheBus(beginTokenUse, request))),
      );
    },
    async endTokenUse(request) {
      enter('endTokenUse');
      await tokenUses.end(overTheBus(endTokenUse, z.encode(endTokenUse.request, request)));
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
      let provider = nextOf(chain);
      if (vault.legRefusal !== null) throw new RefusedError(vault.legRefusal, 'no further leg');
      if (provider === undefined) throw new RefusedError('invalid-request', 'no open leg');
      while (unreachable.has(provider)) {
        fail(chain, provider, 'temporarily_unavailable');
        const next = nextOf(chain);
        if (next === undefined)
          throw new RefusedError('upstream-unavailable', `the provider ${provider} cannot be reached`);
        provider = next;
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
      const {
        providers: called,
        parameters,
        browserBinding,
      } = overTheBus(completeLeg, {
        providers: [...request.providers],
        parameters: Object.fromEntries(
          Object.entries(request.parameters).map(([key, value]) => [key, value.reveal()]),
        ),
        browserBinding: request.browserBinding?.reveal() ?? null,
      });
      const leg = legs.get(parameters.state?.reveal() ?? '');
      if (!leg || leg.used) throw new RefusedError('not-found', 'unknown leg');
      const { provider } = leg;
      if (!called.includes(provider))
        throw new RefusedError('invalid-request', 'callback of another provider');
      if (browserBinding?.reveal() !== leg.binding)
        throw new RefusedError('invalid-request', 'another browser');
      leg.used = true;
      const chain = chainOf(leg.uid);
      const code = parameters.code?.reveal();
      if (code === undefined) {
        const error = parameters.error?.reveal() === 'access_denied' ? 'access_denied' : 'server_error';
        fail(chain, provider, error);
        return { interactionUid: leg.uid, status: statusOf(chain) };
      }
      chain.visited.push(provider);
      // The codes of the played providers say who signed in.
      chain.sub ??= derivedId('usr', createHmac('sha256', 'people').update(`${provider} ${code}`).digest());
      return { interactionUid: leg.uid, status: statusOf(chain) };
    },

    async findChain(interactionUid) {
      enter('findChain');
      const chain = chainOf(interactionUid);
      if (chain.failed) return answered(findChain, { status: 'failed', ...chain.failed });
      const principal = chain.sub === null ? null : { iss: realm, sub: chain.sub };
      return answered(findChain, { status: nextOf(chain) ? 'open' : 'complete', principal });
    },

    async skipLinked(interactionUid, principal) {
      enter('skipLinked');
      overTheBus(skipLinked, { interactionUid, principal });
      const chain = chainOf(interactionUid);
      if (chain.sub !== principal.sub) throw new RefusedError('not-found', 'the sign-in is not theirs');
      for (const provider of linked) if (!chain.visited.includes(provider)) chain.skipped.push(provider);
      return answered(skipLinked, { status: statusOf(chain) });
    },

    async abandonChain(interactionUid) {
      enter('abandonChain');
      overTheBus(abandonChain, { interactionUid });
      const chain = chains.get(interactionUid);
      if (chain) chain.failed = { provider: providers[0]!, error: 'access_denied' };
    },

    async findApprover(request) {
      enter('findApprover');
      const { accountSession, asked } = overTheBus(findApprover, z.encode(findApprover.request, request));
      return consents.findApprover(accountSession, asked);
    },
    async openAccountSession(body) {
      enter('openAccountSession');
      const request = overTheBus(openAccountSession, z.encode(openAccountSession.request, body));
      const { principal, grantId, ...given } = request;
      const person = { principal, principalKey: principal.sub };
      const accountSession = await consents.openAccountSession(person, given, () => {
        if (sessions.get(sessionIdOf(grantId))?.sub !== principal.sub)
          throw new RefusedError('session-ended', 'the session has ended');
      });
      return { accountSession };
    },

    async openSession(request) {
      enter('openSession');
      const { interactionUid, principal, grantId, clientId } = overTheBus(openSession, request);
      const sessionId = sessionIdOf(grantId);
      if (sessions.get(sessionId)?.sub === principal.sub) return answered(openSession, { sessionId });
      const chain = chainOf(interactionUid);
      if (chain.sub !== principal.sub || statusOf(chain) !== 'complete')
        throw new RefusedError('not-found', 'there is no complete sign-in of this person');
      sessions.set(sessionId, { sub: principal.sub, clientId });
      chains.delete(interactionUid);
      return answered(openSession, { sessionId });
    },

    async endSession(principal, body) {
      enter('endSession');
      const request = overTheBus(endSession, z.encode(endSession.request, body));
      const byToken = 'accessToken' in request;
      const sessionId = byToken
        ? String(decodeJwt(request.accessToken.reveal()).tsid)
        : sessionIdOf(request.grantId);
      const reason = byToken ? 'revoked' : request.reason;
      const session = sessions.get(sessionId);
      if (byToken && !session) throw new RefusedError('session-ended', 'the session has ended');
      if (session?.sub !== principal.sub || (byToken && session.clientId !== request.clientId))
        return { status: 'not-found' };
      sessions.delete(sessionId);
      ended.set(sessionId, reason);
      return { status: 'ended' };
    },

    async receiveLogoutToken(provider, token) {
      enter('receiveLogoutToken');
      const { logoutToken } = overTheBus(
        receiveLogoutToken,
        z.encode(receiveLogoutToken.request, { provider, logoutToken: token }),
      );
      const answer = vault.logoutTokens.get(logoutToken.reveal()) ?? 'invalid-request';
      if (answer !== 'ok') throw new RefusedError(answer, 'of no effect', { retryable: false });
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

/** The bucket AUTH as a map: what is written under another revision is refused. */
function createInMemoryAuthStore(): AuthStore & { rows(): ReadonlyMap<string, Row> } {
  const all = new Map<string, Kept>();
  let revisions = 0;
  const keyOf = (kind: string, id: string) => `${kind}.${id}`;
  const find = (kind: string, id: string) => {
    const kept = all.get(keyOf(kind, id));
    return kept && (kept.expiresAt === null || kept.expiresAt > Date.now()) ? kept : null;
  };
  return {
    find: async (kind, id) => structuredClone(find(kind, id)),
    async put(kind, id, value, expiresAt, expected) {
      if (expected !== undefined && expected !== (find(kind, id)?.revision ?? 0))
        throw new RefusedError('conflict', `the ${kind} record changed meanwhile`);
      revisions += 1;
      const kept = { kind, id, value: structuredClone(value), expiresAt, revision: revisions };
      all.set(keyOf(kind, id), kept);
    },
    async delete(kind, id) {
      all.delete(keyOf(kind, id));
    },
    count: async (kind) => [...all.values()].filter((kept) => kept.kind === kind).length,
    sealAnew: async () => 0,
    keyUse: async () => new Map(),
    rows() {
      const rows = [...all].map(([key, { kind, id, value, expiresAt }]): [string, Row] => {
        const { payload = {}, use = null } = value as { payload?: Payload; use?: { status: string } | null };
        const used = use?.status === 'answered';
        return [key, { kind, id, payload, expiresAt: expiresAt ?? Number.POSITIVE_INFINITY, used }];
      });
      return new Map(rows.filter(([, { kind }]) => kind !== 'token-answer'));
    },
  };
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
