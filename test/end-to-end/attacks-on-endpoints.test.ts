/**
 * Attacks on the endpoints around a sign-in, against a whole installation over real HTTP: addresses that lead elsewhere,
 * foreign hosts, paths and methods that do not exist, registrations. Each has its honest counterpart.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  redirectUri,
  register,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { assertFramesNothing, get, openAttackedInstallation } from '../world/attacked-installation.ts';
import { Browser } from '../world/browser.ts';
import { type RawAnswer, sendHeaders } from '../world/raw-http.ts';

const test = suite('attacks on endpoints');
const attacked = await openAttackedInstallation();
const { installation, issuer, server } = attacked;
const [gatewayPort = 0] = installation.gatewayPorts;
const { host } = new URL(issuer);
const webUri = 'https://client.example/callback';

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

test('no page of any kind can be framed, and none is kept', async () => {
  const client = await registerClient(server);
  const consent = await new Browser().goto(authorizationUrl(server, client, createVerifier()));
  assertFramesNothing('consent', consent.headers);
  for (const path of [
    '/',
    '/oauth/authorize',
    '/oauth/authorize/some-interaction-uid',
    '/oauth/callback/gitlab',
    '/oauth/callback/nobody',
    '/oauth/interaction/some-interaction-uid',
    '/oauth/interaction/some-interaction-uid/done',
    '/oauth/nothing',
    '/.well-known/nothing',
  ]) {
    const { status, headers } = await get(issuer + path);
    assert.match(headers.get('content-type') ?? '', 'text/html', path);
    assert.ok(path === '/' ? status === 200 : status >= 400, `${path}: ${status}`);
    assertFramesNothing(path, headers);
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

test('after all this the gateway has not failed inside, and a person signs in', () => attacked.end());

test.run();
