/** A person is forgotten: at every worker at once, and in copies of the data for whom the old KEYS is gone. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RefusedError } from '../../../schemas/failure.ts';
import { streamNames } from '../../../schemas/subjects.ts';
import type { Forgotten } from '../../../vault/operator/forget-user.ts';
import { startNatsServer } from '../../../workers/nats-server/nats-server-process.ts';
import { findTestNatsServer, openNatsServer } from '../../world/nats-server.ts';
import { untilShared } from '../../world/shared-partitions.ts';
import { openTestVault, type SignedIn, signIn, type TestVault } from '../../world/vault.ts';

const test = suite('forget user');

async function lookUp({ vault }: TestVault, { partition, accessToken }: SignedIn): Promise<string> {
  const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
  try {
    const { answers } = await vault.findUpstreamTokens(partition, request);
    return answers.gitlab!.status;
  } catch (error) {
    return (error as RefusedError).code;
  }
}

async function forgottenAt({ vault }: TestVault, person: SignedIn): Promise<boolean> {
  for (let wait = 0; wait < 100; wait++) {
    if ((await vault.operator.hasForgotten(person.principal)).forgotten) return true;
    await sleep(10);
  }
  return false;
}

/** Two vaults share the partitions: one owns the person's, both read it. */
async function openTwo(url: string) {
  const first = await openTestVault({ url });
  const { keyRing, providers } = first;
  providers.subject = 'the subject of ada';
  const ada = await signIn(first, 'interaction-of-ada');
  providers.subject = 'the subject of bob';
  const bob = await signIn(first, 'interaction-of-bob');
  const second = await openTestVault({ url, keyRing, providers });
  await untilShared([first.ownership, second.ownership]);
  return {
    ...{ first, second, ada, bob },
    /** By whom of the two owns the partition, as soon as one does. */
    async forget(person: SignedIn) {
      let done: Forgotten | undefined;
      await waitFor(async () => {
        const owner = [first, second].find((vault) => vault.ownership.serving().includes(person.partition));
        done = await owner?.vault.operator.forgetUser(person.partition, person.principal);
        return done !== undefined;
      });
      return done;
    },
    async [Symbol.asyncDispose]() {
      await second[Symbol.asyncDispose]();
      await first[Symbol.asyncDispose]();
    },
  };
}

test('the person is gone at every worker at once, others are not, and a new sign-in begins anew', async () => {
  await using nats = await openNatsServer();
  await using two = await openTwo(nats.url);
  const { first, second, ada, bob } = two;
  for (const vault of [first, second]) assert.is(await lookUp(vault, ada), 'ok');
  const manager = await first.connection.jetstreamManager();
  const before = await manager.streams.info(streamNames.vault, { subjects_filter: 'latchkey.log.>' });

  assert.is(first.vault.operator.findUser('corporate', 'the subject of ada').userId, ada.principal.sub);
  assert.equal(await two.forget(ada), { sessions: 1, grants: 2, dataKey: true });
  for (const vault of [first, second]) {
    assert.ok(await forgottenAt(vault, ada));
    assert.is(await lookUp(vault, ada), 'session-ended');
    assert.is(await lookUp(vault, bob), 'ok');
  }

  // Everything that bore tokens was replaced by a tombstone; the fact names nobody.
  const after = await manager.streams.info(streamNames.vault, { subjects_filter: 'latchkey.log.>' });
  assert.is(Object.keys(after.state.subjects!).length, Object.keys(before.state.subjects!).length + 1);
  const fact = await manager.streams.getMessage(streamNames.vault, {
    last_by_subj: `latchkey.fact.${ada.partition}.user-forgotten.none`,
  });
  const told = fact.json<{ principal: string; reason: string }>();
  assert.is(told.principal, first.vault.operator.findPrincipalKey(ada.principal).principalKey);
  assert.not.match(fact.string(), /usr_|the subject|example/);
  const mark = await manager.streams.getMessage(streamNames.keys, {
    last_by_subj: `latchkey.key.${told.principal}`,
  });
  assert.is(mark.data.length, 0);

  // Asked again it finds nothing, and says so.
  assert.equal(await two.forget(ada), { sessions: 0, grants: 0, dataKey: false });

  first.providers.subject = 'the subject of ada';
  const owner = (await lookUpOwner(two, ada)) ?? first;
  const again = await signIn(owner, 'interaction-of-ada-again');
  assert.is(again.principal.sub, ada.principal.sub);
  assert.is(await lookUp(owner, again), 'ok');
  assert.is(await lookUp(owner, ada), 'session-ended');
  // A restart reads the same out of the log.
  await using reopened = await openTestVault({
    url: nats.url,
    keyRing: first.keyRing,
    providers: first.providers,
  });
  await waitFor(async () => (await lookUp(reopened, again)) === 'ok');
  assert.is(await lookUp(reopened, ada), 'session-ended');
});

