/** How many streams a client has open beside its calls, and how many resources it watches. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerRequest } from '../newer-call.ts';
import { startTestBackend } from '../test-backend.ts';
import { connectClient, startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp client streams');

test('of more streams than one session may have the oldest end, and another session has its own', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const authorization = `Bearer ${await gateway.signer.sign()}`;
  const kind = 'sdk 2 (2025-11-25)';
  await using one = await connectClient(kind, gateway.url, authorization.slice('Bearer '.length));
  await using other = await connectClient(kind, gateway.url, authorization.slice('Bearer '.length));
  const leave = new AbortController();
  const open = async (sessionId: string | undefined) => {
    const headers = { authorization, accept: 'text/event-stream', 'mcp-session-id': sessionId! };
    const response = await fetch(gateway.url, { headers, signal: leave.signal });
    assert.is(response.status, 200);
    let isOver = false;
    const ended = response
      .text()
      .catch(() => {})
      .then(() => {
        isOver = true;
      });
    return { ended, isOver: () => isOver };
  };
  const ofOther = await open(other.sessionId);
  const streams = [];
  for (let opened = 0; opened < 40; opened += 1) streams.push(await open(one.sessionId));
  await Promise.all(streams.slice(0, 8).map(({ ended }) => ended));
  // The client of the SDK may have one as well.
  const still = streams.filter(({ isOver }) => !isOver()).length;
  assert.ok(still === 31 || still === 32, `${still} are open`);
  assert.not.ok(ofOther.isOver());
  leave.abort();
});

test('a session watches a limited number of resources, and one more when it has let go of one', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const token = await gateway.signer.sign();
  await using client = await connectClient('sdk 2 (2025-11-25)', gateway.url, token);
  backend.intercept = (_req, res, body) => {
    if (!body.includes('"resources/')) return false;
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result: {} }));
    return true;
  };
  const ask = async (method: string, uri: string) => {
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'mcp-session-id': client.sessionId!,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: uri, method: `resources/${method}`, params: { uri } }),
    });
    return /"message":"([^"]*)"/.exec(await response.text())?.[1] ?? 'ok';
  };
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, at) => ask('subscribe', `x://${at}`)));
  assert.ok(answers.every((answer) => answer === 'ok'));
  assert.is(await ask('subscribe', 'x://one-more'), 'Subscription limit reached');
  assert.is(await ask('subscribe', 'x://7'), 'ok', 'it is watched already');
  assert.is(await ask('unsubscribe', 'x://7'), 'ok');
  assert.is(await ask('subscribe', 'x://one-more'), 'ok');
});

test('a stream of 2026-07-28 watches as many', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  const token = await gateway.signer.sign();
  const uris = Array.from({ length: 1_001 }, (_, at) => `x://${at}`);
  const params = { notifications: { resourceSubscriptions: uris } };
  const response = await fetch(gateway.url, newerRequest('subscriptions/listen', params, token));
  assert.match(await response.text(), 'Subscription limit reached');
});

test.run();
