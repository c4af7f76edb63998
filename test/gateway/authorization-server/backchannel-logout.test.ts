import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mapCallbackPaths } from '../../../gateway/chain/upstream.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import { registerClient, signIn, startServer } from './started-server.ts';

const test = suite('back-channel logout');

async function tell(
  { issuer }: { issuer: string },
  body: URLSearchParams | string,
  { provider = 'corporate', type }: { provider?: string; type?: string } = {},
) {
  const response = await fetch(`${issuer}/oauth/backchannel-logout/${provider}`, {
    method: 'POST',
    body,
    ...(type === undefined ? {} : { headers: { 'content-type': type } }),
  });
  const text = await response.text();
  const { status, headers } = response;
  return { status, headers, text, error: text === '' ? null : (JSON.parse(text) as { error: string }).error };
}

const form = (...tokens: string[]) =>
  new URLSearchParams(tokens.map((token): [string, string] => ['logout_token', token]));

test('a token that the vault took is answered with 200 and nothing more', async () => {
  await using server = await startServer();
  server.vault.logoutTokens.set('good', 'ok');
  const { status, headers, text } = await tell(server, form('good'));
  assert.equal([status, text, headers.get('cache-control')], [200, '', 'no-store']);
  assert.is(headers.get('access-control-allow-origin'), null);
});

test('one that it refuses, or that was used, with 400, and so is a logout that failed', async () => {
  await using server = await startServer();
  for (const [code, error] of [
    ['invalid-request', 'invalid_request'],
    ['conflict', 'invalid_request'],
    ['upstream-unavailable', 'temporarily_unavailable'],
    ['internal', 'temporarily_unavailable'],
  ] as const) {
    server.vault.logoutTokens.set('a-token', code);
    const answer = await tell(server, form('a-token'));
    assert.equal([answer.status, answer.error], [400, error], code);
    assert.is(answer.headers.get('cache-control'), 'no-store');
    assert.not.match(answer.text, 'a-token');
  }
  server.vault.failNext('receiveLogoutToken');
  assert.is((await tell(server, form('a-token'))).error, 'temporarily_unavailable');
});

test('what is no form with one token is refused here', async () => {
  await using server = await startServer();
  for (const [body, type] of [
    [form(), undefined],
    [form(''), undefined],
    [form('good', 'good'), undefined],
    ['{"logout_token":"good"}', 'application/json'],
  ] as const) {
    const { status, error } = await tell(server, body, type === undefined ? {} : { type });
    assert.equal([status, error], [400, 'invalid_request']);
  }
  const large = await tell(server, form('x'.repeat(20_000)));
  assert.equal([large.status, large.headers.get('cache-control')], [413, 'no-store']);
  assert.is(server.vault.calls.get('receiveLogoutToken') ?? 0, 0);
});

test('only providers with OpenID Connect have such an address', async () => {
  await using server = await startServer({ openIdProviders: ['corporate'] });
  for (const provider of ['gitlab', 'nobody', '', 'corporate/', 'corporate/x', '%63orporate', '..'])
    assert.is((await tell(server, form('good'), { provider })).status, 404, provider);
  const get = await fetch(`${server.issuer}/oauth/backchannel-logout/corporate`);
  assert.equal([get.status, get.headers.get('allow')], [405, 'POST']);
});

test('a flood at one address ends there, and keeps no other provider from telling', async () => {
  await using server = await startServer({ logoutLimit: { burst: 3, perMinute: 1 } });
  server.vault.logoutTokens.set('good', 'ok');
  for (let count = 0; count < 3; count++) assert.is((await tell(server, form('forged'))).status, 400);
  const { status, headers, error } = await tell(server, form('good'));
  assert.equal([status, error], [429, 'temporarily_unavailable']);
  assert.match(headers.get('retry-after') ?? '', /^\d+$/);
  assert.is(server.vault.calls.get('receiveLogoutToken'), 3);
  assert.is((await tell(server, form('good'), { provider: 'gitlab' })).status, 200);
});

test('a sign-in that the vault ended while it was under way is told to the client as refused', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  server.vault.openSession = async () => {
    throw new RefusedError('session-ended', 'the person signed out meanwhile');
  };
  const { answer } = await signIn(server, client);
  assert.equal(
    [answer.error, answer.state, answer.code],
    ['access_denied', 'state-of-the-client', undefined],
  );
});

test('no provider can have its callback at an address that is taken', () => {
  for (const path of ['/oauth/backchannel-logout/gitlab', '/oauth/backchannel-logout', '/oauth/revoke'])
    assert.throws(
      () => mapCallbackPaths([{ name: 'gitlab', displayName: 'GitLab', callbackPath: path }]),
      /is taken/,
    );
});

test.run();
