import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ensureKeyFolder } from '../../../workers/keys/key-folder.ts';
import { natsToken, openVaultInstallation } from './vault-process.ts';

const test = suite('vault-worker main');

/** One line, and nothing that is secret. */
function assertClear(stderr: string, pattern: RegExp): void {
  assert.match(stderr, pattern);
  assert.is(stderr.trimEnd().split('\n').length, 1, stderr);
  assert.not.match(stderr, new RegExp(natsToken));
  assert.not.match(stderr, /\n\s+at /);
}

test('it serves, is killed with kill -9, and goes on where it was', async () => {
  await using installation = await openVaultInstallation();
  const first = installation.start();
  await first.ready;
  const before = await installation.description();
  const alice = await installation.signIn('alice');
  const bob = await installation.signIn('bob', Date.now() - 1000);
  await installation.client.putRecord('Client', 'client-of-alice', { client_name: 'one' });
  assert.is(await installation.tokenOf(alice), 'gitlab-of-alice-access-token-clear');
  assert.is(await installation.tokenOf(bob, 'corporate'), 'corporate-of-bob-access-token-clear');
  assert.is(installation.refreshes.length, 0);

  first.signal('SIGKILL');
  await first.ended;
  await installation.start().ready;
  assert.equal(await installation.description(), before);
  assert.is(await installation.tokenOf(alice), 'gitlab-of-alice-access-token-clear');
  assert.is(await installation.tokenOf(bob, 'corporate'), 'corporate-of-bob-access-token-clear');
  const record = await installation.client.findRecord('Client', 'id', 'client-of-alice');
  assert.is(record?.client_name, 'one');
});

test('the folder is its owner’s alone; nothing readable in it or in what it said', async () => {
  await using installation = await openVaultInstallation();
  const worker = installation.start({ env: { LATCHKEY_LOG_LEVEL: 'trace' } });
  await worker.ready;
  await installation.signIn('alice');
  const folder = join(installation.folder, 'vault');
  assert.is(statSync(folder).mode & 0o777, 0o700);
  const files = readdirSync(folder);
  assert.ok(files.includes('projection.sqlite') && files.includes('outbox.sqlite'));
  const everything = Buffer.concat([
    Buffer.from(worker.said()),
    ...files.map((file) => readFileSync(join(folder, file))),
  ]);
  for (const clear of ['access-token-clear', 'refresh-token-clear', natsToken, 'alice'])
    assert.not(everything.includes(clear), clear);
});

test('SIGTERM: it says goodbye to its partitions, and the next worker serves at once', async () => {
  await using installation = await openVaultInstallation();
  const first = installation.start();
  await first.ready;
  const alice = await installation.signIn('alice');
  const second = installation.start({ data: 'other' });
  await second.ready;
  first.signal('SIGTERM');
  assert.is(await installation.tokenOf(alice), 'gitlab-of-alice-access-token-clear');
  const { code, stderr } = await first.ended;
  assert.is(code, 0);
  assert.is(stderr, '');
  assert.is(await installation.tokenOf(alice, 'corporate'), 'corporate-of-alice-access-token-clear');
});

test('a sign-in that is under way when it stops is brought to its end', async () => {
  await using installation = await openVaultInstallation();
  const first = installation.start();
  await first.ready;
  const second = installation.start({ data: 'other' });
  await second.ready;
  const signIns = Promise.all(['one', 'two', 'three', 'four'].map((name) => installation.signIn(name)));
  await sleep(20);
  first.signal('SIGTERM');
  const people = await signIns;
  assert.is((await first.ended).code, 0);
  for (const [index, name] of ['one', 'two', 'three', 'four'].entries())
    assert.is(await installation.tokenOf(people[index]!), `gitlab-of-${name}-access-token-clear`);
});

test('a second worker on one data folder: one line, exit code 1, and the first goes on; free after kill -9 and SIGTERM', async () => {
  await using installation = await openVaultInstallation();
  const first = installation.start();
  await first.ready;
  const alice = await installation.signIn('alice');
  const refused = installation.start();
  const { code, stderr } = await refused.ended;
  assert.is(code, 1);
  assertClear(
    stderr,
    /^latchkey vault: data folder \/.*\/vault is used by another vault worker: give each one .*--data DIR/,
  );
  assert.is(await installation.tokenOf(alice), 'gitlab-of-alice-access-token-clear');
  first.signal('SIGKILL');
  await first.ended;
  const second = installation.start();
  await second.ready;
  second.signal('SIGTERM');
  assert.is((await second.ended).code, 0);
  await installation.start().ready;
  assert.is(await installation.tokenOf(alice), 'gitlab-of-alice-access-token-clear');
});

