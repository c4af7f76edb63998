/**
 * Attacks on a sign-in and on the endpoints around it, against a whole installation over real HTTP: what a stranger, a
 * malicious client, a web page or another person's browser can send. Each has its honest counterpart, so that a refusal
 * is not mistaken for something that never works.
 */
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  register,
  registerClient,
  requestToken,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { openInstallation } from '../world/installation.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';
import { type RawAnswer, sendHeaders } from '../world/raw-http.ts';

const test = suite('attacks');
const installation = await openInstallation();
const { issuer, mcpUrl } = installation;
const [gatewayPort = 0] = installation.gatewayPorts;
const server = { issuer, resource: mcpUrl };
const { host } = new URL(issuer);
const webUri = 'https://client.example/callback';
const callbackOf = (provider: string) => `${issuer}/oauth/callback/${provider}`;
const randomText = () => randomBytes(32).toString('base64url');

async function get(url: string | URL, headers: Record<string, string> = {}) {
  const response = await fetch(url, { redirect: 'manual', headers: { accept: 'text/html', ...headers } });
  const { status } = response;
  return { status, headers: response.headers, body: await response.text() };
}

/** Through consent and both providers, as far as `stopAt`. */
async function walk(client: Client, stopAt = redirectUri) {
  const browser = new Browser();
  const verifier = createVerifier();
  const url = authorizationUrl(server, client, verifier);
  const page = await walkThroughSignIn(browser, url, { person: alice, stopAt });
  assert.is(page.status, 0, `the sign-in ended at ${page.url.pathname} with ${page.status}`);
  return { browser, verifier, url: page.url, code: page.url.searchParams.get('code') ?? '' };
}

const cookiesOf = (browser: Browser, path: string) =>
  browser.cookies
    .find(new URL(path, issuer))
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ');

function assertFramesNothing(what: string, headers: Headers): void {
  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/, what);
  assert.is(headers.get('x-frame-options'), 'DENY', what);
  assert.is(headers.get('referrer-policy'), 'no-referrer', what);
  assert.is(headers.get('x-content-type-options'), 'nosniff', what);
  assert.is(headers.get('cache-control'), 'no-store', what);
}

test('a code is good once, for the client, the redirect URI and the verifier it was made for', async () => {
  const [client, other] = await Promise.all([registerClient(server), registerClient(server)]);
  const { code, verifier } = await walk(client);
  for (const [what, who, changes] of [
    ['another client', other, {}],
    ['another verifier', client, { code_verifier: createVerifier() }],
    ['no verifier', client, { code_verifier: '' }],
    ['another redirect URI', client, { redirect_uri: 'http://127.0.0.1:33418/other' }],
  ] as const) {
    const { status, body } = await redeem(server, who, code, verifier, changes);
    assert.equal([status, body.access_token], [400, undefined], what);
  }
  const { status, body } = await redeem(server, client, code, verifier);
  assert.is(status, 200);
  assert.is((await refresh(server, other, body.refresh_token)).body.error, 'invalid_grant');
  const { body: next } = await refresh(server, client, body.refresh_token);
  assert.is((await redeem(server, client, code, verifier)).body.error, 'invalid_grant');
  assert.is((await refresh(server, client, next.refresh_token)).body.error, 'invalid_grant', 'the family');
});

test('no other grant, and no token for a foreign resource', async () => {
  const client = await registerClient(server);
  for (const grant_type of ['password', 'client_credentials', 'implicit', '__proto__', 'constructor', '']) {
    const { status, body } = await requestToken(server, { grant_type, client_id: client.client_id });
    assert.equal([status, body.access_token], [400, undefined], grant_type);
  }
  const { code, verifier } = await walk(client);
  const resource = 'https://elsewhere.example/mcp';
  assert.is((await redeem(server, client, code, verifier, { resource })).body.error, 'invalid_target');
});

test('PKCE cannot be left out or weakened, and nobody is sent to a provider', async () => {
  const client = await registerClient(server);
  for (const changes of [
    { code_challenge: null, code_challenge_method: null },
    { code_challenge_method: 'plain' },
    { code_challenge_method: null },
    { code_challenge: 'short' },
  ]) {
    const { headers } = await get(authorizationUrl(server, client, createVerifier(), changes));
    const location = new URL(headers.get('location') ?? '');
    assert.is(location.origin + location.pathname, redirectUri);
    assert.is(location.searchParams.get('error'), 'invalid_request');
  }
});

