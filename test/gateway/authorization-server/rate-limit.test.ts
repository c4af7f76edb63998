import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRateLimit } from '../../../gateway/authorization-server/rate-limit.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  register,
  registerClient,
  requestToken,
  signInForTokens,
  startServer,
} from './started-server.ts';

const test = suite('rate-limit');

test('a burst is taken, then one for each share of a minute, and who is refused is told when', () => {
  const clock = { at: 0 };
  const take = createRateLimit({ burst: 3, perMinute: 10 }, () => clock.at);
  assert.equal([take(), take(), take()], [0, 0, 0]);
  assert.is(take(), 6);
  clock.at += 5000;
  assert.is(take(), 1);
  clock.at += 1000;
  assert.equal([take(), take()], [0, 6]);
  clock.at += 3_600_000;
  assert.equal([take(), take(), take(), take()], [0, 0, 0, 6]);
});

test('a flood of registrations is refused with 429 and does not reach the vault; what exists goes on', async () => {
  await using server = await startServer({ registrationLimit: { burst: 2, perMinute: 1 } });
  const client = await registerClient(server);
  await registerClient(server);
  const rows = server.vault.rows.size;
  for (let attempt = 0; attempt < 5; attempt++) {
    const response = await fetch(`${server.issuer}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    assert.is(response.status, 429);
    assert.ok(Number(response.headers.get('retry-after')) > 0);
    assert.is(response.headers.get('access-control-allow-origin'), '*');
    assert.is(((await response.json()) as { error: string }).error, 'temporarily_unavailable');
  }
  assert.is(server.vault.rows.size, rows);
  const code = {
    ...{ grant_type: 'authorization_code', code: 'none', redirect_uri: redirectUri },
    code_verifier: 'x'.repeat(43),
  };
  const { status, body } = await requestToken(server, { ...code, client_id: client.client_id });
  assert.equal([status, body.error], [400, 'invalid_grant']);
});

test('a flood of sign-ins leaves nothing behind; those that have begun come to their end, and clients go on', async () => {
  await using server = await startServer({ signInLimit: { burst: 3, perMinute: 1 } });
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const browser = new Browser();
  const verifier = createVerifier();
  await browser.goto(authorizationUrl(server, client, verifier));
  await new Browser().goto(authorizationUrl(server, client, createVerifier()));
  const rows = server.vault.rows.size;
  for (let attempt = 0; attempt < 5; attempt++) {
    const { status, headers, body, url } = await new Browser().goto(
      authorizationUrl(server, client, createVerifier()),
    );
    assert.equal([status, url.origin], [429, server.issuer]);
    assert.ok(Number(headers.get('retry-after')) > 0);
    assert.match(body, 'Not available right now');
  }
  assert.is(server.vault.rows.size, rows);
  await browser.submit({}, { button: 'approve', stopAt: redirectUri });
  const code = browser.page.url.searchParams.get('code') ?? '';
  assert.is((await redeem(server, client, code, verifier)).status, 200);
  assert.is((await refresh(server, client, first.refresh_token)).status, 200);
});

test('of a request that is very long nothing is kept, and one with a long state is answered', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const rows = server.vault.rows.size;
  const ask = (length: number) =>
    new Browser().goto(authorizationUrl(server, client, createVerifier(), { state: 's'.repeat(length) }));
  assert.is((await ask(9_000)).status, 414);
  assert.is(server.vault.rows.size, rows);
  assert.is((await ask(6_000)).status, 200);
});

test('when the vault keeps as many clients as it takes, the next one is told to come back', async () => {
  await using server = await startServer({ maxClients: 1 });
  await registerClient(server);
  const { status, body } = await register(server);
  assert.equal([status, body.error], [503, 'temporarily_unavailable']);
});

test.run();
