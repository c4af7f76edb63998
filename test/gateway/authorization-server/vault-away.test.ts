import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  register,
  registerClient,
  signIn,
  signInForTokens,
  startServer,
} from './started-server.ts';

test('while nobody answers, tokens and registrations are 503 with Retry-After, and nothing is lost', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { refresh_token } = await signInForTokens(server, client);
  server.vault.away = true;
  const { status, headers, body } = await refresh(server, client, refresh_token);
  assert.is(status, 503);
  assert.is(body.error, 'temporarily_unavailable');
  assert.match(headers.get('retry-after') ?? '', /^\d+$/);
  assert.is((await register(server)).status, 503);
  server.vault.away = false;
  assert.is((await refresh(server, client, refresh_token)).status, 200);
});

test('a signer that fails in the middle of a refresh does not sign the client out', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { refresh_token } = await signInForTokens(server, client);
  server.vault.failNext('signAccessToken');
  assert.is((await refresh(server, client, refresh_token)).status, 503);
  const { status, body } = await refresh(server, client, refresh_token);
  assert.is(status, 200);
  assert.is((await refresh(server, client, body.refresh_token)).status, 200);
  const kept = [...server.vault.rows.values()].filter(({ kind, used }) => kind === 'RefreshToken' && !used);
  assert.is(kept.length, 1);
});

test('a signer that fails while a code is redeemed leaves the code good', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  server.vault.failNext('signAccessToken');
  assert.is((await redeem(server, client, answer.code ?? '', verifier)).status, 503);
  assert.is((await redeem(server, client, answer.code ?? '', verifier)).status, 200);
});

test('at the authorization endpoint the client is told, or a page where it is not known', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const url = authorizationUrl(server, client, createVerifier());
  server.vault.failNext('putRecord');
  const told = await new Browser().goto(url, { stopAt: redirectUri });
  assert.is(told.url.searchParams.get('error'), 'temporarily_unavailable');
  assert.is(told.url.searchParams.get('iss'), server.issuer);
  server.vault.away = true;
  const page = await new Browser().goto(url, { stopAt: redirectUri });
  assert.is(page.status, 503);
  assert.match(page.headers.get('retry-after') ?? '', /^\d+$/);
  assert.match(page.body, 'Not available right now');
});

for (const name of ['findChain', 'openSession', 'findRecord', 'putRecord'] as const) {
  test(`the last step of a chain can be loaded again after ${name} found nobody`, async () => {
    await using server = await startServer();
    const client = await registerClient(server);
    const browser = new Browser();
    const verifier = createVerifier();
    await browser.goto(authorizationUrl(server, client, verifier));
    const done = `${browser.page.url.href}/done`;
    await browser.submit({}, { button: 'approve', stopAt: done });
    server.vault.failNext(name);
    await browser.goto(done, { stopAt: redirectUri });
    assert.is(browser.page.status, 503);
    await browser.goto(done, { stopAt: redirectUri });
    const code = browser.page.url.searchParams.get('code') ?? '';
    assert.is((await redeem(server, client, code, verifier)).status, 200);
    assert.is(server.vault.sessions.size, 1);
  });
}

test('a Grant that was made before its session failed does not open one', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier()));
  const consent = browser.page.url.href;
  await browser.submit({}, { button: 'approve', stopAt: `${consent}/done` });
  server.vault.failNext('openSession');
  await browser.goto(`${consent}/done`, { stopAt: redirectUri });
  assert.is(browser.page.status, 503);
  server.vault.forgetChains();
  await browser.goto(`${consent}/done`, { stopAt: redirectUri });
  assert.is(browser.page.url.href, consent);
  assert.is(server.vault.sessions.size, 0);
});

test('an answer that was lost does not make a second session', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { openSession } = server.vault;
  let lost = 0;
  server.vault.openSession = async (request) => {
    const answer = await openSession(request);
    if (lost++ === 0) throw new RefusedError('unavailable', 'the answer was lost');
    return answer;
  };
  const browser = new Browser();
  const verifier = createVerifier();
  await browser.goto(authorizationUrl(server, client, verifier), { stopAt: redirectUri });
  await browser.submit({}, { button: 'approve', stopAt: redirectUri });
  assert.is(browser.page.status, 503);
  await browser.goto(browser.page.url, { stopAt: redirectUri });
  const code = browser.page.url.searchParams.get('code') ?? '';
  assert.is((await redeem(server, client, code, verifier)).status, 200);
  assert.is(server.vault.sessions.size, 1);
});

test.run();
