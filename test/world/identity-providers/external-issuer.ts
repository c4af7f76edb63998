// An issuer that knows nothing of Latchkey: the certified `oidc-provider`, with JWT access tokens (RFC 9068) for the
// resources that it is told of, registration (RFC 7591), introspection (RFC 7662), and keys that can be rotated. Whoever
// is sent there to sign in is the person who sits at the browser.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import Provider, { type Configuration, type KoaContextWithOIDC } from 'oidc-provider';

export interface ExternalIssuer extends AsyncDisposable {
  readonly issuer: string;
  readonly port: number;
  /** An access token as the issuer makes it. */
  issue(subject: string, change?: TokenChange): Promise<string>;
  /** An access token that only the issuer can read. */
  issueOpaque(subject: string, change?: TokenChange): Promise<string>;
  /** The issuer does not know it any more. */
  takeBack(opaqueToken: string): Promise<void>;
  /** Anything, signed with the key that signs now. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** A new key signs; the former ones are shown until they are removed. */
  rotateKey(): Promise<void>;
  removeFormerKeys(): void;
  /** Who signs in next. */
  atBrowser: string;
  /** Every path that was asked for, in order. */
  readonly requests: readonly string[];
  /** The one key that signs now, as everybody sees it. */
  publicKey(): JWK;
  /** Nobody answers at its address until it is back. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
}

export interface TokenChange {
  readonly audience?: string;
  readonly scope?: string;
  readonly seconds?: number;
}

/** The client that may ask about tokens. */
export const introspectionClient = {
  client_id: 'latchkey',
  client_secret: 'secret-of-the-introspection-client',
} as const;

export async function openExternalIssuer({
  audience,
  scopes = ['mcp'],
  port: wanted = 0,
}: {
  audience: string;
  scopes?: readonly string[];
  port?: number;
}): Promise<ExternalIssuer> {
  const requests: string[] = [];
  const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
    requests.push(request.url ?? '');
    void provider.callback()(request, response);
  };
  let server = await listen(wanted, answer);
  const { port } = server.address() as AddressInfo;
  const issuer = `http://localhost:${port}`;
  let keys = [await createKey()];
  const state = { atBrowser: 'alice' };
  let provider = createProvider();

  function createProvider(): Provider {
    const made = new Provider(issuer, configurationOf(keys, audience, scopes));
    made.use(async (koaContext, next) => {
      const ctx = koaContext as KoaContextWithOIDC;
      if (!ctx.path.startsWith('/interaction/')) return next();
      ctx.respond = false;
      const { prompt } = await made.interactionDetails(ctx.req, ctx.res);
      const result = prompt.name === 'login' ? { login: { accountId: state.atBrowser } } : { consent: {} };
      await made.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    });
    return made;
  }

  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };

  const sign: ExternalIssuer['sign'] = (claims, { seconds = 600, ...header } = {}) => {
    const { privateKey, jwk } = keys[0]!;
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({ iss: issuer, iat: now, exp: now + Number(seconds), ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: jwk.kid!, ...header })
      .sign(privateKey);
  };

  return {
    ...{ issuer, port, requests, sign },
    get atBrowser() {
      return state.atBrowser;
    },
    set atBrowser(subject) {
      state.atBrowser = subject;
    },
    issue: (subject, { audience: aud = audience, scope = scopes.join(' '), seconds = 600 } = {}) =>
      sign(
        { sub: subject, aud, scope, client_id: 'client-of-somebody', jti: crypto.randomUUID() },
        { typ: 'at+jwt', seconds },
      ),
    async issueOpaque(subject, { audience: aud = audience, scope = scopes.join(' '), seconds = 600 } = {}) {
      const client = await provider.Client.find(introspectionClient.client_id);
      const token = new provider.AccessToken({
        ...{ client: client!, accountId: subject, scope, extra: { seconds } },
        ...{ grantId: '', gty: 'authorization_code' },
      });
      token.resourceServer = new provider.ResourceServer(aud, {
        ...{ audience: aud, scope },
        accessTokenFormat: 'opaque',
      });
      return token.save();
    },
    async takeBack(opaqueToken) {
      await (await provider.AccessToken.find(opaqueToken))?.destroy();
    },
    async rotateKey() {
      keys = [await createKey(), ...keys];
      provider = createProvider();
    },
    removeFormerKeys() {
      keys = keys.slice(0, 1);
      provider = createProvider();
    },
    publicKey() {
      const { d: _, ...shown } = keys[0]!.jwk;
      return shown;
    },
    goAway: close,
    async comeBack() {
      server = await listen(port, answer);
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) await close();
    },
  };
}

interface IssuerKey {
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  readonly jwk: JWK;
}

async function createKey(): Promise<IssuerKey> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: crypto.randomUUID(), alg: 'ES256', use: 'sig' };
  return { privateKey, jwk };
}

function configurationOf(
  keys: readonly IssuerKey[],
  audience: string,
  scopes: readonly string[],
): Configuration {
  return {
    jwks: { keys: keys.map(({ jwk }) => jwk) as NonNullable<Configuration['jwks']>['keys'] },
    clients: [{ ...introspectionClient, redirect_uris: [], grant_types: [], response_types: [] }],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: ['openid', 'offline_access', ...scopes],
    responseTypes: ['code'],
    cookies: {
      keys: ['cookie-key-of-the-external-issuer'],
      names: { session: 'ext_session', interaction: 'ext_interaction', resume: 'ext_resume' },
    },
    pkce: { required: () => true },
    ttl: { AccessToken: (_ctx, { extra }) => Number(extra?.seconds ?? 600) },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    loadExistingGrant: async (ctx) => {
      const { client, session, provider } = ctx.oidc;
      if (!client || !session?.accountId) return undefined;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(['openid', 'offline_access', ...scopes].join(' '));
      grant.addResourceScope(audience, scopes.join(' '));
      await grant.save();
      return grant;
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: scopes.join(' '),
          audience,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  };
}

async function listen(
  port: number,
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => void,
): Promise<http.Server> {
  const server = http.createServer(answer);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
