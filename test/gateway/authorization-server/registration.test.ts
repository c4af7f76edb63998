import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findRedirectUriProblem } from '../../../schemas/redirect-uri.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  register,
  registerClient,
  signIn,
  signInForTokens,
  startServer,
} from './started-server.ts';

test('a client that says little is a native public client with a refresh grant', async () => {
  await using server = await startServer();
  const { status, body } = await register(server, { client_name: undefined });
  assert.is(status, 201);
  assert.is(body.application_type, 'native');
  assert.is(body.token_endpoint_auth_method, 'none');
  assert.equal(body.grant_types, ['authorization_code', 'refresh_token']);
  assert.equal(body.response_types, ['code']);
  assert.is(body.scope, 'mcp offline_access');
  assert.is(body.client_secret, undefined);
  assert.is(body.registration_access_token, undefined);
});

test('what a client cannot have is replaced and told; addresses that a server would fetch are dropped', async () => {
  await using server = await startServer();
  const { status, body } = await register(server, {
    client_secret: 'chosen',
    grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
    scope: 'openid read:all',
    id_token_signed_response_alg: 'RS256',
    default_max_age: 60,
    require_auth_time: true,
    jwks_uri: 'http://169.254.169.254/jwks',
    sector_identifier_uri: 'https://10.0.0.1/sectors',
    software_id: 'editor',
  });
  assert.is(status, 201);
  assert.is(body.token_endpoint_auth_method, 'none');
  assert.equal(body.grant_types, ['authorization_code', 'refresh_token']);
  assert.is(body.scope, 'mcp offline_access');
  assert.is(body.client_secret, undefined);
  for (const field of ['jwks_uri', 'sector_identifier_uri', 'default_max_age'])
    assert.is(body[field], undefined);
});

