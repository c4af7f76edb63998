import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { redeem, refresh, registerClient, signIn, signInForTokens, startServer } from './started-server.ts';

const test = suite('token reuse');

const tsidOf = (token: string) => String(decodeJwt(token).tsid);

test('an answer that was lost is given again: the same tokens, for the time that they still have', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { body: lost } = await refresh(server, client, first.refresh_token);
  const {
    status,
    body: again,
    headers,
  } = await refresh(server, client, first.refresh_token, {
    resource: `${server.resource}/`,
  });
  assert.is(status, 200);
  assert.is(again.refresh_token, lost.refresh_token);
  assert.is(again.access_token, lost.access_token);
  assert.ok(Number(again.expires_in) <= Number(lost.expires_in));
  assert.is(headers.get('cache-control'), 'no-store');
  assert.is((await refresh(server, client, again.refresh_token)).status, 200);
});

test('of five refreshes at once through two gateways all get the same tokens, and go on with them', async () => {
  await using server = await startServer({ replicas: 2 });
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => refresh(server, client, first.refresh_token)),
  );
  assert.equal(
    answers.map(({ status }) => status),
    Array(5).fill(200),
  );
  assert.is(new Set(answers.map(({ body }) => body.refresh_token)).size, 1);
  assert.is(server.vault.calls.get('signAccessToken'), 2);
  const { status, body } = await refresh(server, client, answers[0]!.body.refresh_token);
  assert.is(status, 200);
  assert.is(tsidOf(body.access_token), tsidOf(first.access_token));
});

test('a refresh token that comes again after its successor was used ends the family and the session', async () => {
  await using server = await startServer({ replicas: 2 });
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { body: second } = await refresh(server, client, first.refresh_token);
  const { body: third } = await refresh(server, client, second.refresh_token);
  const reused = await refresh(server, client, first.refresh_token);
  assert.is(reused.status, 400);
  assert.is(reused.body.error, 'invalid_grant');
  assert.equal([...server.vault.ended], [[tsidOf(first.access_token), 'refresh-token-reused']]);
  assert.is(server.vault.sessions.size, 0);
  for (const token of [first, second, third])
    assert.is((await refresh(server, client, token.refresh_token)).body.error, 'invalid_grant');
});

test('another client with a used refresh token learns nothing and ends nothing', async () => {
  await using server = await startServer();
  const [client, other] = [await registerClient(server), await registerClient(server)];
  const first = await signInForTokens(server, client);
  const { body: second } = await refresh(server, client, first.refresh_token);
  assert.is((await refresh(server, other, first.refresh_token)).body.error, 'invalid_grant');
  assert.is((await refresh(server, client, second.refresh_token)).status, 200);
});

test('a code whose answer was lost gives it again, with its verifier', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body: lost } = await redeem(server, client, answer.code ?? '', verifier);
  const { status, body } = await redeem(server, client, answer.code ?? '', verifier);
  assert.is(status, 200);
  assert.is(body.refresh_token, lost.refresh_token);
  assert.is((await refresh(server, client, body.refresh_token)).status, 200);
});

test('a code that comes again after what it gave was used takes that away', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body: first } = await redeem(server, client, answer.code ?? '', verifier);
  const { body: second } = await refresh(server, client, first.refresh_token);
  assert.is((await redeem(server, client, answer.code ?? '', verifier)).body.error, 'invalid_grant');
  assert.equal([...server.vault.ended], [[tsidOf(first.access_token), 'code-reused']]);
  assert.is((await refresh(server, client, second.refresh_token)).body.error, 'invalid_grant');
});

test('a used code with another verifier gives nothing, and takes away what it gave', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const { body: first } = await redeem(server, client, answer.code ?? '', verifier);
  const injected = await redeem(server, client, answer.code ?? '', 'w'.repeat(43));
  assert.is(injected.body.error, 'invalid_grant');
  assert.is(injected.body.access_token, undefined);
  assert.is((await refresh(server, client, first.refresh_token)).body.error, 'invalid_grant');
});

test('a code that came with a wrong verifier first is still good for the right one', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const { answer, verifier } = await signIn(server, client);
  const wrong = await redeem(server, client, answer.code ?? '', 'w'.repeat(43));
  assert.is(wrong.body.error, 'invalid_grant');
  assert.is((await redeem(server, client, answer.code ?? '', verifier)).status, 200);
});

test('where the record of the answer is in doubt the client is not told, and gets what was recorded later', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { endTokenUse } = server.vault;
  server.vault.endTokenUse = async (request) => {
    await endTokenUse(request);
    throw new RefusedError('unavailable', 'the answer to the gateway was lost');
  };
  const { status, headers, body } = await refresh(server, client, first.refresh_token);
  server.vault.endTokenUse = endTokenUse;
  assert.is(status, 503);
  assert.is(body.refresh_token, undefined);
  assert.match(headers.get('retry-after') ?? '', /^\d+$/);
  const again = await refresh(server, client, first.refresh_token);
  assert.is(again.status, 200);
  assert.is((await refresh(server, client, again.body.refresh_token)).status, 200);
});

test('a session that could not be ended is ended by the next reuse', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const first = await signInForTokens(server, client);
  const { body: second } = await refresh(server, client, first.refresh_token);
  await refresh(server, client, second.refresh_token);
  server.vault.failNext('endSession');
  assert.is((await refresh(server, client, first.refresh_token)).status, 503);
  assert.is((await refresh(server, client, first.refresh_token)).status, 400);
  assert.is(server.vault.sessions.size, 0);
});

test.run();
