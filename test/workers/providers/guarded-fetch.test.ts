import type { lookup as resolve } from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createGuardedFetch, OutboundRequestError } from '../../../workers/providers/guarded-fetch.ts';
import { openAnsweringServer } from './answering-server.ts';

const test = suite('guarded-fetch');
const open = createGuardedFetch({ allowPrivateAddresses: true, timeoutMs: 300, maxAnswerBytes: 1000 });
const strict = createGuardedFetch({ allowPrivateAddresses: false, timeoutMs: 300 });

/** Name resolution that gives these addresses. */
const resolvingTo = (...addresses: string[]) =>
  ((_name: string, _options: unknown, callback: (error: null, found: unknown) => void) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as never;

async function codeOf(answer: Promise<Response>): Promise<string> {
  try {
    await answer;
  } catch (error) {
    assert.instance(error, OutboundRequestError);
    return (error as OutboundRequestError).code;
  }
  return 'answered';
}

test('a form is posted and the answer read', async () => {
  await using server = await openAnsweringServer(() => ({ status: 201, body: '{"a":1}' }));
  const response = await open(`${server.origin}/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ a: 'b c' }),
  });
  assert.is(response.status, 201);
  assert.equal(await response.json(), { a: 1 });
  assert.is(server.received[0]?.body, 'a=b+c');
  assert.is(server.received[0]?.headers['accept-encoding'], 'identity');
});

test('loopback and private addresses are refused without the flag, by number and by name', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}' }));
  const { port } = new URL(server.origin);
  const hosts = [
    ...[
      '127.0.0.1',
      '127.0.0.1.',
      '127.1',
      '0x7f.1',
      '0x7f000001',
      '0177.0.0.1',
      '017700000001',
      '2130706433',
    ],
    ...['0', '0.0.0.0', '[::]', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]'],
    ...['[64:ff9b::127.0.0.1]', 'localhost', '①②⑦.⓪.⓪.①', '169.254.169.254', '0xa9fea9fe'],
  ];
  for (const host of hosts)
    for (const scheme of ['http', 'https'])
      assert.is(await codeOf(strict(`${scheme}://${host}:${port}/`)), 'address-refused', host);
  const named = createGuardedFetch({ allowPrivateAddresses: false, lookup: resolvingTo('10.0.0.7') });
  assert.is(await codeOf(named(`https://provider.example:${port}/`)), 'address-refused');
  assert.is(server.received.length, 0);
});

test('a name with one refused address among several is refused', async () => {
  const several = [
    ['93.184.215.14', '127.0.0.1'],
    ['127.0.0.1', '93.184.215.14'],
    ['2a00:1450:4001::200e', '93.184.215.14', '::ffff:10.0.0.1'],
    ['93.184.215.14', '64:ff9b::a9fe:a9fe'],
    ['93.184.215.14', 'fe80::1'],
  ];
  for (const addresses of several) {
    const named = createGuardedFetch({ allowPrivateAddresses: false, lookup: resolvingTo(...addresses) });
    assert.is(await codeOf(named('https://provider.example/')), 'address-refused', addresses.join());
  }
});

test('a name is resolved once: the address that was checked is the one that is connected to', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}' }));
  const answers = [resolvingTo('127.0.0.1'), resolvingTo('169.254.169.254')] as (typeof resolve)[];
  const rebinding = createGuardedFetch({
    allowPrivateAddresses: true,
    lookup: ((...args: Parameters<typeof resolve>) => answers.shift()!(...args)) as never,
  });
  const url = `http://provider.example:${new URL(server.origin).port}/`;
  assert.is((await rebinding(url)).status, 200);
  assert.is(answers.length, 1);
  assert.is(await codeOf(rebinding(url)), 'address-refused');
});

test('metadata services are refused even with the flag', async () => {
  assert.is(await codeOf(open('http://169.254.169.254/latest/meta-data/')), 'address-refused');
  const named = createGuardedFetch({ allowPrivateAddresses: true, lookup: resolvingTo('169.254.169.254') });
  assert.is(await codeOf(named('http://provider.example/')), 'address-refused');
});