test('redirect URIs that two readers could read differently cannot be registered', async () => {
  for (const uri of [
    'http://localhost.evil.example/',
    'http://127.0.0.1.evil.example/',
    'http://evil.example/',
    'http://user@localhost/',
    'https://@ok.example/',
    'https://ok.example/#fragment',
    'https://ok.example\\@evil.example/',
    'https:\\\\evil.example',
    'http://localhost\t.evil.example/',
    'http://0.0.0.0/',
    'http://[::]/',
    'http://2130706433/',
    'http://0x7f.1/',
    'javascript:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    'app:/callback',
    '//evil.example/',
    '/callback',
    'https:ok.example',
    'https:///ok.example',
    'https://ok.example/\u202e',
    'https://\u043e\u043a.example/',
    '',
  ]) {
    const { status } = await register(server, { redirect_uris: [uri] });
    assert.is(status, 400, uri);
  }
});

test('a redirect URI must be one that is registered; loopback differs in its port alone', async () => {
  const redirect_uris = [redirectUri, webUri, 'http://localhost/cb'];
  const client = await registerClient(server, { redirect_uris });
  const ask = (redirect_uri: string) =>
    get(authorizationUrl(server, client, createVerifier(), { redirect_uri }));
  for (const uri of [...redirect_uris, 'http://localhost:1234/cb']) assert.is((await ask(uri)).status, 303);
  for (const uri of [
    `${webUri}/`,
    `${webUri}/extra`,
    `${webUri}?x=1`,
    `${webUri}#x`,
    'https://client.example/call%62ack',
    'https://client.example:443/callback',
    'https://client.example./callback',
    'https://CLIENT.example/callback',
    'https://user@client.example/callback',
    'https://client.example@evil.example/callback',
    'https://client.example\\@evil.example/callback',
    'http://client.example/callback',
    'http://localhost.evil.example/cb',
    'http://localhost:1234/cb/../other',
    'http://localhost:1@evil.example/cb',
    'http://user@localhost:1/cb',
    'http://127.0.0.1:33418/cb',
    'http://localhost:1234/cb#x',
    'http://localhost:1234/cb?x',
  ]) {
    const { status, headers } = await ask(uri);
    assert.equal([status, headers.get('location')], [400, null], uri);
    assertFramesNothing(uri, headers);
  }
});

test('this server is nobody’s open redirector: before a person was asked there is only a way back', async () => {
  const client = await registerClient(server, { redirect_uris: [webUri] });
  for (const changes of [
    { prompt: 'none' },
    { response_type: 'token' },
    { code_challenge: null },
    { resource: 'https://elsewhere.example' },
    { request_uri: 'https://elsewhere.example/request' },
  ]) {
    const url = authorizationUrl(server, client, createVerifier(), { redirect_uri: webUri, ...changes });
    const { status, headers, body } = await get(url);
    assert.equal([status, headers.get('location'), headers.get('refresh')], [400, null, null]);
    assert.not.match(body, 'http-equiv');
    assert.match(body, `href="${webUri}`);
    assertFramesNothing(url.search, headers);
  }
  for (const path of [
    '//evil.example/',
    '/\\evil.example',
    '/%2f/evil.example',
    '/oauth//evil.example',
    '/oauth/authorize//evil.example',
    '/oauth/callback/gitlab//evil.example',
    '/.well-known//evil.example',
  ])
    assert.is((await get(issuer + path)).headers.get('location'), null, path);
});

