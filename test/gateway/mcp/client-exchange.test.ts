import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openEventStream } from '../../../gateway/mcp/client-exchange.ts';

const test = suite('gateway/mcp client exchange');
const mebibyte = 1024 * 1024;
const message = { jsonrpc: '2.0', method: 'notifications/message', params: { data: 'x'.repeat(mebibyte) } };

/** The two ends of one answer. */
async function openAnswer() {
  const served = Promise.withResolvers<ServerResponse>();
  const server = createServer((_req, res) => served.resolve(res)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answered = Promise.withResolvers<IncomingMessage>();
  const { port } = server.address() as AddressInfo;
  const asked = get({ port, host: '127.0.0.1' }, answered.resolve);
  asked.on('error', () => {});
  const res = await served.promise;
  return {
    res,
    /** The client has the head of the answer, and has read nothing of its body. */
    answered: answered.promise,
    async [Symbol.asyncDispose]() {
      asked.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** More than the sockets take in. @returns what is waited for then */
function fill(stream: ReturnType<typeof openEventStream>): Promise<void> {
  for (let sent = 0; sent < 32; sent += 1) stream.send(message);
  return stream.room()!;
}

test('a client that reads again makes room', async () => {
  await using answer = await openAnswer();
  using stream = openEventStream(answer.res, {}, 60_000);
  const waiting = fill(stream);
  (await answer.answered).resume();
  await waiting;
  assert.ok(stream.send(message));
});

test('a client that does not read is cut off after its time, and whoever waits for it goes on', async () => {
  await using answer = await openAnswer();
  using stream = openEventStream(answer.res, {}, 100);
  const waiting = fill(stream);
  await waiting;
  assert.ok(answer.res.destroyed);
  assert.not.ok(stream.send(message));
  assert.is(stream.room(), null);
});

test('so is one for whose room nobody waits', async () => {
  await using answer = await openAnswer();
  using stream = openEventStream(answer.res, {}, 100);
  const closed = once(answer.res, 'close');
  for (let sent = 0; sent < 32; sent += 1) stream.send(message);
  await closed;
  assert.not.ok(stream.send(message));
});

test('what waits for a client is limited, however soon it would read', async () => {
  await using answer = await openAnswer();
  using stream = openEventStream(answer.res, {}, 60_000);
  let sent = 0;
  while (stream.send(message)) sent += 1;
  assert.ok(sent >= 64 && sent < 80, `${sent} MiB`);
});

test.run();
