import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../schemas/ids.ts';
import { NatsUnreachableError, openNatsConnection } from '../../schemas/nats-connection.ts';
import { findFreePorts } from '../world/free-ports.ts';
import { openNatsServer } from '../world/nats-server.ts';

const test = suite('nats-connection');

async function failureOf(work: Promise<unknown>): Promise<NatsUnreachableError> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, NatsUnreachableError);
    return error as NatsUnreachableError;
  }
  throw new Error('it did not fail');
}

test('a NATS that is not there: one line with the servers and the reason, and exit code 1', async () => {
  const [port] = await findFreePorts(1);
  const servers = [`nats://127.0.0.1:${port}`, `nats://somebody:clear-password@127.0.0.1:${port}`];
  const options = { servers, role: 'gateway', bootId: createBootId(), startTimeoutMs: 300 } as const;
  const error = await failureOf(openNatsConnection(options));
  assert.is(error.code, 'nats-unreachable');
  assert.is(error.exitCode, 1);
  assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.match(error.message, /no answer within/);
  assert.not.match(error.message, /clear-password|\n/);
});

test('tls:// alone demands TLS: to a server without it nothing is sent, and it is told why', async () => {
  const sent: Buffer[] = [];
  await using server = createServer((socket) => {
    const info = { server_id: 'x', version: '2.14.5', proto: 1, max_payload: 1_048_576, headers: true };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('data', (bytes) => sent.push(bytes)).on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const servers = [`tls://127.0.0.1:${(server.address() as AddressInfo).port}`];
  const options = { servers, role: 'gateway', bootId: createBootId(), startTimeoutMs: 300 } as const;
  const error = await failureOf(openNatsConnection({ ...options, user: 'gateway', password: 'of-gateway' }));
  assert.match(error.message, /it has no TLS/);
  assert.is(Buffer.concat(sent).toString(), '');
});

test('a file of nats.tls that is not there is told at once', async () => {
  const options = { servers: ['tls://127.0.0.1:1'], role: 'vault', bootId: createBootId() } as const;
  const error = await failureOf(openNatsConnection({ ...options, tls: { caFile: '/nowhere/ca.pem' } }));
  assert.match(error.message, /^nats\.tls\.caFile: \/nowhere\/ca\.pem cannot be read \(ENOENT\): /);
});

test('a NATS that refuses the token: told at once, without the token', async () => {
  await using nats = await openNatsServer({ token: 'the-right-token' });
  const begun = performance.now();
  const options = { servers: [nats.url], role: 'gateway', bootId: createBootId() } as const;
  const error = await failureOf(openNatsConnection({ ...options, token: 'clear-wrong-token' }));
  assert.match(error.message, /refuses the user name, password or token/);
  assert.not.match(error.message, /clear-wrong-token/);
  assert.ok(performance.now() - begun < 25_000, 'it did not wait for the end of the start time');
  const connection = await openNatsConnection({ ...options, token: 'the-right-token' });
  await connection.close();
});

test('a NATS that comes within the time is waited for', async () => {
  await using nats = await openNatsServer();
  await nats.kill();
  const opening = openNatsConnection({ servers: [nats.url], role: 'vault', bootId: createBootId() });
  await nats.start();
  const connection = await opening;
  await connection.flush();
  await connection.close();
});

test('a restart of the server ends nothing: subscriptions go on', async () => {
  await using nats = await openNatsServer();
  const connection = await openNatsConnection({
    servers: [nats.url],
    role: 'provider',
    bootId: createBootId(),
  });
  try {
    connection.subscribe('ask', { callback: (_, message) => message.respond(message.data) });
    await nats.kill();
    await nats.start();
    for (let attempt = 1; ; attempt++) {
      const answer = await connection.request('ask', 'again', { timeout: 500 }).catch(() => null);
      if (answer?.string() === 'again') break;
      assert.ok(attempt < 40, 'it did not come back');
    }
  } finally {
    await connection.close();
  }
});

test('replies go to inboxes that only this process has', async () => {
  await using nats = await openNatsServer();
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'gateway', bootId });
  try {
    const inboxes: string[] = [];
    connection.subscribe('ask', {
      callback: (_, message) => {
        inboxes.push(message.reply!);
        message.respond('x');
      },
    });
    await connection.request('ask', '', { timeout: 2000 });
    assert.ok(inboxes[0]!.startsWith(`_INBOX_gateway.${bootId}.`), inboxes[0]);
  } finally {
    await connection.close();
  }
});

test.run();
