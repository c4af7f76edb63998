import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { sessionIdOf } from '../../../schemas/ids.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
  signIn,
  signInForTokens,
  startServer,
} from './started-server.ts';

test('a client registers, a person consents and visits every provider, and the client gets tokens', async () => {
  await using server = await startServer();
  const client = await registerClient(server);

  const { browser, answer, verifier } = await signIn(server, client);
  const visited = browser.trace.map(({ url }) => new URL(url).pathname);
  assert.ok(visited.indexOf('/corporate/authorize') < visited.indexOf('/gitlab/authorize'));
  assert.is(answer.state, 'state-of-the-client');
  assert.is(answer.iss, server.issuer);

  const { status, body, headers } = await redeem(server, client, answer.code ?? '', verifier);
  assert.is(status, 200);
  assert.is(body.token_type, 'Bearer');
  assert.is(body.scope, 'mcp');
  assert.is(body.expires_in, 600);
  assert.type(body.refresh_token, 'string');
  assert.is(body.id_token, undefined);
  assert.is(headers.get('cache-control'), 'no-store');
});

test('the access token is a JWT of RFC 9068 with the session id, and no more', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body } = await redeem(server, client, answer.code ?? '', verifier);

  const keys = createRemoteJWKSet(new URL(`${server.issuer}/.well-known/jwks.json`));
  const { payload, protectedHeader } = await jwtVerify(body.access_token, keys, {
    issuer: server.issuer,
    audience: server.resource,
    typ: 'at+jwt',
    algorithms: ['ES256'],
  });
  assert.is(protectedHeader.kid, 'test-key-1');
  assert.equal(Object.keys(payload).sort(), [
    'aud',
    'client_id',
    'exp',
    'iat',
    'iss',
    'jti',
    'scope',
    'sub',
    'tsid',
  ]);
  assert.is(payload.client_id, client.client_id);
  assert.is(payload.scope, 'mcp');
  assert.is(payload.exp! - payload.iat!, 600);
  assert.match(payload.sub!, /^usr_/);

  const grants = [...server.vault.rows.values()].filter(({ kind }) => kind === 'Grant');
  assert.is(grants.length, 1);
  assert.is(payload.tsid, sessionIdOf(grants[0]!.id));
  assert.equal(server.vault.sessions.get(String(payload.tsid)), {
    sub: payload.sub!,
    clientId: client.client_id,
  });
});

test('a signing key that came in at run time signs and is published, also in mid-chain', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const before = await signInForTokens(server, client);
  const browser = new Browser();
  const verifier = createVerifier();
  await browser.goto(authorizationUrl(server, client, verifier));
  server.vault.rotateSigningKey();
  await browser.submit({}, { button: 'approve', stopAt: redirectUri });
  const code = browser.page.url.searchParams.get('code') ?? '';
  const { body: after } = await redeem(server, client, code, verifier);

  const keys = createRemoteJWKSet(new URL(`${server.issuer}/.well-known/jwks.json`));
  const kids = await Promise.all(
    [before, after].map(async (tokens) => {
      const { protectedHeader } = await jwtVerify(tokens.access_token, keys);
      return protectedHeader.kid;
    }),
  );
  assert.equal(kids, ['test-key-1', 'test-key-2']);
  const refreshed = await refresh(server, client, before.refresh_token);
  assert.is(decodeProtectedHeader(refreshed.body.access_token).kid, 'test-key-2');
});

test('a refresh rotates the token and keeps session and audience', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { status, body: second } = await refresh(server, client, first.refresh_token, {
    scope: 'mcp openid',
  });
  assert.is(status, 200);
  assert.is.not(second.refresh_token, first.refresh_token);
  assert.is(claimsOf(second.access_token).tsid, claimsOf(first.access_token).tsid);
  assert.is(claimsOf(second.access_token).aud, server.resource);
});

test('a code is worth nothing without its verifier, and to another client', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const other = await registerClient(server);
  const { answer } = await signIn(server, client);
  const wrong = await redeem(server, client, answer.code ?? '', 'w'.repeat(43));
  assert.is(wrong.body.error, 'invalid_grant');
  const { answer: second, verifier } = await signIn(server, client);
  assert.is((await redeem(server, other, second.code ?? '', verifier)).body.error, 'invalid_grant');
});

test('every authorization walks consent and chain and gets a session of its own', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signIn(server, client);
  const second = await signIn(server, client, { browser: first.browser });
  const pages = second.browser.trace.filter(({ url }) =>
    /\/oauth\/interaction\/[\w-]+$/.test(new URL(url).pathname),
  );
  assert.is(pages.filter(({ method }) => method === 'POST').length, 2);
  assert.is(server.vault.sessions.size, 2);
  assert.is([...server.vault.rows.values()].filter(({ kind }) => kind === 'Session').length, 0);
  const names = first.browser.cookies
    .find(new URL(`${server.issuer}/oauth/authorize`))
    .map(({ name }) => name);
  assert.equal(names, ['latchkey_account'], 'nothing that the library would know the browser by');
});

test('a sign-in, a code and a refresh ask the vault so often, and not more often by and by', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const asked = () => {
    const count = [...server.vault.calls.values()].reduce((sum, calls) => sum + calls, 0);
    server.vault.calls.clear();
    return count;
  };
  asked();
  const { answer, verifier } = await signIn(server, client);
  assert.ok(asked() <= 34, 'two providers');
  const { body } = await redeem(server, client, answer.code ?? '', verifier);
  assert.ok(asked() <= 7, 'the code');
  await refresh(server, client, body.refresh_token);
  assert.ok(asked() <= 7, 'the refresh');
});

test('two people who sign in at once get their own', async () => {
  await using server = await startServer({ replicas: 2 });
  const client = await registerClient(server);
  const alice = await signIn(server, client);
  server.answers.code = 'bob';
  const bob = await signIn(server, client);
  const tokens = await Promise.all(
    [alice, bob].map(({ answer, verifier }) => redeem(server, client, answer.code ?? '', verifier)),
  );
  const [a, b] = tokens.map(({ body }) => claimsOf(body.access_token));
  assert.is.not(a!.sub, b!.sub);
  assert.is.not(a!.tsid, b!.tsid);
});

test('the session ends absolutely: no token outlives it', async () => {
  await using server = await startServer({ settings: { sessionSeconds: 60 } });
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body } = await redeem(server, client, answer.code ?? '', verifier);
  assert.ok(Number(body.expires_in) <= 60);
  const rows = [...server.vault.rows.values()].filter(({ kind }) => kind === 'RefreshToken');
  assert.ok(rows.every(({ expiresAt }) => expiresAt <= Date.now() + 60_000));
});

test('a session that has ended ends the refresh with invalid_grant', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body } = await redeem(server, client, answer.code ?? '', verifier);
  server.vault.endSessions();
  const { status, body: refused } = await refresh(server, client, body.refresh_token);
  assert.is(status, 400);
  assert.is(refused.error, 'invalid_grant');
});

test('whoever comes from an application that is not known any more is told what to do in it', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const address = authorizationUrl(server, { ...client, client_id: 'of-another-server' }, createVerifier());
  const page = await new Browser().goto(address);
  assert.is(page.status, 400);
  assert.match(page.body, 'This application is not known here');
  assert.match(page.body, 'Remove the authorization for this server that your application has stored');
});

test('a loopback redirect may come with another port', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const elsewhere = redirectUri.replace('33418', '50123');
  const { answer } = await signIn(server, client, {
    changes: { redirect_uri: elsewhere },
    stopAt: elsewhere,
  });
  assert.type(answer.code, 'string');
});

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

test.run();
