/**
 * A token service that fails, fails the calls that need it and no others, and the person is told what to do; one that is
 * slow is waited for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { alice } from '../world/person.ts';
import {
  type Client,
  callWhoami,
  connectTo,
  openStrategiesWorld,
  subjects,
} from '../world/strategies-world.ts';

const test = suite('token service failures');

/** A failure is remembered for a moment. */
async function callUntilGood(client: Client, backend: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const { isError, sub } = await callWhoami(client, backend);
    if (!isError) return sub;
    await sleep(250);
  }
  throw new Error(`${backend} does not recover`);
}

test('a backend that rejects every token is told as that, and the token service is not asked again and again', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  await using client = await connectTo(w, alice);
  assert.is((await callWhoami(client, 'orders')).sub, subjects.alice);
  const { rejects } = w.backends.get('orders')!;
  rejects.has = () => true;
  const answers = [
    await callWhoami(client, 'orders'),
    await callWhoami(client, 'orders'),
    await callWhoami(client, 'orders'),
  ];
  for (const { isError, text } of answers) {
    assert.ok(isError);
    assert.match(text, /The backend "orders" rejects the token/);
  }
  assert.is(w.service.requests.length, 2);
});

test('a token service that refuses, is away, or answers nonsense fails the calls that need it alone', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  const { service, installation } = w;
  await using client = await connectTo(w, alice);
  const secretText = 'a-text-of-the-token-service';
  for (const [fault, expected] of [
    [
      { status: 400, body: `{"error":"invalid_grant","error_description":"${secretText}"}` },
      /refuses the exchange \(invalid_grant\)/,
    ],
    [
      { status: 503, headers: { 'retry-after': '3' }, body: secretText },
      /no usable answer at the moment. Try again in 3 s/,
    ],
    [{ status: 200, body: `<html>${secretText}` }, /no usable answer/],
    [{ status: 302, headers: { location: `${service.tokenUrl}/elsewhere` } }, /no usable answer/],
  ] as const) {
    service.setFault(fault);
    for (let attempt = 0; ; attempt += 1) {
      const { isError, text } = await callWhoami(client, 'orders');
      assert.ok(isError);
      assert.match(text, /^The backend "orders" is called with a token that is exchanged/);
      assert.not.match(text, secretText);
      // What was answered before is told for a moment.
      if (expected.test(text)) break;
      assert.ok(attempt < 60, `${text} in place of ${expected}`);
      await sleep(250);
    }
    assert.not.ok((await callWhoami(client, 'corporate-tools')).isError);
    service.setFault(null);
  }
  assert.is(await callUntilGood(client, 'orders'), subjects.alice);
  assert.not.match(installation.output(), secretText);
});

test('a token service that hangs costs the lists of others nothing, and its own comes when it answers', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  w.service.setFault({ hang: true });
  let changes = 0;
  await using connected = await connectTo(w, alice);
  const { client } = connected;
  client.setNotificationHandler('notifications/tools/list_changed', () => {
    changes += 1;
  });
  await client.listen({ toolsListChanged: true });
  const names = async () => (await client.listTools()).tools.map(({ name }) => name);
  const first = await names();
  assert.ok(first.includes('corporate-tools_whoami'), String(first));
  assert.not.ok(first.includes('orders_whoami'));
  w.service.setFault(null);
  for (let attempt = 0; ; attempt += 1) {
    if (changes > 0 && (await names()).includes('orders_whoami')) break;
    assert.ok(attempt < 100, 'its tools never come');
    await sleep(250);
  }
});

test('a slow token service is waited for, by everybody who calls, with one exchange', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  await using client = await connectTo(w, alice);
  w.service.setFault({ delayMs: 1_500 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => callWhoami(client, 'orders')));
  assert.equal(new Set(answers.map(({ sub }) => sub)), new Set([subjects.alice]));
  assert.is(w.service.requests.length, 1);
});

test.run();
