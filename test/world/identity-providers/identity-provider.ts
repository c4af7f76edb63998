// A real identity provider for tests and the demo: the certified `oidc-provider` with a login form, one registered
// client, one-time refresh tokens (RFC 9700 section 4.14.2), RFC 7009 revocation, and no consent page.
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { createPages } from './pages.ts';
import { type Person, toClaims } from './people.ts';
import { openProviderState } from './sqlite-adapter.ts';
import { createTokenEndpointWatch, type TokenEndpointFault, type TokenRequest } from './token-endpoint.ts';

export type IdentityProviderOptions = {
  /** 0 (the default) takes a free port. */
  port?: number;
  /** The host name in the issuer. */
  host?: string;
  /** The address to listen on; loopback unless a container network needs more. */
  listenOn?: string;
  clientSecret: string;
  redirectUris: string[];
  accessTokenSeconds?: number;
  /** Where the client hears of people who sign out here (OpenID Connect Back-Channel Logout 1.0); ID tokens then have a `sid`. */
  backchannelLogoutUri?: string;
  /** Clients may register themselves (RFC 7591), with this initial access token if there is one. */
  registration?: { initialAccessToken?: string };
  /** Keeps sessions, tokens and keys in this folder over restarts. Without it they live in memory. */
  stateDir?: string;
};

