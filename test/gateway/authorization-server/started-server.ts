/**
 * The authorization server over real HTTP, with a vault in memory, and providers that send the browser straight back.
 * What a test needs of a client is here too: registration, PKCE, code and refresh requests.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAuthorizationServer } from '../../../gateway/authorization-server/authorization-server.ts';
import type { ConfiguredClient } from '../../../gateway/authorization-server/configured-clients.ts';
import type { RateLimitSettings } from '../../../gateway/authorization-server/rate-limit.ts';
import type { AuthorizationServerSettings } from '../../../gateway/authorization-server/settings.ts';
import { createBootId } from '../../../schemas/ids.ts';
import { createLog, type Log } from '../../../schemas/log.ts';
import { Browser } from '../../world/browser.ts';
import { createInMemoryVault, type InMemoryVault } from '../in-memory-vault.ts';

export const redirectUri = 'http://127.0.0.1:33418/callback';

export type StartedServer = AsyncDisposable & {
  issuer: string;
  port: number;
  resource: string;
  resourceMetadataUrl: string;
  vault: InMemoryVault;
  /** With other scopes in the configuration of every provider, and nothing in memory. */
  restart(scopes: readonly string[]): void;
  /** What the played providers answer; `errors` by provider. */
  answers: { code: string; error: string | null; errors: Map<string, string> };
};

export type StartOptions = {
  settings?: Partial<AuthorizationServerSettings>;
  providers?: string[];
  /** All of them come back to this path. */
  sharedCallbackPath?: string;
  /** How clients see it, if a TLS proxy stands in front. */
  publicIssuer?: string;
  log?: Log;
  registrationLimit?: RateLimitSettings;
  signInLimit?: RateLimitSettings;
  logoutLimit?: RateLimitSettings;
  /** Those that speak OpenID Connect; by default all. */
  openIdProviders?: readonly string[];
  confidentialRegistration?: boolean;
  redirectSchemes?: readonly string[];
  clientDocuments?: null;
  clients?: readonly ConfiguredClient[];
  maxClients?: number;
  /** So many authorization servers on one vault, in turn, as behind a load balancer. */
  replicas?: number;
};

export async function startServer(options: StartOptions = {}): Promise<StartedServer> {
  const answers: StartedServer['answers'] = { code: 'alice', error: null, errors: new Map() };
  const upstreams = await listen((request, response) => {
    const url = new URL(request.url ?? '/', 'http://upstream');
    const target = new URL(url.searchParams.get('redirect_uri') ?? '');
    target.searchParams.set('state', url.searchParams.get('state') ?? '');
    // Its path says which provider it is.
    const error = answers.errors.get(url.pathname.split('/')[1] ?? '') ?? answers.error;
    if (error) target.searchParams.set('error', error);
    else target.searchParams.set('code', answers.code);
    response.writeHead(302, { location: target.href }).end();
  });

  let serve: http.RequestListener = () => {};
  const server = await listen((request, response) => serve(request, response));
  const issuer = options.publicIssuer ?? `http://localhost:${server.port}`;
  const providers = options.providers ?? ['corporate', 'gitlab'];
  const vault = createInMemoryVault({
    issuer,
    providers,
    maxClients: options.maxClients,
    ...(options.sharedCallbackPath !== undefined && {
      callbackUrl: () => issuer + options.sharedCallbackPath,
    }),
    authorizationEndpoint: (provider) => `http://127.0.0.1:${upstreams.port}/${provider}/authorize`,
  });
  const cookieKeys = [randomBytes(32)];
  const log = options.log ?? createLog({ process: 'test', bootId: createBootId(), level: 'silent' });
  const createReplica = (scopes: readonly string[]) =>
    createAuthorizationServer({
      issuer,
      instance: vault,
      vault,
      upstreams: providers.map((name) => ({
        name,
        displayName: `The ${name} account`,
        isOpenIdProvider: options.openIdProviders?.includes(name) ?? true,
        scopes,
        ...(options.sharedCallbackPath !== undefined && { callbackPath: options.sharedCallbackPath }),
      })),
      cookieKeys,
      log,
      ...(options.settings ? { settings: options.settings } : {}),
      ...(options.clients ? { clients: options.clients } : {}),
      confidentialRegistration: options.confidentialRegistration ?? false,
      redirectSchemes: options.redirectSchemes ?? [],
      ...(options.clientDocuments === null ? { clientDocuments: null } : {}),
      ...(options.logoutLimit ? { logoutLimit: options.logoutLimit } : {}),
      ...(options.signInLimit ? { signInLimit: options.signInLimit } : {}),
      ...(options.registrationLimit ? { registrationLimit: options.registrationLimit } : {}),
    });
  const createReplicas = (scopes: readonly string[]) =>
    Array.from({ length: options.replicas ?? 1 }, () => createReplica(scopes));
  let replicas = createReplicas([]);
  let turn = 0;
  serve = (request, response) => {
    const replica = replicas[turn++ % replicas.length]!;
    replica.handle(request, response).then((mine) => {
      if (!mine) response.writeHead(418).end();
    });
  };
  const { resource, resourceMetadataUrl } = replicas[0]!;
  return {
    issuer,
    port: server.port,
    resource,
    resourceMetadataUrl,
    vault,
    answers,
    restart(scopes) {
      replicas = createReplicas(scopes);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([server.close(), upstreams.close()]);
    },
  };
}

