/** The key ring changes while the vault works: values are sealed anew, and a ring that lacks a key loses nothing. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createCommandId } from '../../../schemas/ids.ts';
import type { VaultError } from '../../../vault/errors.ts';
import { type KeyRingFile, withNewKey } from '../../../vault/sealing/key-ring.ts';
import type { KeyUse } from '../../../vault/sealing/key-rotation.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { openTestVault, type SignedIn, signIn, type TestVault } from '../../world/vault.ts';

const test = suite('key rotation');

const lookUp = async ({ vault }: TestVault, { partition, accessToken }: SignedIn) =>
  vault.findUpstreamTokens(partition, { accessToken, providers: ['gitlab'], minValidSeconds: 30 });

async function usesOf({ vault }: TestVault): Promise<KeyUse[]> {
  const { partitions } = vault.description;
  return (
    await Promise.all(Array.from({ length: partitions }, (_, share) => vault.operator.use(share)))
  ).flat();
}

async function rewrapAll({ vault }: TestVault): Promise<number> {
  const { partitions } = vault.description;
  const shares = Array.from({ length: partitions }, (_, share) => vault.operator.rewrap(share));
  return (await Promise.all(shares)).reduce((sum, count) => sum + count, 0);
}

test('everything that lasts is sealed anew, once; the old key can then be missing', async () => {
  await using nats = await openNatsServer();
  let file: KeyRingFile | undefined;
  await using first = await openTestVault({ url: nats.url, keyRingNow: () => file! });
  const { vault, providers, keyRing } = first;
  const people: SignedIn[] = [];
  for (const name of ['ada', 'bob', 'cyd']) {
    providers.subject = name;
    people.push(await signIn(first, `interaction-of-${name}`));
  }
  // A client stays; an interaction expires.
  await vault.records.put('Client', 'client-1', { client_id: 'client-1' }, { commandId: createCommandId() });
  await vault.records.put(
    'Interaction',
    'interaction-1',
    { step: 1 },
    {
      commandId: createCommandId(),
      expiresInSeconds: 600,
    },
  );
  const old = keyRing.current;
  assert.ok((await usesOf(first)).every(({ keyId }) => keyId === old));

  const prepared = withNewKey(keyRing);
  const { id } = prepared.keys.at(-1)!;
  file = prepared;
  assert.is((await vault.operator.loadKeyRing(null)).current, old, 'a key that is prepared does not seal');
  assert.is((await vault.operator.loadKeyRing(id)).current, id);
  file = { ...prepared, current: id };
  await vault.operator.loadKeyRing(null);

  assert.is(await rewrapAll(first), 3 + 1 + 1, 'three people, the signing keys, the client');
  assert.is(await rewrapAll(first), 0);
  const left = (await usesOf(first)).filter(({ keyId }) => keyId === old);
  assert.ok(left.length > 0);
  for (const { what, until } of left) {
    assert.is(what, 'authorization-records');
    assert.ok(until !== null && until < Date.now() + 601_000, 'they expire by themselves');
  }
  assert.equal(await vault.records.findById('Client', 'client-1'), {
    client_id: 'client-1',
    jti: 'client-1',
  });

  // Without the old key, and without anything that was in memory.
  file = { ...file, keys: file.keys.filter((key) => key.id !== old) };
  const options = { url: nats.url, keyRing: file, providers };
  await using second = await openTestVault(options);
  for (const person of people) assert.is((await lookUp(second, person)).answers.gitlab?.status, 'ok');
  assert.equal(await second.vault.records.findById('Client', 'client-1'), {
    client_id: 'client-1',
    jti: 'client-1',
  });
});

test('a worker whose ring lacks a key says so, loses nothing, and goes on when it has it', async () => {
  await using nats = await openNatsServer();
  const first = await openTestVault({ url: nats.url });
  const { keyRing, providers } = first;
  await first[Symbol.asyncDispose]();
  const prepared = withNewKey(keyRing);
  const { id } = prepared.keys.at(-1)!;
  // The one that is ahead seals with a key of which the other knows nothing.
  await using ahead = await openTestVault({
    ...{ url: nats.url, keyRing: { ...prepared, current: id }, providers },
  });
  const person = await signIn(ahead, 'interaction-of-somebody');
  let file: KeyRingFile = keyRing;
  await using behind = await openTestVault({
    ...{ url: nats.url, keyRing, providers },
    keyRingNow: () => file,
  });
  const until = performance.now() + 5000;
  while (performance.now() < until) {
    const answer = await lookUp(behind, person).catch((error: VaultError) => error);
    if (answer instanceof Error && 'code' in answer && answer.code === 'key-unknown') {
      assert.match(answer.message, id);
      assert.is(answer.retryable, true);
      break;
    }
  }
  assert.ok(behind.problems.some((problem) => (problem as VaultError).code === 'key-unknown'));

  file = prepared;
  await behind.vault.operator.loadKeyRing(null);
  assert.is((await lookUp(behind, person)).answers.gitlab?.status, 'ok');
});

test('a ring of another instance is not taken over', async () => {
  await using nats = await openNatsServer();
  let file: KeyRingFile | undefined;
  await using opened = await openTestVault({ url: nats.url, keyRingNow: () => file! });
  const person = await signIn(opened, 'interaction-of-somebody');
  file = { ...opened.keyRing, indexKey: 'A'.repeat(43) };
  const error = await opened.vault.operator.loadKeyRing(null).then(
    () => null,
    (refused: VaultError) => refused,
  );
  assert.is(error?.code, 'key-ring-invalid');
  assert.is((await lookUp(opened, person)).answers.gitlab?.status, 'ok');
});

test.run();