export type IdentityProviderKind = {
  name: string;
  title: string;
  accent: string;
  people: Person[];
  scopes: string[];
  routes: { authorization: string; token: string; revocation: string; userinfo?: string };
  /** What this provider answers that the library does not, before the library sees the request. */
  middleware?: (provider: Provider, ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>;
};

/** A client that registered itself: the request, and what it was given. */
export type RegisteredClient = {
  clientId: string;
  clientSecret: string;
  metadata: Record<string, unknown>;
};

export type IdentityProvider = AsyncDisposable & {
  name: string;
  issuer: string;
  port: number;
  clientId: 'latchkey';
  authorizationEndpoint: string;
  tokenEndpoint: string;
  revocationEndpoint: string;
  /** Every access, refresh and ID token issued since the process started. */
  tokens: ReadonlySet<string>;
  tokenRequests: readonly TokenRequest[];
  /** What the client was told of people who signed out, and what it answered. */
  logouts: readonly { token: string; status: number }[];
  /** The clients that registered themselves, in order. */
  registrations: readonly RegisteredClient[];
  /** It knows this client no more. */
  forgetClient(clientId: string): Promise<void>;
  /** Spoils the token endpoint until cleared by null. */
  setTokenEndpointFault(fault: TokenEndpointFault | null): void;
  setAccessTokenSeconds(seconds: number): void;
  /** They have left: they cannot sign in, and no refresh token of theirs is good any more. */
  disable(username: string): void;
  close(): Promise<void>;
};

const day = 24 * 60 * 60;
const clientId = 'latchkey';

export async function openIdentityProvider(
  kind: IdentityProviderKind,
  options: IdentityProviderOptions,
): Promise<IdentityProvider> {
  const server = http.createServer();
  server.listen(options.port ?? 0, options.listenOn ?? '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const issuer = `http://${options.host ?? 'localhost'}:${port}`;

  if (options.stateDir !== undefined) mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const state = openProviderState(
    options.stateDir === undefined ? ':memory:' : join(options.stateDir, `${kind.name}.sqlite`),
  );
  const signingKey = JSON.parse(await state.keepSecret('signing-key', createSigningKey));
  const cookieKey = await state.keepSecret('cookie-key', () =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url'),
  );
  const pages = createPages(kind.name, kind.title, kind.accent, kind.people);
  const watch = createTokenEndpointWatch(kind.routes.token);
  const disabled = new Set<string>();
  const logouts: { token: string; status: number }[] = [];
  const registrations: RegisteredClient[] = [];
  let accessTokenSeconds = options.accessTokenSeconds ?? 300;

  const configuration: Configuration = {
    adapter: state.createAdapter,
    clients: [
      {
        client_id: clientId,
        client_secret: options.clientSecret,
        redirect_uris: options.redirectUris,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
        ...(options.backchannelLogoutUri !== undefined && {
          backchannel_logout_uri: options.backchannelLogoutUri,
          backchannel_logout_session_required: true,
        }),
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    responseTypes: ['code'],
    scopes: kind.scopes,
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
    // As at most companies, the ID token says who the person is without another request.
    conformIdTokenClaims: false,
    pkce: { required: () => false },
    jwks: { keys: [signingKey] },
    // Ports do not separate cookies: providers on one host need names of their own.
    cookies: {
      keys: [cookieKey],
      names: {
        session: `${kind.name}_session`,
        interaction: `${kind.name}_interaction`,
        resume: `${kind.name}_resume`,
      },
    },
    routes: kind.routes,
    ttl: {
      AccessToken: () => accessTokenSeconds,
      AuthorizationCode: 60,
      Grant: 30 * day,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 14 * day,
      Session: 14 * day,
    },
    issueRefreshToken: async () => true,
    rotateRefreshToken: () => true,
    expiresWithSession: () => false,
    loadExistingGrant: createGrant,
    findAccount: (_ctx, subject) => {
      const person = kind.people.find((candidate) => candidate.subject === subject);
      if (person === undefined || disabled.has(person.username)) return undefined;
      return { accountId: person.subject, claims: () => toClaims(person) };
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = pages.error(out.error, out.error_description ?? '');
    },
    // The library's own way refuses private addresses, and everything here is on loopback.
    fetch: async (url, { dispatcher: _, ...request }: RequestInit & { dispatcher?: unknown } = {}) => {
      const response = await fetch(url, request);
      const token = request.body instanceof URLSearchParams ? request.body.get('logout_token') : null;
      if (token !== null) logouts.push({ token, status: response.status });
      return response;
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      ...(options.registration && {
        registration: { enabled: true, issueRegistrationAccessToken: false, ...options.registration },
      }),
      userinfo: { enabled: kind.routes.userinfo !== undefined },
      revocation: {
        enabled: true,
        allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId,
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = pages.signOut(form);
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.body = pages.signedOut();
        },
      },
    },
  };
  const provider = new Provider(issuer, configuration);

  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path !== '/reg' || ctx.status !== 201) return;
    const { client_id, client_secret, ...metadata } = ctx.body as Record<string, unknown>;
    registrations.push({ clientId: String(client_id), clientSecret: String(client_secret), metadata });
  });
  provider.use((ctx, next) => watch.middleware(ctx as KoaContextWithOIDC, next));
  provider.use(async (koaContext, next) => {
    const ctx = koaContext as KoaContextWithOIDC;
    if (ctx.path === '/') ctx.body = pages.home(provider.pathFor('end_session'));
    else if (ctx.path.startsWith('/interaction/')) await interact(ctx);
    else if (kind.middleware) await kind.middleware(provider, ctx, next);
    else await next();
  });

  /** The demo's own pages between the authorization request and its answer: the login form, no consent. */
  async function interact(ctx: KoaContextWithOIDC): Promise<void> {
    const finish = async (result: Parameters<typeof provider.interactionFinished>[2]) => {
      ctx.respond = false;
      await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    };
    const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch(() => null);
    if (interaction === null) {
      ctx.status = 400;
      ctx.body = pages.error('invalid_request', 'This sign-in has expired, or began in another browser.');
      return;
    }
    if (interaction.prompt.name !== 'login') return finish({ consent: {} });
    ctx.set('cache-control', 'no-store');
    if (ctx.method !== 'POST') {
      ctx.body = pages.login(ctx.path);
      return;
    }
    const form = await readForm(ctx.req);
    const person = kind.people.find(({ username }) => username === form.get('username'));
    if (person === undefined || person.password !== form.get('password')) {
      ctx.status = 401;
      ctx.body = pages.login(ctx.path, 'User name or password is wrong.');
      return;
    }
    await finish({ login: { accountId: person.subject } });
  }

  server.on('request', provider.callback());
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= closeServer(server).then(state.close);
    return closing;
  };
  return {
    name: kind.name,
    issuer,
    port,
    clientId,
    authorizationEndpoint: issuer + kind.routes.authorization,
    tokenEndpoint: issuer + kind.routes.token,
    revocationEndpoint: issuer + kind.routes.revocation,
    tokens: watch.tokens,
    tokenRequests: watch.tokenRequests,
    logouts,
    registrations,
    forgetClient: (id) => state.createAdapter('Client').destroy(id),
    setTokenEndpointFault: watch.setFault,
    setAccessTokenSeconds: (seconds) => {
      accessTokenSeconds = seconds;
    },
    disable: (username) => disabled.add(username),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Each authorization is a family of its own: revoking one sign-in leaves the person's others alone. */
async function createGrant(ctx: KoaContextWithOIDC) {
  const { client, session, params, provider } = ctx.oidc;
  if (!client || !session?.accountId) return undefined;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(String(params?.scope ?? ''));
  await grant.save();
  return grant;
}

async function closeServer(server: http.Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

async function createSigningKey(): Promise<string> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return JSON.stringify({ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' });
}

async function readForm(request: http.IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > 10_000) throw new Error('form too large');
  }
  return new URLSearchParams(body);
}
