import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describeError } from '../../../schemas/log.ts';
import { redeem, refresh, registerClient, signIn, startServer } from './started-server.ts';

test('no token, code, state or cookie is in the log, whatever fails', async () => {
  const lines: string[] = [];
  const log = pino(
    { level: 'trace', serializers: { err: describeError } },
    { write: (line) => void lines.push(line) },
  );
  await using server = await startServer({ log });
  const client = await registerClient(server);
  const { answer, verifier, browser } = await signIn(server, client);
  const { body } = await redeem(server, client, answer.code ?? '', verifier);
  for (const name of [
    'findRecord',
    'beginTokenUse',
    'endTokenUse',
    'putRecord',
    'signAccessToken',
  ] as const) {
    server.vault.failNext(name);
    assert.is((await refresh(server, client, body.refresh_token)).status, 503, name);
  }
  const callback = browser.trace.find(({ url }) => url.includes('/oauth/callback/'))?.url ?? '';
  assert.is((await fetch(callback)).status, 400);
  server.vault.completeLeg = async () => {
    throw new TypeError(`a bug that shows ${callback}`);
  };
  assert.is((await fetch(callback)).status, 500);

  const state = new URL(callback).searchParams.get('state') ?? '';
  const text = lines.join('\n');
  assert.ok(lines.length > 0);
  for (const secret of [answer.code, verifier, body.access_token, body.refresh_token, state])
    assert.not.ok(text.includes(String(secret)));
});

test.run();
