/**
 * `token_exchange` in a whole installation: each backend is sent a token of its own, exchanged for that of the person
 * who calls; what takes the person's access away takes it away there too; and a token service that fails, fails the calls
 * that need it and no others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDeployedNats } from '../world/deployed-nats.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { openStrategiesWorld, type StrategiesWorld, tokenServiceSecret } from '../world/strategies-world.ts';

const test = suite('token exchange');

type Client = Awaited<ReturnType<typeof connectAsPerson>>;

const subjects = { alice: 'corp-7f21', bob: 'corp-93c4' };

const connect = ({ installation }: StrategiesWorld, person: typeof alice) =>
  connectAsPerson({ mcpUrl: installation.mcpUrl, person });

async function call(
  client: Client,
  backend: string,
): Promise<{ isError: boolean; text: string; sub?: string }> {
  const result = await client.client.callTool({ name: `${backend}_whoami`, arguments: {} });
  const [content] = result.content as { text: string }[];
  const { sub } = (result.structuredContent ?? {}) as { sub?: string };
  return {
    isError: result.isError === true,
    text: content?.text ?? '',
    ...(sub === undefined ? {} : { sub }),
  };
}

/** A failure is remembered for a moment. */
async function callUntilGood(client: Client, backend: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const { isError, sub } = await call(client, backend);
    if (!isError) return sub;
    await sleep(250);
  }
  throw new Error(`${backend} does not recover`);
}

const tokensSentTo = ({ backends }: StrategiesWorld, name: string) =>
  backends.get(name)!.authorizations.map((sent) => (sent ?? '').replace('Bearer ', ''));

test('two people, two audiences, under the shipped NATS permissions: to each backend its token of that person', async () => {
  await using nats = await openDeployedNats();
  await using w = await openStrategiesWorld({
    exchanged: ['orders', 'files'],
    openNats: async () => nats,
  });
  await using ofAlice = await connect(w, alice);
  await using ofBob = await connect(w, bob);
  // Longer than one attempt on the bus: the worker is asked again, and may answer each request once.
  w.service.setFault({ delayMs: 600, times: 4 });
  const calls = Array.from({ length: 24 }, (_, index) => {
    const [client, sub] = index % 2 ? ([ofAlice, subjects.alice] as const) : ([ofBob, subjects.bob] as const);
    const backend = index % 4 < 2 ? 'orders' : 'files';
    return call(client, backend).then((answer) => assert.equal([answer.isError, answer.sub], [false, sub]));
  });
  await Promise.all(calls);

  const { service } = w;
  assert.is(service.requests.length, 4, 'one exchange for each person and backend');
  for (const { parameters, subject, authorization } of service.requests) {
    assert.is(decodeURIComponent(atob(authorization!.split(' ')[1]!)), `latchkey:${tokenServiceSecret}`);
    assert.ok(subject !== null, 'what is exchanged is a token of the provider');
    assert.is(parameters.scope, `${parameters.audience}.read`);
  }
  for (const name of ['orders', 'files']) {
    const sent = tokensSentTo(w, name).filter((token) => token !== '');
    assert.ok(sent.length > 0);
    for (const token of sent) assert.is(service.issued.get(token)?.audience, name);
  }
  assert.not.match(nats.log(), /violation/i);
});

test('a token that ends, or that its backend rejects, is exchanged anew and the call goes on', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'], exchangedLifeSeconds: 2 });
  await using client = await connect(w, alice);
  assert.is((await call(client, 'orders')).sub, subjects.alice);
  const first = tokensSentTo(w, 'orders').at(-1)!;
  await sleep(2_100);
  assert.is((await call(client, 'orders')).sub, subjects.alice);
  const second = tokensSentTo(w, 'orders').at(-1)!;
  assert.is.not(second, first);

  w.backends.get('orders')!.rejects.add(second);
  const count = w.service.requests.length;
  assert.is((await call(client, 'orders')).sub, subjects.alice);
  assert.ok(w.service.requests.length > count);
  assert.is.not(tokensSentTo(w, 'orders').at(-1), second);
});

test('a backend that rejects every token is told as that, and the token service is not asked again and again', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  await using client = await connect(w, alice);
  assert.is((await call(client, 'orders')).sub, subjects.alice);
  const { rejects } = w.backends.get('orders')!;
  rejects.has = () => true;
  const answers = [await call(client, 'orders'), await call(client, 'orders'), await call(client, 'orders')];
  for (const { isError, text } of answers) {
    assert.ok(isError);
    assert.match(text, /The backend "orders" rejects the token/);
  }
  assert.is(w.service.requests.length, 2);
});

test('a token service that refuses, is away, or answers nonsense fails the calls that need it alone', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  const { service, installation } = w;
  await using client = await connect(w, alice);
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
      const { isError, text } = await call(client, 'orders');
      assert.ok(isError);
      assert.match(text, /^The backend "orders" is called with a token that is exchanged/);
      assert.not.match(text, secretText);
      // What was answered before is told for a moment.
      if (expected.test(text)) break;
      assert.ok(attempt < 60, `${text} in place of ${expected}`);
      await sleep(250);
    }
    assert.not.ok((await call(client, 'corporate-tools')).isError);
    service.setFault(null);
  }
  assert.is(await callUntilGood(client, 'orders'), subjects.alice);
  assert.not.match(installation.output(), secretText);
});

test('a slow token service is waited for, by everybody who calls, with one exchange', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  await using client = await connect(w, alice);
  w.service.setFault({ delayMs: 1_500 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => call(client, 'orders')));
  assert.equal(new Set(answers.map(({ sub }) => sub)), new Set([subjects.alice]));
  assert.is(w.service.requests.length, 1);
});

test('a session that ends takes its exchanged tokens with it, and the next one gets its own', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  const { issuer } = w.installation;
  await using first = await connect(w, alice);
  assert.is((await call(first, 'orders')).sub, subjects.alice);
  const sent = tokensSentTo(w, 'orders');
  const revoked = await fetch(`${issuer}/oauth/revoke`, {
    method: 'POST',
    body: new URLSearchParams({
      token: first.kept.tokens!.refresh_token!,
      client_id: first.kept.clientInformation!.client_id,
    }),
  });
  assert.is(revoked.status, 200);
  const after = await fetch(w.installation.mcpUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${first.accessToken()}`, 'content-type': 'application/json' },
    body: '{}',
  });
  assert.is(after.status, 401);
  await using second = await connect(w, alice);
  assert.is((await call(second, 'orders')).sub, subjects.alice);
  assert.not.ok(sent.includes(tokensSentTo(w, 'orders').at(-1)!));
});

test.run();
