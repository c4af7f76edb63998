import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createIssuerKeys, IssuerUnavailableError } from '../../../schemas/external-issuer/issuer-keys.ts';
import type { IssuerPublicKey } from '../../../schemas/messages/issuer-keys.ts';

const test = suite('issuer keys');

const keyNamed = (kid: string): IssuerPublicKey => ({ kty: 'EC', crv: 'P-256', kid, x: 'x', y: 'y' });
const kidsOf = ({ keys }: { keys: readonly IssuerPublicKey[] }) => keys.map(({ kid }) => kid);

function openKeys(times: Partial<Parameters<typeof createIssuerKeys>[0]['times']> = {}) {
  const clock = { ms: 0 };
  const asked: boolean[] = [];
  const problems: unknown[] = [];
  const issuer = { kids: ['a'], away: false, hold: Promise.resolve() };
  const keys = createIssuerKeys({
    async fetchKeys(onDemand) {
      asked.push(onDemand);
      const kids = [...issuer.kids];
      await issuer.hold;
      if (issuer.away) throw new Error('away');
      return kids.map(keyNamed);
    },
    elapsed: () => clock.ms,
    onProblem: (error) => problems.push(error),
    times: { renewMs: 60_000, retryMs: 60_000, minIntervalMs: 30, keepMs: 1000, ...times },
  });
  return { keys, clock, asked, problems, issuer, [Symbol.dispose]: () => keys[Symbol.dispose]() };
}

const isUnavailable = (keys: Promise<unknown>) =>
  keys.then(
    () => false,
    (error) => error instanceof IssuerUnavailableError,
  );

test('they are fetched by themselves, once, and are the same object as long as they are the same', async () => {
  using world = openKeys();
  const [one, two] = await Promise.all([world.keys.known(), world.keys.known()]);
  assert.equal(kidsOf(one), ['a']);
  assert.is(one, two);
  world.clock.ms = 100;
  assert.is(await world.keys.renewed(), one);
  assert.is(world.keys.current(), one);
  assert.equal(world.asked, [false, true]);
});

test('they are renewed by themselves: one that was added comes, one that was removed goes', async () => {
  using world = openKeys({ renewMs: 5 });
  await world.keys.known();
  world.issuer.kids = ['b'];
  while (!kidsOf(world.keys.current()!).includes('b')) await sleep(1);
  assert.equal(kidsOf(await world.keys.known()), ['b']);
});

test('what was asked before is not taken for what is there now', async () => {
  using world = openKeys({ minIntervalMs: 0 });
  const held = Promise.withResolvers<void>();
  world.issuer.hold = held.promise;
  const first = world.keys.known();
  world.issuer.kids = ['a', 'b'];
  const renewed = world.keys.renewed();
  held.resolve();
  assert.equal(kidsOf(await first), ['a']);
  assert.equal(kidsOf(await renewed), ['a', 'b']);
});

test('a thousand unknown keys at once are one question, and only after a while', async () => {
  using world = openKeys({ minIntervalMs: 40 });
  await world.keys.known();
  const begun = performance.now();
  await Promise.all(Array.from({ length: 1000 }, () => world.keys.renewed()));
  assert.ok(performance.now() - begun > 30, 'it waited');
  assert.is(world.asked.length, 2);
});

test('an issuer that is away takes nothing away, until its keys are too old', async () => {
  using world = openKeys({ keepMs: 1000 });
  const known = await world.keys.known();
  world.issuer.away = true;
  world.clock.ms = 999;
  assert.ok(await isUnavailable(world.keys.renewed()));
  assert.is(await world.keys.known(), known);
  world.clock.ms = 1000;
  assert.is(world.keys.current(), null);
  assert.ok(await isUnavailable(world.keys.known()));
  world.issuer.away = false;
  world.clock.ms = 2000;
  assert.equal(kidsOf(await world.keys.known()), ['a']);
});

test('without any keys the answer is no at once, and the issuer is asked again after a while', async () => {
  using world = openKeys({ minIntervalMs: 30 });
  world.issuer.away = true;
  assert.ok(await isUnavailable(world.keys.known()));
  for (let time = 0; time < 10; time++) assert.ok(await isUnavailable(world.keys.known()));
  assert.is(world.asked.length, 1);
  world.issuer.away = false;
  world.clock.ms = 30;
  assert.equal(kidsOf(await world.keys.known()), ['a']);
});

test.run();
