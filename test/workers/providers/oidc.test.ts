import { setTimeout as sleep } from 'node:timers/promises';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { Secret } from '../../../schemas/secret.ts';
import type { GuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import { createOidcProvider } from '../../../workers/providers/oidc.ts';
import type { Provider } from '../../../workers/providers/provider.ts';
import { Browser } from '../../world/browser.ts';
import { openCorporateProvider } from '../../world/identity-providers/corporate.ts';
import { type AnsweringServer, openAnsweringServer } from './answering-server.ts';
import {
  clientSecret,
  createDependencies,
  oidcSettings,
  parametersOf,
  redirectUri,
  unhurried,
} from './provider-settings.ts';

const test = suite('oidc');
const options = { clientSecret, redirectUris: [redirectUri] };
const registration = { clientId: 'latchkey', generation: 0 };

async function signIn(provider: Provider, username = 'alice') {
  const browser = new Browser();
  const { authorizationUrl, leg } = await provider.authorize();
  await browser.goto(authorizationUrl, { stopAt: redirectUri });
  const page = await browser.submit({ username, password: `${username}-demo` }, { stopAt: redirectUri });
  return { leg, parameters: parametersOf(page.url) };
}

async function refusal(promise: Promise<unknown>): Promise<RefusedError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, RefusedError);
    return error as RefusedError;
  }
  return assert.unreachable('was not refused') as never;
}

interface Spoiling {
  /** Changes the body of the token endpoint's answers. */
  token?: (body: Record<string, unknown>) => Record<string, unknown>;
  discovery?: (body: Record<string, unknown>) => Record<string, unknown>;
  readonly requests: string[];
}

const spoiledBy =
  (spoiling: Spoiling) =>
  (fetch: GuardedFetch): GuardedFetch =>
  async (url, request) => {
    const { pathname } = new URL(url);
    spoiling.requests.push(`${request?.method ?? 'GET'} ${pathname}`);
    const response = await fetch(url, request);
    const spoil = pathname.startsWith('/.well-known/')
      ? spoiling.discovery
      : pathname === '/token'
        ? spoiling.token
        : undefined;
    if (!spoil) return response;
    return Response.json(spoil((await response.json()) as Record<string, unknown>), {
      status: response.status,
    });
  };

/** The same ID token with another claim or signature. */
function forge(idToken: unknown, change: (parts: { header: object; claims: object }) => object): string {
  const [header, claims, signature] = String(idToken).split('.') as [string, string, string];
  const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  const changed = change({ header: decode(header), claims: decode(claims) });
  return `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`;
}

test('a person signs in, and the account comes from the ID token', async () => {
  await using corporate = await openCorporateProvider(options);
  const provider = createOidcProvider(oidcSettings(corporate.issuer), createDependencies());
  const { leg, parameters } = await signIn(provider);
  assert.is(parameters.iss?.reveal(), corporate.issuer);
  assert.ok(leg.nonce);
  const { tokens, account, registration: obtainedBy } = await provider.exchange({ leg, parameters });
  assert.equal(account, {
    subject: 'corp-7f21',
    name: 'Alice Adams',
    email: 'alice.adams@corporate.example',
  });
  assert.equal(obtainedBy, registration);
  for (const token of [tokens.accessToken, tokens.refreshToken!, tokens.idToken!])
    assert.ok(corporate.tokens.has(token.reveal()));
});

test('discovery and JWKS are read once', async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = { requests: [] };
  const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  for (const username of ['alice', 'bob']) await provider.exchange(await signIn(provider, username));
  assert.equal(spoiling.requests, [
    'GET /.well-known/openid-configuration',
    'POST /token',
    'GET /jwks',
    'POST /token',
  ]);
});

test('what the ID token leaves out is asked at the userinfo endpoint', async () => {
  await using corporate = await openCorporateProvider(options);
  const dependencies = createDependencies();
  const settings = {
    ...oidcSettings(corporate.issuer),
    scopes: ['openid'],
    userInfo: {
      endpointUrl: corporate.userinfoEndpoint,
      httpMethod: 'GET',
      additionalHeaders: {},
      subjectFields: ['id'],
      nameFields: ['sub'],
      emailFields: ['email'],
    },
  } as const;
  const provider = createOidcProvider(settings, dependencies);
  const { account } = await provider.exchange(await signIn(provider));
  assert.equal(account, { subject: 'corp-7f21', name: 'corp-7f21', email: null });
  const gone = { ...settings.userInfo, endpointUrl: `${corporate.issuer}/nothing-here` };
  const without = createOidcProvider({ ...settings, userInfo: gone }, dependencies);
  assert.equal((await without.exchange(await signIn(without))).account, {
    subject: 'corp-7f21',
    name: null,
    email: null,
  });
});

