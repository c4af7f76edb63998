import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFlightId } from '../../../schemas/ids.ts';
import { Secret } from '../../../schemas/secret.ts';
import { tokenPayload, useOf } from '../../world/token-use.ts';
import { type AuthWorld, lasting, openAuthWorld, refusalOf } from './auth-world.ts';

const test = suite('token uses');

const first = () => useOf('refresh-1', 'RefreshToken');
const second = () => useOf('refresh-2', 'RefreshToken');
const answerOf = (requestDigest: string) => ({
  body: new Secret('{"refresh_token":"refresh-2"}'),
  requestDigest,
  successor: new Secret('refresh-2'),
});

async function openWorld(): Promise<AuthWorld> {
  const w = await openAuthWorld();
  await w.records.put('Grant', tokenPayload.grantId, {}, lasting(3600));
  for (const id of ['refresh-1', 'refresh-2'])
    await w.records.put('RefreshToken', id, tokenPayload, lasting(600));
  return w;
}

/** Used, and answered with `refresh-2`. */
async function useFirst(w: AuthWorld) {
  const use = first();
  assert.is((await w.tokenUses.begin(use)).status, 'begun');
  await w.tokenUses.end({ ...use, answer: answerOf(use.requestDigest) });
  return use;
}

test('of twenty flights of one token one begins, and the others wait for it', async () => {
  await using w = await openWorld();
  const all = await Promise.all(Array.from({ length: 20 }, () => w.tokenUses.begin(first())));
  assert.is(all.filter(({ status }) => status === 'begun').length, 1);
  assert.is(all.filter(({ status }) => status === 'under-way').length, 19);
});

test('until what it gave is presented, the same request gets the same answer again', async () => {
  await using w = await openWorld();
  await useFirst(w);
  w.clock.aheadMs = 599_000;
  const again = await w.tokenUses.begin(first());
  assert.is(again.status === 'answered' && again.answer.reveal(), '{"refresh_token":"refresh-2"}');
  assert.is(again.status === 'answered' && again.ageSeconds, 599);
  assert.is((await w.records.findById('RefreshToken', 'refresh-1'))?.consumed !== undefined, true);
});

test('ten minutes later it is reuse', async () => {
  await using w = await openWorld();
  await useFirst(w);
  w.clock.aheadMs = 600_001;
  const { grantId, accountId: sub } = tokenPayload;
  assert.equal(await w.tokenUses.begin(first()), { status: 'used', grantId, sub });
});

test('as soon as what it gave was presented it is reuse, whatever became of that', async () => {
  await using w = await openWorld();
  await useFirst(w);
  assert.is((await w.tokenUses.begin(second())).status, 'begun');
  assert.is((await w.tokenUses.begin(first())).status, 'used');
});

test('another request than the one that was answered is reuse, and another client finds nothing', async () => {
  await using w = await openWorld();
  await useFirst(w);
  assert.is((await w.tokenUses.begin({ ...first(), requestDigest: 'e'.repeat(43) })).status, 'used');
  assert.is((await w.tokenUses.begin({ ...first(), clientId: 'client-2' })).status, 'unknown');
});

test('a used token is known as such as long as its Grant, and nothing of it after the Grant', async () => {
  await using w = await openWorld();
  await useFirst(w);
  w.clock.aheadMs = 3_599_000;
  assert.is((await w.tokenUses.begin(first())).status, 'used');
  await w.records.delete('Grant', tokenPayload.grantId);
  assert.is((await w.tokenUses.begin(first())).status, 'unknown');
});

test('a token that a version without flights has used up is used', async () => {
  await using w = await openWorld();
  const consumed = Math.floor(Date.now() / 1000);
  await w.records.put('RefreshToken', 'refresh-0', { ...tokenPayload, consumed }, lasting(600));
  assert.is((await w.tokenUses.begin(useOf('refresh-0', 'RefreshToken'))).status, 'used');
});

test('a flight that failed leaves the token as it was', async () => {
  await using w = await openWorld();
  const failed = first();
  await w.tokenUses.begin(failed);
  await w.tokenUses.end({ ...failed, answer: null });
  assert.is((await w.records.findById('RefreshToken', 'refresh-1'))?.consumed, undefined);
  assert.is((await w.tokenUses.begin(first())).status, 'begun');
});

test('a dead claim is taken over, and what its flight brings after that counts for nothing', async () => {
  await using w = await openWorld();
  const dead = first();
  await w.tokenUses.begin(dead);
  w.clock.aheadMs = 9_000;
  assert.is((await w.tokenUses.begin(first())).status, 'under-way');
  w.clock.aheadMs = 10_001;
  const heir = first();
  assert.is((await w.tokenUses.begin(heir)).status, 'begun');
  const late = { ...dead, answer: answerOf(dead.requestDigest) };
  assert.is(await refusalOf(w.tokenUses.end(late)), 'conflict');
  await w.tokenUses.end({ ...dead, answer: null });
  await w.tokenUses.end({ ...heir, answer: answerOf(heir.requestDigest) });
  assert.is((await w.tokenUses.begin(first())).status, 'answered');
  assert.is(await refusalOf(w.tokenUses.end(late)), 'conflict');
});

test('each step may be repeated, also many times at once', async () => {
  await using w = await openWorld();
  const use = first();
  const begun = await Promise.all(Array.from({ length: 4 }, () => w.tokenUses.begin(use)));
  assert.ok(begun.every(({ status }) => status === 'begun'));
  const end = { ...use, answer: answerOf(use.requestDigest) };
  await Promise.all(Array.from({ length: 4 }, () => w.tokenUses.end(end)));
  await w.tokenUses.end({ ...use, answer: null });
  assert.is((await w.tokenUses.begin(first())).status, 'answered');
});

test('what ended in the middle of a flight is not answered for', async () => {
  await using w = await openWorld();
  const use = first();
  await w.tokenUses.begin(use);
  await w.records.delete('Grant', tokenPayload.grantId);
  assert.is(await refusalOf(w.tokenUses.end({ ...use, answer: answerOf(use.requestDigest) })), 'conflict');
});

test('no answer and no token lies in the bucket in clear, and a token that never was is unknown', async () => {
  await using w = await openWorld();
  await useFirst(w);
  const contents = await w.contents();
  assert.ok(contents.includes('$KV.AUTH.token-answer.'));
  for (const clear of ['refresh-1', 'refresh-2', 'refresh_token'])
    assert.not(contents.includes(clear), clear);
  const stranger = { ...useOf('never-issued'), flightId: createFlightId() };
  assert.is((await w.tokenUses.begin(stranger)).status, 'unknown');
});

test.run();
