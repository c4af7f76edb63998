/** Results of many megabytes: what a client has not read yet is not asked of the backend. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerToolCall } from '../newer-call.ts';
import { sseEvent, startSteeredSseBackend } from '../steered-sse-backend.ts';
import { startTestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp large results');
const mebibyte = 1024 * 1024;
/** Of what a backend sends, MiB: more than fits between it and the client. */
const total = 48;

/** The answer's head has come, and nothing of the body is read yet. */
async function callWhoami(gateway: TestGateway): Promise<IncomingMessage> {
  const { body, ...options } = newerToolCall('b_whoami', await gateway.signer.sign());
  const outgoing = request(gateway.url, options);
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

test('a backend that sends faster than the client reads is read as fast as the client reads', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  let sent = 0;
  backend.intercept = async (_req, res, body) => {
    if (!body.includes('"tools/call"')) return false;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = async (message: object) => {
      if (!res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)) await once(res, 'drain');
    };
    for (; sent < total; sent += 1) {
      const params = { progressToken: 'p', progress: sent, message: 'x'.repeat(mebibyte) };
      await say({ method: 'notifications/progress', params });
    }
    await say({ id: JSON.parse(body).id, result: { resultType: 'complete', content: [] } });
    res.end();
    return true;
  };

  await readSlowly(gateway, () => sent);
});

test('so is a backend of the older transport, whose answers come by a stream of their own', async () => {
  await using backend = await startSteeredSseBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url, transport: 'sse' }],
  });
  let sent = 0;
  const answer = async () => {
    const id = await backend.nextCall();
    for (; sent < total; sent += 1) {
      const params = { progressToken: 'p', progress: sent, message: 'x'.repeat(mebibyte) };
      await backend.write(sseEvent({ method: 'notifications/progress', params }));
    }
    await backend.write(sseEvent({ id, result: { content: [] } }));
  };
  await Promise.all([answer(), readSlowly(gateway, () => sent)]);
});

/** Reads nothing until the backend sends nothing any more, and then all of it. */
async function readSlowly(gateway: TestGateway, sent: () => number): Promise<void> {
  const response = await callWhoami(gateway);
  for (let before = -1; before !== sent(); await pause(500)) before = sent();
  assert.ok(sent() < total, `${sent()} MiB went on although nobody reads`);
  let length = 0;
  let end = '';
  for await (const piece of response) {
    length += piece.length;
    end = (end + piece).slice(-200);
  }
  assert.ok(length > total * mebibyte);
  assert.match(end, '"id":5');
  assert.is(sent(), total);
}

test.run();