test('a folder that was of other streams is told to be built anew, and no other', async () => {
  await using installation = await openVaultInstallation();
  for (const streamsAreLost of [false, false, true]) {
    if (streamsAreLost) {
      const connection = await connect({ servers: installation.nats.url, token: natsToken });
      const manager = await connection.jetstreamManager();
      for (const { config } of await manager.streams.list().next()) await manager.streams.delete(config.name);
      await connection.close();
    }
    const vault = installation.start();
    await vault.ready;
    vault.signal('SIGTERM');
    const { code, stdout } = await vault.ended;
    assert.is(code, 0);
    assert.is(/"level":"warn".*is built anew/.test(stdout), streamsAreLost);
  }
});

test('the NATS of another instance: one line, exit code 1', async () => {
  await using installation = await openVaultInstallation();
  const first = installation.start();
  await first.ready;
  const keys = join(installation.folder, 'other-keys');
  ensureKeyFolder(keys, ['corporate', 'gitlab']);
  const { code, stderr } = await installation.start({ keys, data: 'other' }).ended;
  assert.is(code, 1);
  assertClear(stderr, /^latchkey vault: the stream VAULT of this NATS belongs to another instance/);
});

test('a log that cannot be read: one line, exit code 1, at start and while it runs', async () => {
  await using installation = await openVaultInstallation();
  const running = installation.start();
  await running.ready;
  await installation.publish(`latchkey.log.7.grt_${'x'.repeat(32)}`, 'of a later version');
  const starting = installation.start({ data: 'other' });
  for (const { ended } of [running, starting]) {
    const { code, stderr } = await ended;
    assert.is(code, 1);
    assertClear(stderr, /^latchkey vault: an event of the log cannot be read: its format is unknown/);
  }
});

test('key files that are missing, too open, malformed or of two instances: one line that names the file', async () => {
  await using installation = await openVaultInstallation();
  const { folder, keys } = installation;
  const other = join(folder, 'other-keys');
  ensureKeyFolder(other, ['corporate', 'gitlab']);
  const cases: readonly [string, (copy: string) => void, RegExp][] = [
    ['no-ring', (copy) => rmSync(join(copy, 'vault.keyring.json')), /vault\.keyring\.json does not exist/],
    ['no-keys', (copy) => rmSync(join(copy, 'vault.keys.json')), /vault\.keys\.json does not exist/],
    [
      'ring-too-open',
      (copy) => chmodSync(join(copy, 'vault.keyring.json'), 0o644),
      /vault\.keyring\.json has mode 0644.*chmod 600/,
    ],
    [
      'keys-too-open',
      (copy) => chmodSync(join(copy, 'vault.keys.json'), 0o640),
      /vault\.keys\.json has mode 0640/,
    ],
    [
      'not-json',
      (copy) => writeFileSync(join(copy, 'vault.keyring.json'), '{"clear-key": '),
      /vault\.keyring\.json is not JSON: put the key ring of this instance back/,
    ],
    [
      'wrong-form',
      (copy) => writeFileSync(join(copy, 'vault.keyring.json'), '{}'),
      /vault\.keyring\.json is not a latchkey-key-ring\/1 file/,
    ],
    [
      'other-ring',
      (copy) => copyFileSync(join(other, 'vault.keyring.json'), join(copy, 'vault.keyring.json')),
      /vault\.keyring\.json belongs to the instance ins_.*use files that were made together/,
    ],
  ];
  const ends = cases.map(async ([name, change, pattern]) => {
    const copy = join(folder, name);
    mkdirSync(copy, { mode: 0o700 });
    for (const file of ['vault.keys.json', 'vault.keyring.json']) {
      copyFileSync(join(keys, file), join(copy, file));
      chmodSync(join(copy, file), 0o600);
    }
    change(copy);
    const { code, stderr } = await installation.start({ keys: copy, data: `data-${name}` }).ended;
    assert.is(code, 1, name);
    assertClear(stderr, pattern);
    assert.not.match(stderr, /clear-key/);
  });
  await Promise.all(ends);
});

test('a NATS that refuses the token: one line without the token, exit code 1', async () => {
  await using installation = await openVaultInstallation();
  const { code, stderr } = await installation.start({ env: { LATCHKEY_NATS_TOKEN: 'clear-wrong-token' } })
    .ended;
  assert.is(code, 1);
  assertClear(stderr, /^latchkey vault: NATS at nats:\/\/127\.0\.0\.1:\d+ cannot be used: it refuses/);
  assert.not.match(stderr, /clear-wrong-token/);
});

test('a broken configuration is exit code 2', async () => {
  await using installation = await openVaultInstallation();
  writeFileSync(installation.config, 'nats: [\n');
  const { code, stderr } = await installation.start().ended;
  assert.is(code, 2);
  assert.match(stderr, /^latchkey vault: /);
});

test.run();
