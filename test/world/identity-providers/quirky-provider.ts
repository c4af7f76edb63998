// A small OAuth server that plays the quirks of a real provider at that provider's own addresses: what it does with
// refresh tokens, where its answers hold the tokens, how it says no. One person, who always consents.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { GuardedFetch } from '../../../workers/providers/guarded-fetch.ts';

type Fields = Record<string, unknown>;
export type Reply = {
  status?: number;
  type?: string;
  body?: Fields | string | undefined;
  headers?: Record<string, string>;
};

export interface Quirks {
  /** With the provider's own hosts. */
  authorizationEndpoint: string;
  tokenEndpoint: string;
  revocationEndpoint?: string;
  userinfoEndpoint?: string;
  /** OpenID Connect: discovery and keys lie below. */
  issuer?: string;
  /** Besides sub, iss, aud, iat, exp and nonce. */
  idTokenClaims?: Fields;
  userinfo?: Fields;
  clientAuthentication: 'post' | 'basic';
  /** null: the answer does not say, and the token lives for ever. */
  accessTokenSeconds: number | null;
  /** `kept`: the same one for ever. `consent`: kept, and given only when the person was asked for consent. */
  refreshTokens:
    | 'none'
    | 'one-time'
    | 'kept'
    | 'consent'
    | ((scopes: string[]) => 'none' | 'one-time' | 'kept');
  /** Of a one-time refresh token that was used. */
  reuse?: 'revokes' | 'refused' | 'tolerant' | { leewayMs: number };
  scopeParameter?: string;
  /** Between the scopes of a request. */
  scopeSeparator?: ' ' | ',';
  /** The answer in the provider's own form. */
  answer?: (standard: Fields, grantType: string, accept: string) => Reply;
  /** How it says no. */
  refuse?: (error: string, grantType: string) => Reply;
  /** Answers at the revocation endpoint. */
  revoke?: (request: SeenRequest, end: (token: string) => boolean) => Reply;
}

export interface SeenRequest {
  method: string;
  url: URL;
  headers: http.IncomingHttpHeaders;
  body: string;
  form: URLSearchParams;
}

interface Family {
  readonly scopes: string[];
  over: boolean;
}

interface Code {
  readonly family: Family;
  readonly challenge: string;
  readonly redirectUri: string;
  readonly nonce: string | null;
  readonly asked: boolean;
}

export interface QuirkyProvider extends AsyncDisposable {
  /** Leads requests for the provider's addresses here; all others fail. */
  reachedBy(fetch: GuardedFetch): GuardedFetch;
  /** The person's browser: where it is sent back to. */
  consent(authorizationUrl: string): Promise<URL>;
  readonly requests: readonly SeenRequest[];
  requestsTo(endpoint: string): SeenRequest[];
  isLive(token: string): boolean;
  /** Every access and refresh token that was given. */
  readonly issued: ReadonlySet<string>;
  /** The next requests to the token endpoint wait so long before they are answered. */
  delayMs: number;
}

