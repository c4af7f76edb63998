import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFlightId } from '../../../schemas/ids.ts';
import { createAuthRecords } from '../../../vault/authorization/auth-records.ts';
import { lasting, openAuthWorld as openWorld, refusalOf } from './auth-world.ts';

const test = suite('auth records');

test('a record comes back with its id, and neither the id nor the record stands in the bucket', async () => {
  await using w = await openWorld();
  const payload = { jti: 'bearer-value-of-a-code', uid: 'uid-in-the-clear-1', accountId: 'clear-account' };
  await w.records.put('AuthorizationCode', 'bearer-value-of-a-code', payload, lasting(60));
  assert.equal(await w.records.findById('AuthorizationCode', 'bearer-value-of-a-code'), payload);
  assert.equal(await w.records.findByUid('AuthorizationCode', 'uid-in-the-clear-1'), payload);
  const contents = await w.contents();
  assert.ok(contents.includes('$KV.AUTH.AuthorizationCode.'));
  for (const clear of ['bearer-value', 'uid-in-the-clear', 'clear-account', 'accountId'])
    assert.not(contents.includes(clear), `${clear} lies in the bucket`);
});

test('kinds do not see each other’s records', async () => {
  await using w = await openWorld();
  await w.records.put('Grant', 'the-same-id', { a: 1 }, lasting());
  assert.is(await w.records.findById('RefreshToken', 'the-same-id'), null);
  assert.is(await w.records.findById('Grant', 'the-other-id'), null);
});

test('put again it is replaced, and deleted it is gone for good; deleting twice is no error', async () => {
  await using w = await openWorld();
  await w.records.put('Session', 'id', { n: 1 }, lasting(60));
  await w.records.put('Session', 'id', { n: 2 }, lasting(60));
  assert.equal(await w.records.findById('Session', 'id'), { n: 2, jti: 'id' });
  await w.records.delete('Session', 'id');
  await w.records.delete('Session', 'id');
  assert.is(await w.records.findById('Session', 'id'), null);
  assert.is(await w.records.findUse('Session', 'id'), null);
  assert.is(await refusalOf(w.records.put('Session', 'id', { n: 3 }, lasting(60))), 'conflict');
  assert.is(await w.records.findById('Session', 'id'), null);
});

test('an order that comes again changes nothing: neither what was written after it, nor what was used up', async () => {
  await using w = await openWorld();
  const first = lasting(60);
  const put = (n: number, order: typeof first) => w.records.put('RefreshToken', 'id', { n }, order);
  await put(1, first);
  await put(2, lasting(60));
  await put(1, first);
  assert.is((await w.records.findById('RefreshToken', 'id'))?.n, 2);
  const use = { status: 'answered', flightId: createFlightId(), at: 5000 } as const;
  await w.records.writeUse('RefreshToken', 'id', (await w.records.findUse('RefreshToken', 'id'))!, use, null);
  await put(1, first);
  assert.is((await w.records.findById('RefreshToken', 'id'))?.consumed, 5);
  // Whatever is written later: what is used up stays used up.
  await put(3, lasting(60));
  assert.equal((await w.records.findUse('RefreshToken', 'id'))?.use, use);
});

test('an order that comes twenty times at once is carried out once', async () => {
  await using w = await openWorld();
  const order = lasting(60);
  await Promise.all(Array.from({ length: 20 }, () => w.records.put('Interaction', 'id', { n: 1 }, order)));
  assert.is(await w.count(), 1);
  assert.is((await w.records.findById('Interaction', 'id'))?.n, 1);
});

test('a record is not found after its end, whether NATS has removed it or not', async () => {
  await using w = await openWorld();
  await w.records.put('AuthorizationCode', 'id', {}, lasting(60));
  w.clock.aheadMs = 59_000;
  assert.ok(await w.records.findById('AuthorizationCode', 'id'));
  w.clock.aheadMs = 60_000;
  assert.is(await w.records.findById('AuthorizationCode', 'id'), null);
  assert.is(await w.records.findUse('AuthorizationCode', 'id'), null);
  assert.is(await w.count(), 1);
});

test('NATS removes an expired record by itself, and keeps one without an end', async () => {
  await using w = await openWorld();
  await w.records.put('AuthorizationCode', 'short', {}, lasting(1));
  await w.records.put('Client', 'for-ever', {}, lasting());
  assert.is(await w.count(), 2);
  for (let attempt = 0; (await w.count()) > 1; attempt++) {
    assert.ok(attempt < 50, 'it is still there');
    await sleep(100);
  }
  assert.ok(await w.records.findById('Client', 'for-ever'));
});

test('under an expected revision a record is written once', async () => {
  await using w = await openWorld();
  await w.store.put('chain', 'id', { n: 1 }, null, 0);
  assert.is(await refusalOf(w.store.put('chain', 'id', { n: 2 }, null, 0)), 'conflict');
  const { revision } = (await w.store.find('chain', 'id'))!;
  await w.store.put('chain', 'id', { n: 2 }, null, revision);
  assert.is(await refusalOf(w.store.put('chain', 'id', { n: 3 }, null, revision)), 'conflict');
  assert.equal((await w.store.find('chain', 'id'))!.value, { n: 2 });
});

test('a value that was put under another key does not open there', async () => {
  await using w = await openWorld();
  await w.records.put('Grant', 'mine', { accountId: 'me' }, lasting());
  await w.records.put('Grant', 'theirs', { accountId: 'them' }, lasting());
  const manager = await w.connection.jetstreamManager();
  const [mine, theirs] = await Promise.all(
    [1, 2].map((seq) => manager.streams.getMessage('KV_AUTH', { seq })),
  );
  await w.connection.jetstream().publish(mine!.subject, theirs!.data);
  const error = await w.records.findById('Grant', 'mine').catch((caught) => caught);
  assert.is(error.code, 'sealed-value-invalid');
});

test('a bucket that does not answer is unavailable, not empty', async () => {
  await using w = await openWorld();
  const manager = await w.connection.jetstreamManager();
  await manager.streams.delete('KV_AUTH');
  assert.is(await refusalOf(w.records.findById('Grant', 'id')), 'unavailable');
  assert.is(await refusalOf(w.records.put('Grant', 'id', {}, lasting())), 'unavailable');
  assert.is(await refusalOf(w.records.delete('Grant', 'id')), 'unavailable');
});

test('so many clients are kept and no more; one that is there can be written again', async () => {
  await using w = await openWorld();
  const records = createAuthRecords({
    store: w.store,
    now: () => Date.now() + w.clock.aheadMs,
    maxClients: 2,
  });
  await records.put('Client', 'one', {}, lasting());
  await records.put('Client', 'two', {}, lasting());
  await records.put('Grant', 'grant', {}, lasting(60));
  assert.is(await refusalOf(records.put('Client', 'three', {}, lasting())), 'unavailable');
  await records.put('Client', 'two', { client_name: 'again' }, lasting());
  // Another worker counts what this one has written.
  const other = createAuthRecords({ store: w.store, now: Date.now, maxClients: 2 });
  assert.is(await refusalOf(other.put('Client', 'four', {}, lasting())), 'unavailable');
  await records.delete('Client', 'one');
  await sleep(50);
  assert.is(await w.store.count('Interaction'), 0);
  assert.is(await w.store.count('Grant'), 1);
});

test.run();
