import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../../schemas/secret.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  requestToken,
  type StartedServer,
  signIn,
  startServer,
} from './started-server.ts';

const test = suite('configured-clients');
const secret = 'a secret: of 100% & "others"';
const clients = [
  {
    clientId: 'assistant',
    clientName: 'The Assistant',
    redirectUris: [redirectUri],
    secret: new Secret(secret),
  },
  { clientId: 'editor', clientName: 'The Editor', redirectUris: [redirectUri], secret: null },
];
const confidential = { client_id: 'assistant' };
const open = { client_id: 'editor' };
const basic = (id: string, password: string) =>
  `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(password)}`).toString('base64')}`;

async function codeOf(server: StartedServer, client: { client_id: string }) {
  const { answer, verifier } = await signIn(server, client);
  return {
    grant_type: 'authorization_code',
    code: answer.code ?? '',
    code_verifier: verifier,
    redirect_uri: redirectUri,
  };
}

function post(server: StartedServer, path: string, form: Record<string, string>, authorization?: string) {
  return fetch(`${server.issuer}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    ...(authorization === undefined ? {} : { headers: { authorization } }),
  });
}

test('a public client of the file signs in and refreshes, with its audience and session', async () => {
  await using server = await startServer({ clients });
  const { answer, verifier } = await signIn(server, open);
  const first = await redeem(server, open, answer.code ?? '', verifier);
  const second = await refresh(server, open, first.body.refresh_token);
  assert.is(second.status, 200);
  const [before, after] = [decodeJwt(first.body.access_token), decodeJwt(second.body.access_token)];
  assert.equal([after.aud, after.tsid, after.client_id], [server.resource, before.tsid, 'editor']);
});

test('a confidential one proves itself in the form or by Basic, when it redeems and when it refreshes', async () => {
  await using server = await startServer({ clients });
  for (const way of ['form', 'basic'] as const) {
    const prove = (form: Record<string, string>) =>
      way === 'form'
        ? post(server, '/oauth/token', { ...form, ...confidential, client_secret: secret })
        : post(server, '/oauth/token', form, basic('assistant', secret));
    const redeemed = await prove(await codeOf(server, confidential));
    assert.is(redeemed.status, 200, way);
    const tokens = (await redeemed.json()) as { refresh_token: string; access_token: string };
    const refreshed = await prove({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
    assert.is(refreshed.status, 200, way);
    assert.is(decodeJwt(tokens.access_token).client_id, 'assistant');
  }
});

test('without its secret, or with another, it gets nothing, and the code stays good for it', async () => {
  await using server = await startServer({ clients });
  const code = await codeOf(server, confidential);
  for (const [form, authorization] of [
    [confidential, undefined],
    [{ ...confidential, client_secret: 'wrong' }, undefined],
    [{ ...confidential, client_secret: '' }, undefined],
    [{}, basic('assistant', 'wrong')],
    [{}, basic('assistant', '')],
    [{}, basic('nobody', secret)],
    [open, basic('assistant', secret)],
    [{ ...confidential, client_secret: secret }, basic('assistant', secret)],
    [{}, 'Basic nonsense'],
  ] as const) {
    const answer = await post(server, '/oauth/token', { ...code, ...form }, authorization);
    assert.ok([400, 401].includes(answer.status), `${answer.status}`);
    assert.match(await answer.text(), /"error":"invalid_(client|request|grant)"/);
  }
  const { status } = await requestToken(server, { ...code, ...confidential, client_secret: secret });
  assert.is(status, 200);
});

test('it revokes what it has, and nobody does it in its name', async () => {
  await using server = await startServer({ clients });
  const prove = { ...confidential, client_secret: secret };
  const { body } = await requestToken(server, { ...(await codeOf(server, confidential)), ...prove });
  const token = body.refresh_token;
  assert.is((await post(server, '/oauth/revoke', { token, ...confidential })).status, 401);
  assert.is(server.vault.sessions.size, 1);
  assert.is((await post(server, '/oauth/revoke', { token }, basic('assistant', secret))).status, 200);
  assert.is(server.vault.sessions.size, 0);
});

test('a redirect URI that the file does not name is refused; on loopback the port alone may differ', async () => {
  await using server = await startServer({ clients });
  const statusOf = async (uri: string) => {
    const browser = new Browser();
    await browser.goto(authorizationUrl(server, open, createVerifier(), { redirect_uri: uri }));
    return browser.page.status;
  };
  assert.is(await statusOf('http://127.0.0.1:1/callback'), 200);
  for (const uri of [
    'http://127.0.0.1:33418/other',
    'http://localhost:33418/callback',
    'https://evil.example/',
  ])
    assert.is(await statusOf(uri), 400, uri);
});

test('the metadata say how clients prove themselves', async () => {
  for (const [given, methods] of [
    [clients, ['none', 'client_secret_basic', 'client_secret_post']],
    [clients.slice(1), ['none']],
  ] as const) {
    await using server = await startServer({ clients: given });
    const answer = await fetch(`${server.issuer}/.well-known/oauth-authorization-server`);
    const metadata = (await answer.json()) as Record<string, unknown>;
    assert.equal(metadata.token_endpoint_auth_methods_supported, methods);
    assert.equal(metadata.revocation_endpoint_auth_methods_supported, methods);
  }
});

test.run();
