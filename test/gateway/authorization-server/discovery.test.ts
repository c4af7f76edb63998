import http from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { register, startServer } from './started-server.ts';

const fetchJson = async (url: string) => {
  const response = await fetch(url);
  return { response, body: (await response.json()) as Record<string, unknown> };
};

test('the server metadata names every endpoint below the issuer, and what is supported', async () => {
  await using server = await startServer();
  const { response, body } = await fetchJson(`${server.issuer}/.well-known/oauth-authorization-server`);
  assert.is(response.headers.get('content-type'), 'application/json');
  assert.is(response.headers.get('access-control-allow-origin'), '*');
  assert.match(response.headers.get('cache-control') ?? '', 'public');
  assert.equal(body, {
    issuer: server.issuer,
    authorization_endpoint: `${server.issuer}/oauth/authorize`,
    token_endpoint: `${server.issuer}/oauth/token`,
    registration_endpoint: `${server.issuer}/oauth/register`,
    revocation_endpoint: `${server.issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: ['none'],
    jwks_uri: `${server.issuer}/.well-known/jwks.json`,
    scopes_supported: ['mcp', 'offline_access'],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['none'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    protected_resources: [server.resource],
  });
  const openId = await fetchJson(`${server.issuer}/.well-known/openid-configuration`);
  assert.equal(openId.body, {
    ...body,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  });
});

test('the resource metadata is at the root and after the path of the resource', async () => {
  await using server = await startServer();
  assert.is(server.resourceMetadataUrl, `${server.issuer}/.well-known/oauth-protected-resource/mcp`);
  for (const url of [server.resourceMetadataUrl, `${server.issuer}/.well-known/oauth-protected-resource`]) {
    const { body } = await fetchJson(url);
    assert.is(body.resource, `${server.issuer}/mcp`);
    assert.equal(body.authorization_servers, [server.issuer]);
    assert.equal(body.scopes_supported, ['mcp']);
    assert.equal(body.bearer_methods_supported, ['header']);
  }
});

test('the JWKS holds public keys only', async () => {
  await using server = await startServer();
  const { body } = await fetchJson(`${server.issuer}/.well-known/jwks.json`);
  assert.equal(body, { keys: server.vault.description.signingKeys });
});

test('every other path of ours is 404, and other paths are not ours', async () => {
  await using server = await startServer();
  for (const path of [
    '/.well-known',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/oauth-protected-resource/other',
    '/.well-known/webfinger',
    '/oauth',
    '/oauth/userinfo',
    '/oauth/token/x',
    '/oauth/register/some-client',
    '/oauth/callback',
    '/oauth/callback/unknown',
    '/oauth/device',
    '/oauth/introspect',
  ]) {
    assert.is((await fetch(server.issuer + path)).status, 404, path);
  }
  for (const path of ['/', '/mcp', '/oauthx', '/interaction/x', '/session/end']) {
    assert.is((await fetch(server.issuer + path)).status, 418, path);
  }
});

test('other methods are 405 with Allow, and preflights are answered', async () => {
  await using server = await startServer();
  for (const [path, method, allow] of [
    ['/oauth/token', 'GET', 'POST, OPTIONS'],
    ['/oauth/register', 'PUT', 'POST, OPTIONS'],
    ['/oauth/authorize', 'POST', 'GET'],
    ['/.well-known/jwks.json', 'POST', 'GET, HEAD, OPTIONS'],
  ] as const) {
    const response = await fetch(server.issuer + path, { method });
    assert.is(response.status, 405, path);
    assert.is(response.headers.get('allow'), allow);
  }
  for (const path of ['/oauth/token', '/oauth/register', '/.well-known/oauth-protected-resource/mcp']) {
    const response = await fetch(server.issuer + path, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    });
    assert.is(response.status, 204, path);
    assert.is(response.headers.get('access-control-allow-origin'), '*');
    assert.match(response.headers.get('access-control-allow-headers') ?? '', 'content-type');
  }
  const origin = await fetch(`${server.issuer}/oauth/token`, {
    method: 'POST',
    headers: { origin: 'https://app.example' },
    body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'x', refresh_token: 'y' }),
  });
  assert.is(origin.headers.get('access-control-allow-origin'), '*');
});

test('a request for another host is 421, whatever it says of proxies', async () => {
  await using server = await startServer();
  const { port } = new URL(server.issuer);
  const status = (path: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const request = http.get({ host: 'localhost', port, path, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', reject);
    });
  const document = '/.well-known/oauth-authorization-server';
  assert.is(await status(document, { host: `LOCALHOST:${port}` }), 200);
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    'localhost',
    `localhost:${port}@evil.example`,
  ]) {
    assert.is(await status(document, { host }), 421, host);
    assert.is(await status('/oauth/authorize?client_id=x', { host }), 421, host);
  }
});

test('no address in an answer comes from a forwarded host', async () => {
  await using server = await startServer();
  const { body: client } = await register(server);
  const url = `${server.issuer}/oauth/authorize?client_id=${client.client_id}&response_type=code&code_challenge_method=S256&code_challenge=${'c'.repeat(43)}&redirect_uri=${encodeURIComponent('http://127.0.0.1:33418/callback')}`;
  const forwarded = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    forwarded: 'host=evil.example',
  };
  const response = await fetch(url, { redirect: 'manual', headers: forwarded });
  assert.is(response.status, 303);
  assert.match(response.headers.get('location') ?? '', /^\/oauth\/interaction\//);
  const interaction = [...server.vault.rows.values()].find(({ kind }) => kind === 'Interaction');
  assert.match(String(interaction?.payload.returnTo), new RegExp(`^${server.issuer}/oauth/authorize/`));
});

test.run();
