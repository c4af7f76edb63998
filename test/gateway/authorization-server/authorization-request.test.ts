import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
  signIn,
  startServer,
} from './started-server.ts';

/** Where an authorization request leads before anybody is asked anything. */
async function ask(server: { issuer: string; resource: string }, changes: Record<string, string | null>) {
  const client = await registerClient(server);
  const browser = new Browser();
  const url = authorizationUrl(server, client, createVerifier(), changes);
  const page = await browser.goto(url, { stopAt: redirectUri });
  if (page.status !== 0) return { page, told: null };
  // A front-channel response type is answered in the fragment (OAuth 2.0 Multiple Response Types section 5).
  const fragment = new URLSearchParams(page.url.hash.slice(1));
  return { page, told: Object.fromEntries([...page.url.searchParams, ...fragment]) };
}

for (const [what, changes, error] of [
  ['no PKCE challenge', { code_challenge: null, code_challenge_method: null }, 'invalid_request'],
  ['the plain method', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['no method, which would mean plain', { code_challenge_method: null }, 'invalid_request'],
  ['a foreign resource', { resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
  ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
  ['another response mode', { response_mode: 'form_post' }, 'unsupported_response_mode'],
  ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
  ['prompt=none', { prompt: 'none' }, 'login_required'],
] as const) {
  test(`${what}: the client is told ${error}, with state and iss, and nobody is asked`, async () => {
    await using server = await startServer();
    const { told } = await ask(server, changes);
    assert.is(told?.error, error);
    assert.is(told?.state, 'state-of-the-client');
    assert.is(told?.iss, server.issuer);
    assert.is(server.vault.calls.get('beginLeg'), undefined);
  });
}

for (const [what, changes] of [
  ['a redirect URI that is not registered', { redirect_uri: 'https://evil.example/' }],
  ['another path on loopback', { redirect_uri: 'http://127.0.0.1:33418/other' }],
  ['another loopback name', { redirect_uri: 'http://localhost:33418/callback' }],
  ['no redirect URI', { redirect_uri: null }],
  ['an unknown client', { client_id: 'nobody' }],
  ['no client', { client_id: null }],
] as const) {
  test(`${what}: a page, and no redirect`, async () => {
    await using server = await startServer();
    const { page } = await ask(server, changes);
    assert.is(page.status, 400);
    assert.match(page.headers.get('content-type') ?? '', 'text/html');
    assert.match(page.headers.get('content-security-policy') ?? '', "frame-ancestors 'none'");
    assert.not.match(page.body, /https?:\/\/(?!localhost)/);
  });
}

test('a repeated parameter is refused', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const url = authorizationUrl(server, client, createVerifier());
  url.searchParams.append('scope', 'openid');
  const page = await new Browser().goto(url, { stopAt: redirectUri });
  assert.is(page.url.searchParams.get('error'), 'invalid_request');
});

for (const [what, changes] of [
  ['no scope', { scope: null }],
  ['foreign scopes', { scope: 'openid profile email read:everything' }],
  ['offline_access', { scope: 'mcp offline_access', prompt: 'consent' }],
  ['what an OpenID Connect client sends', { scope: 'openid', nonce: 'n', max_age: '60', acr_values: 'x' }],
  ['no resource', { resource: null }],
] as const) {
  test(`${what}: the token has the scope mcp and our audience, and there is a refresh token`, async () => {
    await using server = await startServer();
    const client = await registerClient(server);
    const { answer, verifier } = await signIn(server, client, { changes });
    const { body } = await redeem(server, client, answer.code ?? '', verifier);
    assert.is(body.scope, 'mcp');
    assert.is(claimsOf(body.access_token).aud, server.resource);
    assert.is((await refresh(server, client, body.refresh_token)).status, 200);
  });
}

test('the resource is the same with a trailing slash, at both endpoints', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const slashed = `${server.resource}/`;
  const { answer, verifier } = await signIn(server, client, { changes: { resource: slashed } });
  const { status, body } = await redeem(server, client, answer.code ?? '', verifier, {
    resource: server.resource,
  });
  assert.is(status, 200);
  assert.is(claimsOf(body.access_token).aud, server.resource);
  assert.is((await refresh(server, client, body.refresh_token, { resource: slashed })).status, 200);
});

test('what the library could do besides is off: no proof of possession, no pushed request, no ID token', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const pushed = { request_uri: 'urn:ietf:params:oauth:request_uri:x' };
  const asked = await new Browser().goto(authorizationUrl(server, client, createVerifier(), pushed), {
    stopAt: redirectUri,
  });
  assert.is(asked.url.searchParams.get('error'), 'request_uri_not_supported');
  const { answer, verifier } = await signIn(server, client, { changes: { dpop_jkt: 'a'.repeat(43) } });
  const form = {
    ...{ grant_type: 'authorization_code', code: answer.code ?? '', code_verifier: verifier },
    ...{ redirect_uri: redirectUri, client_id: client.client_id },
  };
  const response = await fetch(`${server.issuer}/oauth/token`, {
    ...{ method: 'POST', headers: { dpop: 'e30.e30.e30' }, body: new URLSearchParams(form) },
  });
  const body = (await response.json()) as Record<string, string>;
  assert.equal([response.status, body.token_type, body.id_token], [200, 'Bearer', undefined]);
  assert.is(claimsOf(body.access_token ?? '').cnf, undefined);
});

test('a foreign resource at the token endpoint is refused', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const resource = 'https://elsewhere.example/mcp';
  const { status, body } = await redeem(server, client, answer.code ?? '', verifier, { resource });
  assert.is(status, 400);
  assert.is(body.error, 'invalid_target');
});

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

test.run();