export async function openQuirkyProvider(
  quirks: Quirks,
  client: { id: string; secret: string },
): Promise<QuirkyProvider> {
  const requests: SeenRequest[] = [];
  const codes = new Map<string, Code>();
  const accessTokens = new Map<string, Family>();
  const refreshTokens = new Map<string, { family: Family; usedAt: number | null }>();
  const issued = new Set<string>();
  const keys = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' };
  const { authorizationEndpoint, tokenEndpoint, revocationEndpoint, userinfoEndpoint, issuer } = quirks;
  let consented = false;

  const routes = new Map<string, (request: SeenRequest) => Promise<Reply> | Reply>();
  const route = (endpoint: string | undefined, handle: (request: SeenRequest) => Promise<Reply> | Reply) => {
    if (endpoint !== undefined) routes.set(addressOf(new URL(endpoint)), handle);
  };
  route(authorizationEndpoint, authorize);
  route(tokenEndpoint, token);
  route(revocationEndpoint, (request) => (quirks.revoke ?? revokeAsStandard)(request, end));
  route(userinfoEndpoint, (request) =>
    isLive(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '')
      ? { body: quirks.userinfo ?? {} }
      : { status: 401 },
  );
  if (issuer !== undefined) {
    const metadata = {
      issuer,
      authorization_endpoint: authorizationEndpoint,
      token_endpoint: tokenEndpoint,
      jwks_uri: `${issuer}/keys`,
      response_types_supported: ['code'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      ...(revocationEndpoint === undefined ? {} : { revocation_endpoint: revocationEndpoint }),
      ...(userinfoEndpoint === undefined ? {} : { userinfo_endpoint: userinfoEndpoint }),
    };
    route(`${issuer}/.well-known/openid-configuration`, () => ({ body: metadata }));
    route(`${issuer}/keys`, () => ({ body: { keys: [jwk] } }));
  }

  function authorize({ url }: SeenRequest): Reply {
    const { searchParams } = url;
    if (searchParams.get('client_id') !== client.id || searchParams.get('code_challenge_method') !== 'S256')
      return { status: 400 };
    const scopes = (searchParams.get(quirks.scopeParameter ?? 'scope') ?? '').split(
      quirks.scopeSeparator ?? ' ',
    );
    const code = secret('code');
    const redirectUri = searchParams.get('redirect_uri')!;
    codes.set(code, {
      family: { scopes, over: false },
      challenge: searchParams.get('code_challenge')!,
      redirectUri,
      nonce: searchParams.get('nonce'),
      asked: !consented || (searchParams.get('prompt') ?? '').includes('consent'),
    });
    consented = true;
    const back = new URL(redirectUri);
    back.searchParams.set('code', code);
    back.searchParams.set('state', searchParams.get('state')!);
    return { status: 302, headers: { location: back.href } };
  }

  async function token(request: SeenRequest): Promise<Reply> {
    const { form, headers } = request;
    if (provider.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, provider.delayMs));
    const grantType = form.get('grant_type') ?? '';
    const refuse = (error: string) =>
      quirks.refuse?.(error, grantType) ?? {
        status: error === 'invalid_client' ? 401 : 400,
        body: { error },
      };
    if (!isClient(request)) return refuse('invalid_client');
    const accept = headers.accept ?? '';
    if (grantType === 'authorization_code') {
      const code = codes.get(form.get('code') ?? '');
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url');
      if (code?.challenge !== challenge || code.redirectUri !== form.get('redirect_uri'))
        return refuse('invalid_grant');
      codes.delete(form.get('code')!);
      const kind = kindOf(code.family.scopes);
      const given =
        kind === 'none' || (kind === 'consent' && !code.asked) ? null : newRefreshToken(code.family);
      return reply(await issue(code.family, given, code.nonce), grantType, accept);
    }
    const sent = form.get('refresh_token') ?? '';
    const known = refreshTokens.get(sent);
    if (grantType !== 'refresh_token' || known === undefined || known.family.over)
      return refuse('invalid_grant');
    if (kindOf(known.family.scopes) !== 'one-time')
      return reply(await issue(known.family, null, null), grantType, accept);
    if (known.usedAt !== null && !mayReuse(known.usedAt)) {
      if (quirks.reuse !== 'refused') known.family.over = true;
      return refuse('invalid_grant');
    }
    known.usedAt ??= Date.now();
    return reply(await issue(known.family, newRefreshToken(known.family), null), grantType, accept);
  }

  const kindOf = (scopes: string[]) =>
    typeof quirks.refreshTokens === 'function' ? quirks.refreshTokens(scopes) : quirks.refreshTokens;

  function mayReuse(usedAt: number): boolean {
    const reuse = quirks.reuse ?? 'revokes';
    return reuse === 'tolerant' || (typeof reuse === 'object' && Date.now() - usedAt < reuse.leewayMs);
  }

  function reply(standard: Fields, grantType: string, accept: string): Reply {
    return quirks.answer?.(standard, grantType, accept) ?? { body: standard };
  }

  async function issue(family: Family, refreshToken: string | null, nonce: string | null): Promise<Fields> {
    const accessToken = secret('access');
    accessTokens.set(accessToken, family);
    return {
      access_token: accessToken,
      token_type: 'bearer',
      scope: family.scopes.join(' '),
      ...(quirks.accessTokenSeconds === null ? {} : { expires_in: quirks.accessTokenSeconds }),
      ...(refreshToken === null ? {} : { refresh_token: refreshToken }),
      ...(issuer === undefined ? {} : { id_token: await idToken(issuer, nonce) }),
    };
  }

  function idToken(iss: string, nonce: string | null): Promise<string> {
    const claims = { sub: 'pairwise-1', ...quirks.idTokenClaims, ...(nonce === null ? {} : { nonce }) };
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setIssuer(iss)
      .setAudience(client.id)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(keys.privateKey);
  }

  function newRefreshToken(family: Family): string {
    const value = secret('refresh');
    refreshTokens.set(value, { family, usedAt: null });
    return value;
  }

  function secret(kind: string): string {
    const value = `${kind}-${randomBytes(12).toString('hex')}`;
    if (kind !== 'code') issued.add(value);
    return value;
  }

  function isClient({ headers, form }: SeenRequest): boolean {
    if (quirks.clientAuthentication === 'post')
      return (
        headers.authorization === undefined &&
        form.get('client_id') === client.id &&
        form.get('client_secret') === client.secret
      );
    const [id, password] = Buffer.from(headers.authorization?.slice('Basic '.length) ?? '', 'base64')
      .toString()
      .split(':')
      .map(decodeURIComponent);
    return id === client.id && password === client.secret && !form.has('client_secret');
  }

  function revokeAsStandard(request: SeenRequest): Reply {
    if (!isClient(request)) return { status: 401, body: { error: 'invalid_client' } };
    end(request.form.get('token') ?? '');
    return { body: '' };
  }

  /** Ends the whole family. */
  function end(value: string): boolean {
    const family = accessTokens.get(value) ?? refreshTokens.get(value)?.family;
    if (family === undefined || family.over) return false;
    family.over = true;
    return true;
  }

  function isLive(value: string): boolean {
    const known = accessTokens.get(value) ?? refreshTokens.get(value)?.family;
    return known !== undefined && !known.over;
  }

  const server = http.createServer(async (incoming, outgoing) => {
    let body = '';
    for await (const chunk of incoming.setEncoding('utf8')) body += chunk;
    const url = new URL(`https:/${incoming.url}`);
    const { method = '', headers } = incoming;
    const request = { method, url, headers, body, form: new URLSearchParams(body) };
    requests.push(request);
    const given = (await routes.get(addressOf(url))?.(request)) ?? { status: 404 };
    const text = typeof given.body === 'object' ? JSON.stringify(given.body) : (given.body ?? '');
    outgoing.writeHead(given.status ?? 200, {
      'content-type': given.type ?? 'application/json',
      ...given.headers,
    });
    outgoing.end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  /** The provider's host becomes the first part of the path. */
  const here = (url: string) => url.replace(/^https:\//, origin);

  const provider: QuirkyProvider = {
    reachedBy: (fetch) => (url, request) => fetch(here(String(url)), request),
    async consent(authorizationUrl) {
      const response = await fetch(here(authorizationUrl), { redirect: 'manual' });
      await response.body?.cancel();
      return new URL(response.headers.get('location')!);
    },
    requests,
    requestsTo: (endpoint) => requests.filter(({ url }) => addressOf(url) === addressOf(new URL(endpoint))),
    isLive,
    issued,
    delayMs: 0,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return provider;
}

const addressOf = (url: URL) => `${url.host}${url.pathname}`;