async function lookUpOwner({ first, second }: { first: TestVault; second: TestVault }, person: SignedIn) {
  for (const vault of [first, second]) if (vault.ownership.serving().includes(person.partition)) return vault;
  return null;
}

test('the wrapped key is overwritten in the store, and lies in no copy of the projection', async () => {
  await using nats = await openNatsServer();
  await using opened = await openTestVault({ url: nats.url });
  const ada = await signIn(opened, 'interaction-of-ada');
  const manager = await opened.connection.jetstreamManager();
  const { state } = await manager.streams.info(streamNames.keys, { subjects_filter: '>' });
  const subject = Object.keys(state.subjects!).find((name) => name.startsWith('latchkey.key.pri_'));
  const { data } = await manager.streams.getMessage(streamNames.keys, { last_by_subj: subject! });
  const wrapped = Buffer.from(data);
  const holders = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(wrapped))
      .map(({ name }) => name);
  assert.is(holders(nats.folder).length, 1);
  assert.ok(holders(opened.folder).every((name) => name.startsWith('keys.sqlite')));
  await opened.vault.operator.forgetUser(ada.partition, ada.principal);
  assert.equal(holders(nats.folder), []);
});

test('a restored copy opens nothing without the old KEYS, and everything with it', async () => {
  const copies = mkdtempSync(join(tmpdir(), 'latchkey-copies-'));
  try {
    await using nats = await openNatsServer();
    await using original = await openTestVault({ url: nats.url });
    const { keyRing, providers } = original;
    const ada = await signIn(original, 'interaction-of-ada');
    assert.is(await lookUp(original, ada), 'ok');
    // The backup: the store of NATS at rest, and the projection.
    await nats.stop();
    cpSync(nats.folder, join(copies, 'with-keys'), { recursive: true });
    cpSync(nats.folder, join(copies, 'without-keys'), { recursive: true });
    await nats.start();
    await waitFor(async () => (await lookUp(original, ada)) === 'ok');
    await waitFor(async () => {
      await original.vault.operator.forgetUser(ada.partition, ada.principal);
      return true;
    });
    await nats.stop();

    const keysOf = (folder: string) => findFolder(folder, streamNames.keys);
    rmSync(keysOf(join(copies, 'without-keys')), { recursive: true });
    cpSync(keysOf(nats.folder), keysOf(nats.folder).replace(nats.folder, join(copies, 'without-keys')), {
      recursive: true,
    });
    const binary = await findTestNatsServer();
    for (const [name, expected] of [
      // Nothing of theirs opens any more: they sign in again.
      ['without-keys', 'session-ended'],
      ['with-keys', 'ok'],
    ] as const) {
      const restored = await startNatsServer({ binary, folder: join(copies, name), port: 0 });
      const vault = await openTestVault({ url: restored.url, keyRing, providers });
      try {
        // The lease in the copy must run out first.
        await waitFor(async () => vault.ownership.serving().includes(ada.partition));
        assert.is(await lookUp(vault, ada), expected, name);
      } finally {
        await vault[Symbol.asyncDispose]();
        await restored.stop();
      }
    }
    await nats.start();
  } finally {
    rmSync(copies, { recursive: true, force: true });
  }
});

function findFolder(root: string, name: string): string {
  const found = readdirSync(root, { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isDirectory() && entry.name === name,
  );
  assert.ok(found, `${name} below ${root}`);
  return join(found.parentPath, found.name);
}

async function waitFor(done: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  for (;;) {
    try {
      if (await done()) return;
    } catch (error) {
      if (performance.now() >= giveUpAt) throw error;
    }
    assert.ok(performance.now() < giveUpAt, 'in time');
    await sleep(100);
  }
}

test.run();