test('what a client must not be is refused with the codes of RFC 7591', async () => {
  await using server = await startServer();
  for (const [metadata, error] of [
    [{ redirect_uris: ['http://evil.example/'] }, 'invalid_redirect_uri'],
    [{ redirect_uris: ['http://evil.example/'], application_type: 'web' }, 'invalid_redirect_uri'],
    [{ redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    [{ redirect_uris: [] }, 'invalid_redirect_uri'],
    [{ redirect_uris: undefined }, 'invalid_redirect_uri'],
    [{ redirect_uris: redirectUri }, 'invalid_redirect_uri'],
    [{ redirect_uris: [17] }, 'invalid_redirect_uri'],
    [
      { redirect_uris: Array.from({ length: 21 }, (_, n) => `https://app.example/${n}`) },
      'invalid_redirect_uri',
    ],
    [{ grant_types: ['client_credentials'] }, 'invalid_client_metadata'],
    [{ response_types: ['token'] }, 'invalid_client_metadata'],
    [{ client_name: 5 }, 'invalid_client_metadata'],
    [{ contacts: ['nobody'] }, 'invalid_client_metadata'],
  ] as const) {
    const { status, body } = await register(server, metadata);
    assert.is(status, 400, JSON.stringify(metadata));
    assert.is(body.error, error, JSON.stringify(metadata));
  }
});

test('a client that asks for a secret gets one where it may, and else becomes a public one and is told', async () => {
  const web = { redirect_uris: ['https://app.example/callback'] };
  for (const confidentialRegistration of [false, true]) {
    await using server = await startServer({ confidentialRegistration });
    for (const method of ['none', undefined, 'client_secret_basic', 'client_secret_post']) {
      const { status, body } = await register(server, { ...web, token_endpoint_auth_method: method });
      assert.is(status, 201, method);
      const given = confidentialRegistration ? (method ?? 'none') : 'none';
      assert.is(body.token_endpoint_auth_method, given);
      assert.is(typeof body.client_secret, given === 'none' ? 'undefined' : 'string');
    }
    for (const method of ['client_secret_jwt', 'private_key_jwt', 'tls_client_auth', '', ['none'], 17]) {
      const { status, body } = await register(server, { ...web, token_endpoint_auth_method: method });
      assert.equal([status, body.error], [400, 'invalid_client_metadata'], String(method));
      assert.match(String(body.error_description), 'must be one of: none');
    }
  }
});

test('a secret is for clients that return to another computer, and each has its own', async () => {
  await using server = await startServer({ confidentialRegistration: true });
  const method = { token_endpoint_auth_method: 'client_secret_post' };
  const web = 'https://app.example/callback';
  for (const uris of [[redirectUri], [web, redirectUri], ['http://localhost/'], ['https://127.0.0.1/']]) {
    const { status, body } = await register(server, { ...method, redirect_uris: uris });
    assert.equal([status, body.error], [400, 'invalid_redirect_uri'], String(uris));
  }
  const registered = await Promise.all(
    [1, 2].map(() => register(server, { ...method, redirect_uris: [web], client_secret: 'chosen' })),
  );
  const secrets = registered.map(({ body }) => String(body.client_secret));
  assert.is(new Set([...secrets, 'chosen']).size, 3);
  for (const { body } of registered) assert.is(body.client_secret_expires_at, 0);
});

test('a client with a secret needs PKCE all the same, and its secret for every token', async () => {
  await using server = await startServer({ confidentialRegistration: true });
  const redirect_uri = 'https://app.example/callback';
  const client = await registerClient(server, {
    ...{ redirect_uris: [redirect_uri], token_endpoint_auth_method: 'client_secret_post' },
  });
  for (const weaker of [{ code_challenge: null }, { code_challenge_method: 'plain' }]) {
    const url = authorizationUrl(server, client, createVerifier(), { redirect_uri, ...weaker });
    assert.is((await fetch(url, { redirect: 'manual' })).status, 400);
  }
  const { answer, verifier } = await signIn(server, client, {
    changes: { redirect_uri },
    stopAt: redirect_uri,
  });
  const secret = { redirect_uri, client_secret: String(client.client_secret) };
  const code = answer.code ?? '';
  assert.is((await redeem(server, client, code, verifier, { redirect_uri })).body.error, 'invalid_client');
  assert.is((await redeem(server, client, code, createVerifier(), secret)).body.error, 'invalid_grant');
  assert.is((await redeem(server, client, code, verifier, secret)).status, 200);
});

test('a body that is no JSON object is refused, a large one is 413', async () => {
  await using server = await startServer();
  const post = (body: string, type = 'application/json') =>
    fetch(`${server.issuer}/oauth/register`, { method: 'POST', headers: { 'content-type': type }, body });
  for (const body of ['', '{', '[]', 'null', '"x"']) assert.is((await post(body)).status, 400, body);
  assert.is((await post('a=b', 'application/x-www-form-urlencoded')).status, 400);
  const large = await post(JSON.stringify({ redirect_uris: [redirectUri], client_name: 'x'.repeat(40_000) }));
  assert.is(large.status, 413);
  assert.is(server.vault.rows.size, 0);
});

test('https anywhere, http to this computer, nothing else', () => {
  for (const uri of [
    'https://app.example/callback?x=1',
    'https://localhost.example/',
    'http://localhost/callback',
    'http://127.0.0.1:8080/',
    'http://[::1]:8080/callback',
  ]) {
    assert.is(findRedirectUriProblem(uri), null, uri);
  }
  for (const uri of [
    'http://app.example/',
    'http://localhost.evil.example/',
    'http://127.0.0.1.evil.example/',
    'http://127.0.0.1@evil.example/',
    'https://user:password@app.example/',
    'https://@app.example/',
    'https://app.example/#fragment',
    'https://app.example/#',
    'http://localhost\\@evil.example/',
    'https://app.example/\n',
    ' https://app.example/',
    'https://аpp.example/',
    'cursor://callback',
    'javascript:alert(1)',
    'data:text/html,x',
    '//app.example/',
    '/callback',
    'urn:ietf:wg:oauth:2.0:oob',
    '',
    `https://app.example/${'x'.repeat(2048)}`,
    null,
  ]) {
    assert.type(findRedirectUriProblem(uri), 'string', String(uri));
  }
});

test('the scheme of an application counts where it is named, and what browsers open themselves never', () => {
  const schemes = ['cursor', 'com.example.app', 'javascript', 'data'];
  for (const uri of [
    'cursor://callback',
    'cursor://callback/',
    'cursor://host/a?b=c',
    'com.example.app:/callback',
  ])
    assert.is(findRedirectUriProblem(uri, schemes), null, uri);
  for (const uri of [
    'vscode://callback/',
    'com.example.app2:/callback',
    'com.example:/callback',
    'cursor:callback',
    'CURSOR://callback/',
    'cursor://user@callback/',
    'cursor://@callback/',
    'cursor://callback/../x',
    'cursor://callback/#fragment',
    'cursor://callback/\\x',
    'cursor:',
    'javascript:alert(1)',
    'javascript:/alert(1)/',
    'data:/text',
  ])
    assert.type(findRedirectUriProblem(uri, schemes), 'string', uri);
});

test('a client of a named scheme registers, is asked about each time, and gets its code there', async () => {
  await using server = await startServer({ redirectSchemes: ['com.example.app'] });
  const redirect_uri = 'com.example.app:/callback';
  const other = await register(server, { redirect_uris: ['com.example.other:/callback'] });
  assert.equal([other.status, other.body.error], [400, 'invalid_redirect_uri']);
  assert.match(String(other.body.error_description), 'com.example.app:');
  const confidential = { redirect_uris: [redirect_uri], application_type: 'web' };
  assert.is((await register(server, confidential)).status, 400, 'no application of the web is there');

  const client = await registerClient(server, { redirect_uris: [redirect_uri] });
  const browser = new Browser();
  for (const round of [1, 2]) {
    const verifier = createVerifier();
    const page = await browser.goto(authorizationUrl(server, client, verifier, { redirect_uri }));
    assert.match(page.body, /An application on this computer.*com\.example\.app:\/callback/s, `${round}`);
    await browser.submit({}, { button: 'approve', stopAt: redirect_uri });
    const code = browser.page.url.searchParams.get('code') ?? '';
    assert.is((await redeem(server, client, code, verifier, { redirect_uri })).status, 200);
  }
  const elsewhere = { redirect_uri: 'com.example.app:/elsewhere' };
  const refused = await browser.goto(authorizationUrl(server, client, createVerifier(), elsewhere));
  assert.is(refused.status, 400);

  await browser.goto(authorizationUrl(server, client, createVerifier(), { redirect_uri }));
  const cancelled = await browser.submit({}, { button: 'cancel', stopAt: redirect_uri });
  assert.is(cancelled.url.searchParams.get('error'), 'access_denied');
});

test('a client that nobody approves is forgotten after two days, an approved one is kept', async () => {
  await using server = await startServer();
  const [approved, unused] = [await registerClient(server), await registerClient(server)];
  await signInForTokens(server, approved);
  const lifeOf = ({ client_id }: { client_id: string }) =>
    server.vault.rows.get(`Client.${client_id}`)!.expiresAt - Date.now();
  assert.is(lifeOf(approved), Number.POSITIVE_INFINITY);
  const twoDays = 2 * 24 * 3_600_000;
  assert.ok(lifeOf(unused) > twoDays - 60_000 && lifeOf(unused) <= twoDays, String(lifeOf(unused)));
  // It is still the same client, with the same answers.
  const again = await signInForTokens(server, approved);
  assert.type(again.access_token, 'string');
});

test.run();