test('a callback belongs to one provider, one browser, and one use', async () => {
  const client = await registerClient(server);
  const { browser, url } = await walk(client, callbackOf('gitlab'));
  const cookie = cookiesOf(browser, '/oauth/callback/gitlab');
  const exchangesBefore =
    installation.gitlab.tokenRequests.length + installation.corporate.tokenRequests.length;
  for (const [what, address, headers] of [
    ['mix-up: at the callback of another provider', callbackOf('corporate') + url.search, { cookie }],
    ['another browser', url, {}],
    ['a cookie of another leg', url, { cookie: cookie.replace(/=.*/, `=${randomText()}`) }],
    ['the state twice', `${url}&state=x`, { cookie }],
    ['no state', `${callbackOf('gitlab')}?code=x`, { cookie }],
    ['a state from nowhere', `${callbackOf('gitlab')}?code=x&state=${randomText()}`, { cookie }],
    ['a parameter __proto__', `${callbackOf('gitlab')}?code=x&state=x&__proto__=x`, { cookie }],
    ['a parameter constructor', `${callbackOf('gitlab')}?code=x&state=x&constructor=x`, { cookie }],
    ['a long state', `${callbackOf('gitlab')}?code=x&state=${'x'.repeat(12_000)}`, { cookie }],
    ['bytes', `${callbackOf('gitlab')}?code=%00&state=%00%ff`, { cookie }],
  ] as [string, string | URL, Record<string, string>][]) {
    const answer = await get(address, headers);
    assert.is(answer.status, 400, what);
    assertFramesNothing(what, answer.headers);
  }
  const exchanges = installation.gitlab.tokenRequests.length + installation.corporate.tokenRequests.length;
  assert.is(exchanges, exchangesBefore, 'no code went to a provider');

  assert.match((await get(url, { cookie })).headers.get('location') ?? '', /\/done$/);
  assert.is((await get(url, { cookie })).status, 400, 'a replay');
  await browser.goto(url, { stopAt: redirectUri });
});

test('mix-up: an answer in the name of another issuer is not believed, be it a code or an error (RFC 9207)', async () => {
  const client = await registerClient(server);
  const exchangesBefore = installation.corporate.tokenRequests.length;
  for (const [answer, iss, told] of [
    ['code', 'https://evil.example', 'server_error'],
    ['error', 'https://evil.example', 'server_error'],
    ['error', installation.corporate.issuer, 'access_denied'],
  ] as const) {
    const { browser, url } = await walk(client, callbackOf('corporate'));
    const changed = new URL(url);
    assert.is(changed.searchParams.get('iss'), installation.corporate.issuer);
    changed.searchParams.set('iss', iss);
    if (answer === 'error') {
      changed.searchParams.delete('code');
      changed.searchParams.set('error', 'access_denied');
    }
    const page = await browser.goto(changed, { stopAt: redirectUri });
    assert.is(page.url.searchParams.get('error'), told, `${answer} of ${iss}`);
    assert.is(page.url.searchParams.get('iss'), issuer);
  }
  assert.is(installation.corporate.tokenRequests.length, exchangesBefore, 'no code went to a provider');
});

test('a sign-in belongs to the browser that began it', async () => {
  const client = await registerClient(server);
  const { browser, url } = await walk(client, callbackOf('gitlab'));
  const end = new URL(
    (await get(url, { cookie: cookiesOf(browser, url.pathname) })).headers.get('location')!,
    issuer,
  );
  const interaction = new URL(end.href.replace(/\/done$/, ''));
  const stranger = new Browser();
  const own = (await stranger.goto(authorizationUrl(server, client, createVerifier()))).url;
  const { csrf = '' } = stranger.forms()[0]!.fields;
  const strangers = cookiesOf(stranger, own.pathname);
  const decide = (address: URL, fields: Record<string, string>, cookie = strangers) =>
    fetch(address, { method: 'POST', headers: { cookie }, body: new URLSearchParams(fields) });

  for (const address of [
    interaction,
    end,
    new URL(`/oauth/authorize/${interaction.pathname.split('/').at(-1)}`, issuer),
  ])
    for (const cookie of ['', strangers])
      assert.is((await get(address, { cookie })).status, 400, address.pathname);
  assert.is((await decide(interaction, { decision: 'approve', csrf })).status, 400);

  const other = csrf.startsWith('A') ? 'B' : 'A';
  for (const forged of ['', csrf.slice(1), other + csrf.slice(1), `${csrf}A`, randomText()]) {
    const answer = await decide(own, { decision: 'approve', csrf: forged });
    assert.is(answer.status, 403);
    assert.equal(answer.headers.getSetCookie(), []);
    assertFramesNothing('a forged decision', answer.headers);
  }
  assert.is((await decide(own, { decision: 'approve', csrf }, '')).status, 400, 'without the cookie');
  assert.is((await decide(own, { decision: 'perhaps', csrf })).status, 400);
  const early = await get(`${own.href}/done`, { cookie: strangers });
  assert.is(early.headers.get('location'), own.pathname, 'no way around the consent');

  const approved = await decide(own, { decision: 'approve', csrf });
  assert.is(approved.status, 200);
  assertFramesNothing('the page that leads on', approved.headers);
  await browser.goto(end, { stopAt: redirectUri });
  assert.ok(browser.page.url.searchParams.has('code'), 'the right browser goes on');
});