test('a provider that is down fails its own legs, and is found when it is back', async () => {
  const first = await openCorporateProvider(options);
  const { port, issuer } = first;
  await first.close();
  const provider = createOidcProvider(oidcSettings(issuer), createDependencies());
  assert.is((await refusal(provider.authorize())).code, 'upstream-unavailable');
  const request = { refreshToken: new Secret('r'), registration, ...unhurried() };
  assert.equal(await provider.refresh(request), {
    status: 'failed',
    reason: 'provider-unavailable',
    retryAfterSeconds: null,
  });
  await using _corporate = await openCorporateProvider({ ...options, port });
  const { account } = await provider.exchange(await signIn(provider, 'bob'));
  assert.is(account.subject, 'corp-93c4');
});

test("another issuer's discovery document is refused, and not remembered", async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = {
    requests: [],
    discovery: (body) => ({ ...body, issuer: 'https://evil.example' }),
  };
  const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  assert.is((await refusal(provider.authorize())).code, 'upstream-unavailable');
  delete spoiling.discovery;
  assert.ok((await provider.authorize()).authorizationUrl.startsWith(corporate.authorizationEndpoint));
});

test('a foreign iss is refused before anything is sent, on an error as well (RFC 9207)', async () => {
  await using corporate = await openCorporateProvider(options);
  const provider = createOidcProvider(oidcSettings(corporate.issuer), createDependencies());
  const { leg, parameters } = await signIn(provider);
  const foreign = { ...parameters, iss: new Secret('https://evil.example') };
  assert.is((await refusal(provider.exchange({ leg, parameters: foreign }))).code, 'invalid-request');
  const error = {
    state: leg.state,
    error: new Secret('access_denied'),
    iss: new Secret('https://evil.example'),
  };
  assert.is((await refusal(provider.exchange({ leg, parameters: error }))).code, 'invalid-request');
  const { iss: _, ...without } = parameters;
  assert.is((await refusal(provider.exchange({ leg, parameters: without }))).code, 'invalid-request');
  assert.is(corporate.tokenRequests.length, 0);
  const denied = { ...error, iss: new Secret(corporate.issuer) };
  assert.match((await refusal(provider.exchange({ leg, parameters: denied }))).message, /access_denied$/);
});

test('an ID token with another nonce, signature, audience or none at all signs nobody in', async () => {
  await using corporate = await openCorporateProvider(options);
  const cases: Spoiling['token'][] = [
    (body) => ({
      ...body,
      id_token: forge(body.id_token, ({ claims }) => ({ ...claims, sub: 'corp-93c4' })),
    }),
    (body) => ({ ...body, id_token: forge(body.id_token, ({ claims }) => ({ ...claims, aud: 'other' })) }),
    ({ id_token: _, ...body }) => body,
    (body) => ({ ...body, id_token: 'not.a.jwt' }),
  ];
  for (const token of cases) {
    const spoiling: Spoiling = { requests: [] };
    const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
    const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
    const signedIn = await signIn(provider);
    spoiling.token = token!;
    assert.is((await refusal(provider.exchange(signedIn))).code, 'upstream-unavailable');
    for (const value of corporate.tokens) assert.not.ok(dependencies.lines.join('').includes(value));
  }
  const provider = createOidcProvider(oidcSettings(corporate.issuer), createDependencies());
  const { leg, parameters } = await signIn(provider);
  const { leg: other } = await provider.authorize();
  const mixed = { ...leg, nonce: other.nonce };
  assert.is((await refusal(provider.exchange({ leg: mixed, parameters }))).code, 'upstream-unavailable');
});

test('tokens that came with an ID token that proves nothing are revoked', async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = { requests: [] };
  const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  const signedIn = await signIn(provider);
  spoiling.token = ({ id_token: _, ...body }) => body;
  await refusal(provider.exchange(signedIn));
  const { pathname } = new URL(corporate.revocationEndpoint);
  while (!spoiling.requests.includes(`POST ${pathname}`))
    await new Promise((resolve) => setTimeout(resolve, 5));
  const issued = corporate.tokenRequests.at(-1)!.issued;
  delete spoiling.token;
  const outcome = async () =>
    provider.refresh({ refreshToken: new Secret(issued.refreshToken!), registration, ...unhurried() });
  assert.is((await outcome()).status, 'failed');
});

test('a discovery document leads nowhere that is not allowed', async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = {
    requests: [],
    discovery: (body) => ({ ...body, token_endpoint: 'http://169.254.169.254/latest/meta-data/' }),
  };
  const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  const { leg, parameters } = await signIn(provider);
  assert.is((await refusal(provider.exchange({ leg, parameters }))).code, 'upstream-unavailable');
  assert.match(dependencies.lines.join(''), /address-refused/);
});

