/**
 * `token_exchange` in a whole installation: each backend is sent a token of its own, exchanged for that of the person
 * who calls, and what takes the person's access away takes it away there too.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDeployedNats } from '../world/deployed-nats.ts';
import { alice, bob } from '../world/person.ts';
import {
  callWhoami,
  connectTo,
  openStrategiesWorld,
  subjects,
  tokensSentTo,
} from '../world/strategies-world.ts';
import { tokenServiceSecret } from '../world/strategy-backends.ts';

const test = suite('token exchange');

test('two people, two audiences, under the shipped NATS permissions: to each backend its token of that person', async () => {
  await using nats = await openDeployedNats();
  await using w = await openStrategiesWorld({
    exchanged: ['orders', 'files'],
    openNats: async () => nats,
  });
  await using ofAlice = await connectTo(w, alice);
  await using ofBob = await connectTo(w, bob);
  // Longer than one attempt on the bus: the worker is asked again, and may answer each request once.
  w.service.setFault({ delayMs: 600, times: 4 });
  const calls = Array.from({ length: 24 }, (_, index) => {
    const [client, sub] = index % 2 ? ([ofAlice, subjects.alice] as const) : ([ofBob, subjects.bob] as const);
    const backend = index % 4 < 2 ? 'orders' : 'files';
    return callWhoami(client, backend).then((answer) =>
      assert.equal([answer.isError, answer.sub], [false, sub]),
    );
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
  await using client = await connectTo(w, alice);
  assert.is((await callWhoami(client, 'orders')).sub, subjects.alice);
  const first = tokensSentTo(w, 'orders').at(-1)!;
  await sleep(2_100);
  assert.is((await callWhoami(client, 'orders')).sub, subjects.alice);
  const second = tokensSentTo(w, 'orders').at(-1)!;
  assert.is.not(second, first);

  w.backends.get('orders')!.rejects.add(second);
  const count = w.service.requests.length;
  assert.is((await callWhoami(client, 'orders')).sub, subjects.alice);
  assert.ok(w.service.requests.length > count);
  assert.is.not(tokensSentTo(w, 'orders').at(-1), second);
});

test('a session that ends takes its exchanged tokens with it, and the next one gets its own', async () => {
  await using w = await openStrategiesWorld({ exchanged: ['orders'] });
  const { issuer } = w.installation;
  await using first = await connectTo(w, alice);
  assert.is((await callWhoami(first, 'orders')).sub, subjects.alice);
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
  await using second = await connectTo(w, alice);
  assert.is((await callWhoami(second, 'orders')).sub, subjects.alice);
  assert.not.ok(sent.includes(tokensSentTo(w, 'orders').at(-1)!));
});

test.run();