test('what a client calls itself, and what a request holds, is text', async () => {
  const markup = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
  const client_name = `${markup}\u202e\u2066live\u0000\u200b`;
  const client = await registerClient(server, { client_name });
  const consent = await get(authorizationUrl(server, client, createVerifier()));
  const browser = new Browser();
  await browser.goto(
    authorizationUrl(server, client, createVerifier(), { state: markup, login_hint: markup }),
  );
  assert.is(consent.status, 303);
  assertFramesNothing('consent', browser.page.headers);
  assert.match(browser.page.body, '&lt;script&gt;');
  assert.not.match(browser.page.body, /[\u202a-\u202e\u2066-\u2069\u200b\0]/);
  const pages = [
    browser.page.body,
    (
      await get(
        `${callbackOf('gitlab')}?${new URLSearchParams({ error: markup, error_description: markup, state: markup })}`,
      )
    ).body,
    (
      await get(
        authorizationUrl(server, client, createVerifier(), { redirect_uri: `https://x.example/${markup}` }),
      )
    ).body,
    (
      await get(
        authorizationUrl(server, { client_id: markup }, createVerifier(), {
          response_type: markup,
          prompt: markup,
        }),
      )
    ).body,
    (await get(`${issuer}/oauth/interaction/${encodeURIComponent(markup)}`)).body,
    (await get(`${issuer}/oauth/${encodeURIComponent(markup)}`)).body,
    (await get(`${issuer}/${encodeURIComponent(markup)}`)).body,
  ];
  for (const page of pages) assert.not.match(page, /<script|<img/i);
});

test('no address and no answer follows a foreign host', async () => {
  const routes = [
    ['GET', '/.well-known/oauth-authorization-server'],
    ['GET', '/.well-known/openid-configuration'],
    ['GET', '/.well-known/oauth-protected-resource/mcp'],
    ['POST', '/oauth/token'],
    ['POST', '/oauth/register'],
    ['GET', '/oauth/authorize'],
    ['POST', '/mcp'],
    ['GET', '/'],
  ] as const;
  const ask = (headers: string[]): Promise<RawAnswer[]> =>
    Promise.all(routes.map(([method, path]) => sendHeaders(gatewayPort, { method, path, headers })));
  const honest = await ask(['Host', host]);
  for (const hosts of [
    ['evil.example'],
    [`${host}.evil.example`],
    [`evil.example@${host}`],
    [`${host}@evil.example`],
    [`${host}/evil`],
    [`${host}:80`],
    [''],
    [host, 'evil.example'],
    ['evil.example', host],
  ]) {
    const answers = await ask(hosts.flatMap((value) => ['Host', value]));
    for (const [index, [, path]] of routes.entries()) {
      const { status, body, headers } = answers[index]!;
      const expected = hosts.length > 1 ? 400 : path === '/' ? 200 : path === '/mcp' ? 403 : 421;
      assert.is(status, expected, `${path} as ${hosts}`);
      assert.not.match(body + JSON.stringify(headers), 'evil');
    }
  }
  const forwarded =
    'X-Forwarded-Host Forwarded X-Forwarded-Proto X-Forwarded-Prefix X-Original-URL X-Rewrite-URL X-HTTP-Method-Override';
  const pinned = await ask([
    'Host',
    host,
    ...forwarded.split(' ').flatMap((name) => [name, 'https://evil.example']),
  ]);
  for (const [index, { status, body, headers }] of pinned.entries()) {
    assert.is(status, honest[index]!.status);
    assert.not.match(body + JSON.stringify(headers), 'evil');
  }
});

