/**
 * A vault in the test's own process, on a real NATS and real SQLite files, with providers that the test plays. Opened
 * again on the same folder and key ring it is the same vault after a restart.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { type Principal, partitionOf } from '../../schemas/identity.ts';
import { createBootId, createInstanceId, sessionIdOf } from '../../schemas/ids.ts';
import type { LogoutTokenContent } from '../../schemas/messages/backchannel-logout.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import type { InboxConnection } from '../../schemas/reply-inbox.ts';
import { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { ProviderSignIns } from '../../vault/authorization/sign-in.ts';
import type { ProviderExchanges, TokenExchange } from '../../vault/exchange/exchanged-tokens.ts';
import { createLeaseClock } from '../../vault/ownership/lease-clock.ts';
import type { Ownership } from '../../vault/ownership/ownership.ts';
import type { ProviderRefreshes, RefreshOrder } from '../../vault/refresh/refresher.ts';
import { createKeyRingFile, type KeyRingFile, openKeyRing } from '../../vault/sealing/key-ring.ts';
import type { ProviderLogouts } from '../../vault/session/upstream-logout.ts';
import { openVault, type Vault } from '../../vault/vault.ts';

export const issuer = 'https://latchkey.example';
export const audience = `${issuer}/mcp`;

/** Providers whose answers the test decides. */
export interface PlayedProviders
  extends ProviderSignIns,
    ProviderRefreshes,
    ProviderExchanges,
    ProviderLogouts {
  /** The tokens that the next exchange at a provider gives. */
  readonly tokens: Map<string, TokenSet>;
  /** The subject at every provider. */
  subject: string;
  readonly refreshes: RefreshOrder[];
  /** The providers of which a worker was looked for ahead of a refresh. */
  readonly prepared: string[];
  readonly revoked: string[];
  /** By logout token, what a provider's worker reads in it. */
  readonly logoutTokens: Map<string, LogoutTokenContent>;
  /** What the owner of a partition does when it is told who signed out. */
  onLogout: ProviderLogouts['endUpstreamSessions'];
  onExchange: ProviderExchanges['exchangeToken'];
  onStart: (order: RefreshOrder) => Promise<'accepted' | 'not-sent' | 'unknown'>;
}

export function tokenSet(name: string, expiresAt: number | null, refresh = true): TokenSet {
  return {
    accessToken: new Secret(`${name}-access-token-clear`),
    tokenType: 'Bearer',
    expiresAt,
    refreshToken: refresh ? new Secret(`${name}-refresh-token-clear`) : null,
    refreshExpiresAt: null,
    idToken: null,
    scope: 'openid',
  };
}

export function createPlayedProviders(): PlayedProviders {
  const played: PlayedProviders = {
    tokens: new Map(),
    subject: 'alice@corporate.example',
    refreshes: [],
    prepared: [],
    revoked: [],
    logoutTokens: new Map(),
    onLogout: async () => {},
    onExchange: async () => ({ status: 'unavailable', retryAfterSeconds: null }),
    onStart: async () => 'accepted',
    async authorize(provider) {
      const state = `state-of-a-leg-${randomBytes(16).toString('base64url')}`;
      return {
        authorizationUrl: `https://${provider}.example/authorize?state=${state}`,
        leg: {
          state: new Secret(state),
          nonce: null,
          codeVerifier: new Secret('v'.repeat(43)),
          redirectUri: `${issuer}/oauth/callback/${provider}`,
        },
      };
    },
    async exchange(provider, _leg, parameters) {
      const subject = parameters.code?.reveal() ?? played.subject;
      const account = { subject, name: 'Alice Example', email: 'alice@corporate.example' };
      const tokens = played.tokens.get(provider) ?? tokenSet(provider, Date.now() + 3_600_000);
      return { tokens, account, registration: { clientId: 'latchkey', generation: 0 } };
    },
    async revoke(provider) {
      played.revoked.push(provider);
    },
    async readLogoutToken(_provider, token) {
      const content = played.logoutTokens.get(token.reveal());
      if (content) return content;
      throw new RefusedError('invalid-request', 'the logout token is not valid');
    },
    endUpstreamSessions: (...told) => played.onLogout(...told),
    exchangeToken: (provider, request) => played.onExchange(provider, request),
    async forward() {},
    prepare: (provider) => void played.prepared.push(provider),
    async start(order) {
      played.refreshes.push(order);
      return played.onStart(order);
    },
  };
  return played;
}

/** Where no client is a document. */
export async function refuseClientMetadata(): Promise<never> {
  throw new RefusedError('upstream-unavailable', 'nobody fetches documents here');
}

export interface TestVault extends AsyncDisposable {
  readonly vault: Vault;
  readonly ownership: Ownership;
  readonly connection: InboxConnection;
  readonly providers: PlayedProviders;
  readonly folder: string;
  readonly keyRing: KeyRingFile;
  readonly problems: unknown[];
  readonly now: () => number;
  /** Stops this one and opens another on the same folder. */
  reopen(meanwhile?: () => Promise<void> | void): Promise<TestVault>;
}