export type Client = { client_id: string };

export async function register(
  { issuer }: { issuer: string },
  metadata: Record<string, unknown> = {},
): Promise<{ status: number; body: Record<string, unknown> & Client }> {
  const response = await fetch(`${issuer}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'Test client', redirect_uris: [redirectUri], ...metadata }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> & Client };
}

export async function registerClient(server: { issuer: string }, metadata: Record<string, unknown> = {}) {
  const { status, body } = await register(server, metadata);
  if (status !== 201) throw new Error(`registration answered ${status}`);
  return body;
}

export const createVerifier = () => randomBytes(32).toString('base64url');
export const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url');

export function authorizationUrl(
  { issuer, resource }: { issuer: string; resource: string },
  client: Client,
  verifier: string,
  changes: Record<string, string | null> = {},
): URL {
  const url = new URL(`${issuer}/oauth/authorize`);
  const parameters = {
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: redirectUri,
    code_challenge: challengeOf(verifier),
    code_challenge_method: 'S256',
    state: 'state-of-the-client',
    scope: 'mcp',
    resource,
    ...changes,
  };
  for (const [name, value] of Object.entries(parameters))
    if (value !== null) url.searchParams.set(name, value);
  return url;
}

/** Through consent and chain to the client; the parameters that the client gets. */
export async function signIn(
  server: StartedServer,
  client: Client,
  options: {
    browser?: Browser;
    verifier?: string;
    changes?: Record<string, string | null>;
    stopAt?: string;
  } = {},
) {
  const { browser = new Browser(), verifier = createVerifier(), stopAt = redirectUri } = options;
  await browser.goto(authorizationUrl(server, client, verifier, options.changes), { stopAt });
  if (browser.page.status === 200) await browser.submit({}, { button: 'approve', stopAt });
  return { browser, verifier, answer: Object.fromEntries(browser.page.url.searchParams), page: browser.page };
}

export type TokenAnswer = {
  status: number;
  headers: Headers;
  body: { access_token: string; refresh_token: string; error?: string } & Record<string, unknown>;
};

export async function requestToken(
  { issuer }: { issuer: string },
  parameters: Record<string, string>,
): Promise<TokenAnswer> {
  const response = await fetch(`${issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams(parameters),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as TokenAnswer['body'],
  };
}

export function redeem(
  server: { issuer: string },
  client: Client,
  code: string,
  verifier: string,
  changes = {},
) {
  return requestToken(server, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
    client_id: client.client_id,
    ...changes,
  });
}

export function refresh(server: { issuer: string }, client: Client, refreshToken: string, changes = {}) {
  return requestToken(server, {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: client.client_id,
    ...changes,
  });
}

export async function revoke({ issuer }: { issuer: string }, client: Client, token: string) {
  const parameters = { token, client_id: client.client_id };
  const response = await fetch(`${issuer}/oauth/revoke`, {
    method: 'POST',
    body: new URLSearchParams(parameters),
  });
  const text = await response.text();
  const { status, headers } = response;
  return { status, headers, body: (text === '' ? {} : JSON.parse(text)) as { error?: string } };
}

export async function signInForTokens(server: StartedServer, client: Client) {
  const { answer, verifier } = await signIn(server, client);
  return (await redeem(server, client, answer.code ?? '', verifier)).body;
}

async function listen(listener: http.RequestListener) {
  const server = http.createServer(listener);
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