test('each route answers its own methods, and no other path exists', async () => {
  const routes: Record<string, string> = {
    '/': 'GET, HEAD',
    '/health': 'GET, HEAD',
    '/readyz': 'GET, HEAD',
    '/oauth/authorize': 'GET',
    '/oauth/authorize/some-interaction-uid': 'GET',
    '/oauth/token': 'POST, OPTIONS',
    '/oauth/revoke': 'POST, OPTIONS',
    '/oauth/register': 'POST, OPTIONS',
    '/oauth/interaction/some-interaction-uid': 'GET, POST',
    '/oauth/interaction/some-interaction-uid/done': 'GET',
    '/oauth/callback/gitlab': 'GET',
    '/.well-known/jwks.json': 'GET, HEAD, OPTIONS',
    '/.well-known/oauth-authorization-server': 'GET, HEAD, OPTIONS',
    '/.well-known/oauth-protected-resource/mcp': 'GET, HEAD, OPTIONS',
  };
  const headers = ['Host', host, 'Accept', 'text/html'];
  for (const [path, allow] of Object.entries(routes)) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
      const answer = await sendHeaders(gatewayPort, { method, path, headers });
      if (allow.split(', ').includes(method)) assert.is.not(answer.status, 405, `${method} ${path}`);
      else assert.equal([answer.status, answer.headers.allow], [405, allow], `${method} ${path}`);
    }
  }
  const absent =
    '/oauth /oauth/ /oauth/callback /oauth/callback/nobody /oauth/callback/corporate/x /oauth/revoke/ /oauth/introspect /oauth/device /oauth/register/x /oauth/token/ /OAUTH/token /oauth%2ftoken /me /auth /token /jwks /reg /request /session/end /device /.well-known/x /.well-known/oauth-authorization-server/mcp /mcp/ /mcp/x';
  for (const path of absent.split(' ')) {
    const answer = await sendHeaders(gatewayPort, { path, headers });
    assert.is(answer.status, 404, path);
  }
});

test('a registration is small, flat JSON, and keeps nothing that would be fetched', async () => {
  const send = (body: string, type = 'application/json') =>
    fetch(`${issuer}/oauth/register`, { method: 'POST', headers: { 'content-type': type }, body });
  const good = JSON.stringify({ redirect_uris: [redirectUri] });
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`.slice(0, 30_000);
  for (const [status, body, type] of [
    [413, JSON.stringify({ redirect_uris: [redirectUri], client_name: 'x'.repeat(1_000_000) })],
    [400, good, 'application/x-www-form-urlencoded'],
    [400, good, 'text/plain'],
    [201, good, 'application/json; charset=utf-8'],
    [400, '{'],
    [400, ''],
    [400, 'null'],
    [400, '[]'],
    [400, `{"redirect_uris":${deep.slice(0, 10_000)}${']'.repeat(10_000)}}`],
    [400, `{"redirect_uris":["${redirectUri}"],"client_name":${'['.repeat(12_000)}${']'.repeat(12_000)}}`],
    [400, '{"__proto__":{"redirect_uris":["https://x.example/"]}}'],
    [400, JSON.stringify({ redirect_uris: [redirectUri], client_name: { a: 1 } })],
    [400, JSON.stringify({ redirect_uris: [redirectUri], logo_uri: 'javascript:alert(1)' })],
    [400, JSON.stringify({ redirect_uris: [redirectUri], response_types: ['token'] })],
    [400, JSON.stringify({ redirect_uris: [redirectUri], token_endpoint_auth_method: 'private_key_jwt' })],
    [400, JSON.stringify({ redirect_uris: [redirectUri], grant_types: ['client_credentials'] })],
    [400, JSON.stringify({ redirect_uris: ['http://evil.example/'], application_type: 'web' })],
    [400, JSON.stringify({ redirect_uris: Array.from({ length: 21 }, (_, i) => `https://a${i}.example/`) })],
  ] as [number, string, string?][])
    assert.is((await send(body, type)).status, status, body.slice(0, 60));

  const metadata = 'http://169.254.169.254/latest/';
  const { body } = await register(server, {
    client_id: 'chosen',
    client_secret: 'chosen',
    jwks_uri: metadata,
    sector_identifier_uri: metadata,
    request_uris: [metadata],
    backchannel_logout_uri: metadata,
    scope: 'mcp admin',
  });
  assert.is.not(body.client_id, 'chosen');
  assert.is(body.client_secret, undefined);
  assert.is(body.token_endpoint_auth_method, 'none');
  assert.is(body.scope, 'mcp offline_access');
  assert.not.match(JSON.stringify(body), '169.254');
});

test('after all this the gateway has not failed inside, and a person signs in', async () => {
  const client = await registerClient(server);
  const { code, verifier } = await walk(client);
  assert.is((await redeem(server, client, code, verifier)).status, 200);
  const output = installation.output();
  await installation[Symbol.asyncDispose]();
  assert.not.match(output, '"level":"error"');
  assert.not.match(output, code);
});

test.run();
