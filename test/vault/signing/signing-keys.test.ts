import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openNatsServer } from '../../world/nats-server.ts';
import { untilShared } from '../../world/shared-partitions.ts';
import { openTestVault, signedToken, signIn, type TestVault } from '../../world/vault.ts';
import { eventually, refusalOf } from '../linking/link-world.ts';

const test = suite('signing keys');

const minute = 60_000;
const kidsOf = ({ vault }: TestVault) => vault.description.signingKeys.map(({ kid }) => kid);

/** Two workers of one instance. */
async function openWorld() {
  const nats = await openNatsServer();
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const options = { url: nats.url, chain: ['corporate'], now, signingKeyMs: 90 * 24 * 60 * minute };
  const one = await openTestVault(options);
  const other = await openTestVault({ ...options, keyRing: one.keyRing });
  await untilShared([one.ownership, other.ownership]);
  return {
    ...{ clock, one, other },
    async [Symbol.asyncDispose]() {
      await other[Symbol.asyncDispose]();
      await one[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

test('both workers have the same keys: one that signs and the next; a fresh next key waits ten minutes', async () => {
  await using w = await openWorld();
  assert.is(kidsOf(w.one).length, 2);
  assert.equal(kidsOf(w.other), kidsOf(w.one));
  assert.is(await refusalOf(() => w.one.vault.operator.rotateSigningKey(false)), 'conflict');
  w.clock.aheadMs = 11 * minute;
  const [current, next] = kidsOf(w.one);
  const rotated = await w.one.vault.operator.rotateSigningKey(false);
  assert.equal([rotated.previous, rotated.current], [current, next]);
  assert.equal(kidsOf(w.one), [rotated.current, rotated.next, rotated.previous]);
  await eventually(() => kidsOf(w.other).join() === kidsOf(w.one).join());
});

test('tokens of the key before and of the new one are good at every worker, and both still sign', async () => {
  await using w = await openWorld();
  // The partition belongs to one of the two.
  const alice = await signIn(w.one, 'interaction-of-alice', 'alice').catch(() =>
    signIn(w.other, 'interaction-of-alice-there', 'alice'),
  );
  const owner = w.one.ownership.serving().includes(alice.partition) ? w.one : w.other;
  const before = kidsOf(w.one)[0]!;
  await w.one.vault.operator.rotateSigningKey(true);
  await eventually(() => kidsOf(w.other).join() === kidsOf(w.one).join());
  const { partition, principal, sessionId } = alice;
  const after = signedToken(owner.vault, partition, principal.sub, sessionId);
  const find = (accessToken: typeof after) =>
    owner.vault.findUpstreamTokens(partition, { accessToken, providers: [], minValidSeconds: 0 });
  assert.not.match(headerOf(after.reveal()), before);
  assert.equal(await find(alice.accessToken), { answers: {} });
  assert.equal(await find(after), { answers: {} });
});

test('a key that is old enough is rotated by itself, once, whoever tries', async () => {
  await using w = await openWorld();
  const [, next] = kidsOf(w.one);
  await Promise.all([w.one.vault.rotateSigningKeys(), w.other.vault.rotateSigningKeys()]);
  assert.is.not(kidsOf(w.one)[0], next, 'it is young');
  w.clock.aheadMs = 90 * 24 * 60 * minute + minute;
  for (const { vault } of [w.one, w.other, w.one, w.other]) await vault.rotateSigningKeys();
  await eventually(() => kidsOf(w.one)[0] === next && kidsOf(w.other).join() === kidsOf(w.one).join());
  assert.is(kidsOf(w.one).length, 3);
});

test('a restart finds the keys as they were', async () => {
  await using w = await openWorld();
  await w.other.vault.operator.rotateSigningKey(true);
  const kids = kidsOf(w.other);
  await using again = await w.other.reopen();
  assert.equal(kidsOf(again), kids);
});

function headerOf(token: string): string {
  return Buffer.from(token.split('.')[0]!, 'base64url').toString();
}

test.run();
