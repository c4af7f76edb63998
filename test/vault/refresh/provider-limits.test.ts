import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  createProviderLimits,
  type ProviderLimits,
  type Urgency,
} from '../../../vault/refresh/provider-limits.ts';

const test = suite('provider-limits');

/** Enters, and keeps in which order the places were given. */
function queueAt(limits: ProviderLimits) {
  const entered: string[] = [];
  const leave = new Map<string, () => void>();
  const enter = (provider: string, grantId: string, urgency: Urgency) =>
    limits.enter(provider, grantId, urgency).then(
      (left) => {
        entered.push(grantId);
        leave.set(grantId, left);
      },
      // Those who still wait at the end of a test are told that it is over.
      () => undefined,
    );
  return { entered, leave, enter };
}

const settle = () => sleep(5);

test('never more at once than the provider may get, and who waits for the token goes first', async () => {
  const clock = { at: 0 };
  using limits = createProviderLimits({ concurrency: 2, perSecond: 100, now: () => clock.at });
  const { entered, leave, enter } = queueAt(limits);
  for (const name of ['b1', 'b2', 'b3']) void enter('gitlab', name, 'background');
  await settle();
  assert.equal(entered, ['b1'], 'the background leaves half of the places');
  for (const name of ['d1', 'd2']) void enter('gitlab', name, 'on-demand');
  await settle();
  assert.equal(entered, ['b1', 'd1']);
  leave.get('b1')!();
  await settle();
  assert.equal(entered, ['b1', 'd1', 'd2']);
  leave.get('d1')!();
  leave.get('d1')!();
  await settle();
  assert.equal(entered, ['b1', 'd1', 'd2', 'b2'], 'a place is given back once');
});

test('one provider takes nothing from another', async () => {
  using limits = createProviderLimits({ concurrency: 1, perSecond: 1, now: () => 0 });
  const { entered, enter } = queueAt(limits);
  for (const name of ['a1', 'a2', 'a3']) void enter('hanging', name, 'on-demand');
  void enter('gitlab', 'g1', 'on-demand');
  await settle();
  assert.equal(entered, ['a1', 'g1']);
});

test('a grant that somebody begins to wait for is moved to the front', async () => {
  using limits = createProviderLimits({ concurrency: 2, perSecond: 100, now: () => 0 });
  const { entered, enter } = queueAt(limits);
  for (const name of ['b1', 'b2', 'b3']) void enter('gitlab', name, 'background');
  limits.hurry('b3');
  limits.hurry('unknown');
  await settle();
  assert.equal(entered, ['b1', 'b3']);
});

test('no more in a second than the rate, of which the background leaves half', async () => {
  const clock = { at: 0 };
  using limits = createProviderLimits({ concurrency: 1000, perSecond: 10, now: () => clock.at });
  const { entered, enter } = queueAt(limits);
  for (let index = 0; index < 30; index++) void enter('gitlab', `b${index}`, 'background');
  await settle();
  assert.is(entered.length, 5);
  for (let index = 0; index < 30; index++) void enter('gitlab', `d${index}`, 'on-demand');
  await settle();
  assert.is(entered.length, 10);
  assert.ok(entered.slice(5).every((name) => name.startsWith('d')));
  clock.at = 500;
  void enter('gitlab', 'one more', 'on-demand');
  await settle();
  assert.is(entered.length, 15);
});

test('the rate goes on by itself', async () => {
  using limits = createProviderLimits({ concurrency: 1000, perSecond: 50, now: Date.now });
  const { entered, enter } = queueAt(limits);
  await Promise.all(Array.from({ length: 60 }, (_, index) => enter('gitlab', `d${index}`, 'on-demand')));
  assert.is(entered.length, 60);
});

test('a provider that said when to come back is left alone in the background, and reached on demand', async () => {
  const clock = { at: 1000 };
  using limits = createProviderLimits({ concurrency: 10, perSecond: 10, now: () => clock.at });
  const { entered, enter } = queueAt(limits);
  limits.pause('gitlab', 61_000);
  void enter('gitlab', 'b1', 'background');
  void enter('gitlab', 'd1', 'on-demand');
  await settle();
  assert.equal(entered, ['d1']);
  clock.at = 61_000;
  void enter('gitlab', 'd2', 'on-demand');
  await settle();
  assert.equal(entered.toSorted(), ['b1', 'd1', 'd2']);
});

test('who waits when the worker stops is told so', async () => {
  const limits = createProviderLimits({ concurrency: 1, perSecond: 1, now: () => 0 });
  await limits.enter('gitlab', 'd1', 'on-demand');
  const waiting = limits.enter('gitlab', 'd2', 'on-demand').then(
    () => 'entered',
    (error) => error.code,
  );
  limits[Symbol.dispose]();
  assert.is(await waiting, 'unavailable');
});

test.run();