test('a refresh is delivered whatever its ID token looks like, and the problem is told without values', async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = { requests: [] };
  const dependencies = createDependencies({ fetch: spoiledBy(spoiling) });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  let { refreshToken } = (await provider.exchange(await signIn(provider))).tokens;
  const spoilers: Spoiling['token'][] = [
    (body) => ({
      ...body,
      id_token: forge(body.id_token, ({ claims }) => ({ ...claims, sub: 'corp-93c4' })),
    }),
    (body) => ({ ...body, id_token: 'x', expires_in: 'soon', token_type: 7 }),
  ];
  for (const token of spoilers) {
    spoiling.token = token!;
    dependencies.lines.length = 0;
    const outcome = await provider.refresh({
      refreshToken: refreshToken!,
      registration,
      ...unhurried(),
    });
    if (outcome.status !== 'refreshed') return assert.unreachable(outcome.reason);
    assert.is.not(outcome.tokens.refreshToken!.reveal(), refreshToken!.reveal());
    assert.ok(corporate.tokens.has(outcome.tokens.refreshToken!.reveal()));
    refreshToken = outcome.tokens.refreshToken;
    while (dependencies.lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.match(dependencies.lines.join(''), /the ID token that came with a refresh is not valid/);
    for (const value of corporate.tokens) assert.not.ok(dependencies.lines.join('').includes(value));
  }
});

test('a rotated token is delivered while the keys cannot be read, and whatever key or clock the ID token is of', async () => {
  const [own, foreign] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
  const jwk = { ...(await exportJWK(own.publicKey)), alg: 'ES256', kid: 'k1' };
  const hour = 3600;
  const idToken = (key: typeof own.privateKey, shiftSeconds: number, issuer: string) => {
    const at = Math.floor(Date.now() / 1000) + shiftSeconds;
    return new SignJWT({ sub: 'corp-7f21' })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(issuer)
      .setAudience('latchkey')
      .setIssuedAt(at)
      .setExpirationTime(at + 300)
      .sign(key);
  };
  const cases = {
    'JWKS down': { jwksStatus: 503, key: own.privateKey, shift: 0 },
    'a signature of another key': { jwksStatus: 200, key: foreign.privateKey, shift: 0 },
    'a clock that is an hour behind': { jwksStatus: 200, key: own.privateKey, shift: -hour },
    'a clock that is an hour ahead': { jwksStatus: 200, key: own.privateKey, shift: hour },
  };
  for (const [name, { jwksStatus, key, shift }] of Object.entries(cases)) {
    await using server: AnsweringServer = await openAnsweringServer(async ({ path }) => {
      const { origin } = server;
      if (path.startsWith('/.well-known/'))
        return {
          body: JSON.stringify({
            issuer: origin,
            authorization_endpoint: `${origin}/authorize`,
            token_endpoint: `${origin}/token`,
            jwks_uri: `${origin}/jwks`,
            id_token_signing_alg_values_supported: ['ES256'],
          }),
        };
      if (path === '/jwks') return { status: jwksStatus, body: JSON.stringify({ keys: [jwk] }) };
      const tokens = { access_token: 'a2', refresh_token: 'r2', token_type: 'bearer', expires_in: 300 };
      return { body: JSON.stringify({ ...tokens, id_token: await idToken(key, shift, origin) }) };
    });
    const dependencies = createDependencies();
    const provider = createOidcProvider(oidcSettings(server.origin), dependencies);
    const outcome = await provider.refresh({
      refreshToken: new Secret('r1'),
      registration,
      ...unhurried(),
      answerBefore: Date.now() + 10_000,
    });
    assert.is(outcome.status === 'refreshed' && outcome.tokens.refreshToken?.reveal(), 'r2', name);
    // Nobody says that a token must not be from the future.
    if (shift === hour) continue;
    for (let wait = 0; dependencies.lines.length === 0 && wait < 500; wait++) await sleep(10);
    assert.match(dependencies.lines.join(''), /the ID token that came with a refresh is not valid/, name);
  }
});

test('a public client, and one that the provider wants by post', async () => {
  await using corporate = await openCorporateProvider(options);
  const spoiling: Spoiling = {
    requests: [],
    discovery: (body) => ({ ...body, token_endpoint_auth_methods_supported: ['client_secret_post'] }),
  };
  const bodies: URLSearchParams[] = [];
  const dependencies = createDependencies({
    fetch: (fetch) => async (url, request) => {
      if (request?.method === 'POST') bodies.push(new URLSearchParams(String(request.body)));
      return spoiledBy(spoiling)(fetch)(url, request);
    },
  });
  const provider = createOidcProvider(oidcSettings(corporate.issuer), dependencies);
  await provider.exchange(await signIn(provider));
  assert.is(bodies[0]?.get('client_secret'), clientSecret);
  const open = createOidcProvider(oidcSettings(corporate.issuer), { ...dependencies, clientSecret: null });
  assert.is((await refusal(open.exchange(await signIn(open)))).code, 'upstream-refused');
  assert.is(bodies[1]?.get('client_id'), 'latchkey');
  assert.is(bodies[1]?.get('client_secret'), null);
});

test('revocation by the endpoint of the discovery document', async () => {
  await using corporate = await openCorporateProvider(options);
  const provider = createOidcProvider(oidcSettings(corporate.issuer), createDependencies());
  const { tokens } = await provider.exchange(await signIn(provider));
  const token = tokens.refreshToken!;
  assert.equal(await provider.revoke({ token, tokenTypeHint: 'refresh_token', registration }), {
    revoked: true,
  });
  const outcome = await provider.refresh({ refreshToken: token, registration, ...unhurried() });
  assert.is(outcome.status === 'failed' && outcome.reason, 'invalid-grant');
});

test.run();
