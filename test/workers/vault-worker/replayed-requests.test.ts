/**
 * Somebody on the bus can read nothing, but can send a captured request again. The worker that opened it knows it; to
 * another worker it is new for as long as it is young, and what it orders must have no second effect there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../../schemas/secret.ts';
import { tokenPayload, useOf } from '../../world/token-use.ts';
import { natsToken, openVaultInstallation } from './vault-process.ts';

const test = suite('replayed requests');

test('everything that a sign-in, a refresh and the end of a grant said is said again to another worker', async () => {
  await using installation = await openVaultInstallation();
  const { client, nats, refreshes } = installation;
  const first = installation.start();
  await first.ready;
  const attacker = await connect({ servers: nats.url, token: natsToken });
  const captured: { subject: string; data: Uint8Array }[] = [];
  const tap = attacker.subscribe('latchkey.*.>', {
    callback: (_, { subject, data }) =>
      void (/\.(vault|auth|provider)\./.test(subject) && captured.push({ subject, data: data.slice() })),
  });
  await attacker.flush();

  // A refresh token that is used, a grant that is ended because one came twice, a code that is used.
  await client.putRecord('Grant', tokenPayload.grantId, {}, 600);
  for (const kind of ['RefreshToken', 'AuthorizationCode'] as const) {
    const use = useOf(`${kind}-of-alice`, kind);
    await client.putRecord(kind, use.id, tokenPayload, 600);
    await client.beginTokenUse(use);
    const answer = { body: new Secret('{}'), requestDigest: use.requestDigest, successor: null };
    await client.endTokenUse({ ...use, answer });
  }
  await client.putRecord('Grant', 'grant-that-ends', { accountId: 'alice' }, 600);
  await client.deleteRecord('Grant', 'grant-that-ends');
  const alice = await installation.signIn('alice');
  const bob = await installation.signIn('bob', Date.now() + 1);
  assert.is(await installation.tokenOf(bob), 'pending');
  for (let wait = 0; refreshes.length === 0 && wait < 100; wait++) await sleep(20);
  assert.is(refreshes.length, 1);
  const before = await installation.tokenOf(alice);
  tap.unsubscribe();
  const operations = new Set(captured.map(({ subject }) => subject.replace(/\.\d+\./, '.').split('.')[2]));
  for (const operation of [
    'put-record',
    'begin-token-use',
    'end-token-use',
    'delete-record',
    'complete-leg',
    'open-session',
  ])
    assert.ok(operations.has(operation), operation);

  const second = installation.start({ data: 'other' });
  await second.ready;
  first.signal('SIGTERM');
  await first.ended;
  // A few at a time: of a flood a worker drops unread what waited too long for its turn.
  for (let turn = 0; turn < 3 || (!second.said().includes('replayed') && turn < 20); turn++)
    for (const [index, { subject, data }] of captured.entries()) {
      attacker.publish(subject, data, { reply: `_INBOX.attacker.${turn}` });
      if (index % 5 === 4) await sleep(10);
    }
  await attacker.flush();
  await sleep(500);
  // They were taken: what holds below is not for want of trying.
  assert.match(second.said(), 'replayed');

  for (const kind of ['RefreshToken', 'AuthorizationCode'] as const) {
    const record = await client.findRecord(kind, 'id', `${kind}-of-alice`);
    assert.is(typeof record?.consumed, 'number', `${kind} stays used up`);
    const other = { ...useOf(`${kind}-of-alice`, kind), requestDigest: 'x'.repeat(43) };
    assert.is((await client.beginTokenUse(other)).status, 'used');
  }
  assert.is(await client.findRecord('Grant', 'id', 'grant-that-ends'), null);
  assert.is(await installation.tokenOf(alice), before);
  assert.is(refreshes.length, 1, 'no refresh token is sent again');
  await attacker.close();
});

test.run();