test('plain http goes to private addresses only, and other schemes nowhere', async () => {
  assert.is(await codeOf(open('http://93.184.215.14/')), 'insecure-address');
  const named = createGuardedFetch({ allowPrivateAddresses: true, lookup: resolvingTo('93.184.215.14') });
  assert.is(await codeOf(named('http://provider.example/')), 'insecure-address');
  assert.is(await codeOf(open('file:///etc/passwd')), 'insecure-address');
});

test('a redirect is an answer, not a way', async () => {
  await using other = await openAnsweringServer(() => ({ body: '{}' }));
  await using server = await openAnsweringServer(() => ({
    status: 302,
    headers: { location: `${other.origin}/` },
  }));
  assert.is((await open(server.origin)).status, 302);
  assert.is(other.received.length, 0);
});

test('an answer that is too large, compressed, cut off, late or absent is an error of its own', async () => {
  await using server = await openAnsweringServer(({ path }) => {
    if (path === '/large') return { body: 'x'.repeat(1001) };
    if (path === '/zip') return { headers: { 'content-encoding': 'gzip' }, body: gzipSync('{}') };
    return path === '/cut' ? 'cut' : 'hang';
  });
  assert.is(await codeOf(open(`${server.origin}/large`)), 'answer-too-large');
  assert.is(await codeOf(open(`${server.origin}/zip`)), 'answer-malformed');
  assert.is(await codeOf(open(`${server.origin}/cut`)), 'unreachable');
  assert.is(await codeOf(open(`${server.origin}/hang`)), 'timeout');
  assert.is(await codeOf(open('http://127.0.0.1:1/')), 'unreachable');
});

test('a name that is never resolved ends with the time, and so does an answer that drips', async () => {
  const silent = createGuardedFetch({
    allowPrivateAddresses: true,
    timeoutMs: 100,
    // The timer is what keeps the process alive meanwhile.
    lookup: (() => setTimeout(() => {}, 500)) as never,
  });
  assert.is(await codeOf(silent('https://provider.example/')), 'timeout');
  const dripping = http.createServer((_, outgoing) => {
    outgoing.writeHead(200);
    const drip = setInterval(() => outgoing.write(' '), 20);
    outgoing.once('close', () => clearInterval(drip));
  });
  dripping.listen(0, '127.0.0.1');
  await once(dripping, 'listening');
  try {
    assert.is(await codeOf(open(`http://127.0.0.1:${(dripping.address() as AddressInfo).port}/`)), 'timeout');
  } finally {
    dripping.close();
    dripping.closeAllConnections();
  }
});

test('a request may have a limit of time of its own, shorter or longer', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}', delayMs: 400 }));
  assert.is((await open(server.origin, { timeoutMs: 5000 })).status, 200);
  assert.is(await codeOf(open(server.origin, { timeoutMs: 50 })), 'timeout');
});

test('after sendBefore nothing is sent, and what was sent is waited for', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}', delayMs: 100 }));
  assert.is(await codeOf(open(server.origin, { sendBefore: AbortSignal.abort() })), 'too-late');
  assert.is(server.received.length, 0);
  const response = await open(server.origin, { sendBefore: AbortSignal.timeout(60) });
  assert.is(response.status, 200);
  assert.is(server.received.length, 1);
});

test('a connection that comes too late carries nothing', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}' }));
  const slow = createGuardedFetch({
    allowPrivateAddresses: true,
    lookup: ((_name: string, _options: unknown, callback: (error: null, found: unknown) => void) =>
      setTimeout(callback, 80, null, [{ address: '127.0.0.1', family: 4 }])) as never,
  });
  const url = `http://provider.example:${new URL(server.origin).port}/`;
  assert.is(
    await codeOf(slow(url, { method: 'POST', body: 'a=b', sendBefore: AbortSignal.timeout(20) })),
    'too-late',
  );
  assert.is(
    (await slow(url, { method: 'POST', body: 'a=b', sendBefore: AbortSignal.timeout(2000) })).status,
    200,
  );
  assert.equal(
    server.received.map(({ body }) => body),
    ['a=b'],
  );
});

test.run();