export interface TestVaultOptions {
  readonly url: string;
  readonly chain?: readonly string[];
  readonly optional?: readonly string[];
  readonly refreshTokenReuse?: ReadonlyMap<string, RefreshTokenReuse>;
  /** By default those of the chain. */
  readonly linkable?: readonly string[];
  /** By default signing keys are not rotated by their age. */
  readonly signingKeyMs?: number;
  /** By default no provider ends sessions. */
  readonly identityProvider?: string;
  readonly tokenExchanges?: readonly TokenExchange[];
  readonly linkedIdleMs?: number;
  readonly folder?: string;
  readonly keyRing?: KeyRingFile;
  /** What a ring that is loaded again is. */
  readonly keyRingNow?: () => KeyRingFile;
  readonly providers?: PlayedProviders;
  /** A clock that the test can move. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export async function openTestVault(options: TestVaultOptions): Promise<TestVault> {
  const { url, chain = ['corporate', 'gitlab'], now = Date.now } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'latchkey-vault-'));
  const keyRing = options.keyRing ?? createKeyRingFile(createInstanceId());
  const providers = options.providers ?? createPlayedProviders();
  const problems: unknown[] = [];
  const source = options.keyRingNow && { name: 'the test', read: async () => options.keyRingNow!() };
  const ring = openKeyRing(keyRing, {
    ...(source && { source }),
    onKeyMissing: (error) => problems.push(error),
  });
  const worker = createBootId();
  const connection = await openNatsConnection({ servers: [url], role: 'vault', bootId: worker });
  const vault = await openVault({
    ...{ connection, folder, worker, chain, providers, issuer },
    optional: options.optional ?? [],
    linkable: options.linkable ?? chain,
    ...(options.tokenExchanges !== undefined && { tokenExchanges: options.tokenExchanges }),
    ...(options.refreshTokenReuse !== undefined && { refreshTokenReuse: options.refreshTokenReuse }),
    ...(options.identityProvider !== undefined && { identityProvider: options.identityProvider }),
    ...(options.signingKeyMs !== undefined && { signingKeyMs: options.signingKeyMs }),
    keepLinkedAlive: true,
    linkedIdleMs: options.linkedIdleMs ?? 90 * 24 * 3_600_000,
    keyRing: ring,
    audiences: [audience],
    maxAccessTokenSeconds: 3600,
    refreshAheadSeconds: 60,
    replicas: 1,
    now,
    // What the test does to time is nothing to the lease.
    leaseClock: createLeaseClock({ monotonic: () => performance.now(), wall: Date.now }),
    random: options.random ?? Math.random,
    onProblem: (error) => problems.push(error),
    onRevocationFailed: (failure) => problems.push(failure),
    onFatal: (error) => problems.push(error),
  }).catch(async (error) => {
    await connection.close();
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  // This worker owns every partition, and is told by itself.
  providers.onLogout = (...told) => vault.upstreamLogouts.end(...told);
  const ownership = vault.own({ expect: () => {}, serve: () => {}, release: async () => {} });
  await ownership.settled();
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= (async () => {
      await ownership[Symbol.asyncDispose]();
      await vault[Symbol.asyncDispose]();
      await connection.close();
    })();
    return closed;
  };
  return {
    ...{ vault, ownership, connection, providers, folder, keyRing, problems, now },
    async reopen(meanwhile) {
      await close();
      await meanwhile?.();
      return openTestVault({ ...options, folder, keyRing, providers });
    },
    async [Symbol.asyncDispose]() {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface SignedIn {
  readonly principal: Principal;
  readonly partition: number;
  readonly sessionId: string;
  readonly accessToken: Secret;
}

/** Walks the chain to its end, opens the session, and has the vault sign an access token for it. */
export async function signIn(
  { vault, now }: Pick<TestVault, 'vault' | 'now'>,
  uid: string,
  /** In place of the subject that the providers have for everybody. */
  subject?: string,
): Promise<SignedIn> {
  for (;;) {
    const leg = await vault.signIn.beginLeg(uid);
    const state = new Secret(new URL(leg.authorizationUrl).searchParams.get('state')!);
    const { status } = await vault.signIn.completeLeg(
      {
        providers: [leg.provider],
        parameters: { state, ...(subject !== undefined && { code: new Secret(subject) }) },
        browserBinding: leg.browserBinding,
      },
      `cmd_${uid.padEnd(22, 'x').slice(0, 22)}`,
    );
    if (status === 'failed') throw new Error('the chain failed');
    if (status === 'complete') break;
  }
  const iat = Math.floor(now() / 1000);
  const chain = await vault.signIn.findChain(uid);
  if (chain.status !== 'complete') throw new Error(`the chain is ${chain.status}`);
  const { principal } = chain;
  const partition = partitionOf(principal, vault.description.partitions);
  const grantId = `grant-of-${uid}`;
  const { sessionId } = await vault.openSession(partition, {
    interactionUid: uid,
    principal,
    grantId,
    clientId: 'client-1',
    lifetimeSeconds: 3600,
  });
  if (sessionId !== sessionIdOf(grantId)) throw new Error('another session id');
  return {
    principal,
    partition,
    sessionId,
    accessToken: signedToken(vault, partition, principal.sub, sessionId, { iat, exp: iat + 600 }),
  };
}

export function signedToken(
  vault: Vault,
  partition: number,
  sub: string,
  tsid: string,
  change: object = {},
): Secret {
  const { kid } = vault.description.signingKeys[0]!;
  const input = signingInput(
    { alg: 'ES256', typ: 'at+jwt', kid },
    { ...accessTokenClaims(sub, tsid), ...change },
  );
  return new Secret(`${input}.${vault.signAccessToken(partition, kid, input)}`);
}

export function accessTokenClaims(sub: string, tsid: string) {
  const iat = Math.floor(Date.now() / 1000);
  return {
    iss: issuer,
    sub,
    aud: audience,
    iat,
    exp: iat + 600,
    jti: 'j1',
    client_id: 'client-1',
    scope: 'mcp',
    tsid,
  };
}

export function signingInput(header: object, claims: object): string {
  return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
}
