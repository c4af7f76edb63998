import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { refresh, registerClient, revoke, signInForTokens, startServer } from './started-server.ts';

const test = suite('revocation');

for (const kind of ['access_token', 'refresh_token'] as const) {
  test(`an ${kind} that is given back ends its session, and the refresh of it`, async () => {
    await using server = await startServer({ replicas: 2 });
    const client = await registerClient(server);
    const tokens = await signInForTokens(server, client);
    const others = await signInForTokens(server, client);
    const { status, body } = await revoke(server, client, tokens[kind]);
    assert.is(status, 200);
    assert.equal(body, {});
    assert.equal([...server.vault.ended.values()], ['revoked']);
    assert.is((await refresh(server, client, tokens.refresh_token)).body.error, 'invalid_grant');
    assert.is((await refresh(server, client, others.refresh_token)).status, 200, 'another session');
    assert.is((await revoke(server, client, tokens[kind])).status, 200, 'again');
  });

  test(`an ${kind} of another client ends nothing, and the answer does not tell`, async () => {
    await using server = await startServer();
    const [client, other] = [await registerClient(server), await registerClient(server)];
    const tokens = await signInForTokens(server, client);
    assert.is((await revoke(server, other, tokens[kind])).status, 200);
    assert.is(server.vault.ended.size, 0);
    assert.is((await refresh(server, client, tokens.refresh_token)).status, 200);
  });
}

test('a refresh token that was used still ends the session that it belonged to', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { body: second } = await refresh(server, client, first.refresh_token);
  await revoke(server, client, first.refresh_token);
  assert.is((await refresh(server, client, second.refresh_token)).body.error, 'invalid_grant');
});

test('the answer of a refresh is not given again after its session was given back', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { body: second } = await refresh(server, client, first.refresh_token);
  await revoke(server, client, second.access_token);
  assert.is((await refresh(server, client, first.refresh_token)).body.error, 'invalid_grant');
});

test('what is no token of ours is answered as if it had been one', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  server.vault.endSession = async () => {
    throw new RefusedError('unauthorized', 'not one of ours');
  };
  for (const token of ['x', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfeCJ9.', 'a.b.c'])
    assert.is((await revoke(server, client, token)).status, 200, token);
});

test('a client that is not known, and a request without a token, are refused', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { refresh_token } = await signInForTokens(server, client);
  const stranger = await revoke(server, { client_id: 'nobody' }, refresh_token);
  assert.equal([stranger.status, stranger.body.error], [401, 'invalid_client']);
  assert.equal((await revoke(server, client, '')).body.error, 'invalid_request');
  assert.is(server.vault.ended.size, 0);
  const get = await fetch(`${server.issuer}/oauth/revoke`, { headers: { origin: 'https://app.example' } });
  assert.is(get.status, 405);
  assert.is(get.headers.get('access-control-allow-origin'), '*');
});

test('while the vault is away the client is told to come again, and the token still lives', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { refresh_token } = await signInForTokens(server, client);
  server.vault.failNext('endSession');
  const { status, headers, body } = await revoke(server, client, refresh_token);
  assert.equal([status, body.error], [503, 'temporarily_unavailable']);
  assert.match(headers.get('retry-after') ?? '', /^\d+$/);
  assert.is((await revoke(server, client, refresh_token)).status, 200);
  assert.is(server.vault.sessions.size, 0);
});

test.run();
