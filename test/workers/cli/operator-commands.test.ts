/** The operator's commands as processes, on a running installation under the shipped NATS configuration. */
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyRingFileSchema } from '../../../vault/sealing/key-ring.ts';
import { type DeployedNats, openDeployedNats } from '../../world/deployed-nats.ts';
import { type Installation, openInstallation } from '../../world/installation.ts';
import { connectAsPerson } from '../../world/mcp-client.ts';
import { runOperatorCommand } from '../../world/operator-command.ts';
import { alice, bob } from '../../world/person.ts';

const test = suite('operator commands');

const ringOf = ({ keys }: Installation) =>
  keyRingFileSchema.parse(JSON.parse(readFileSync(join(keys, 'vault.keyring.json'), 'utf8')));

test('rotate, retire and forget, under load', async () => {
  await using installation = await openInstallation({
    vaultWorkers: 3,
    gateways: 2,
    openNats: openDeployedNats,
  });
  const { keys, mcpUrl } = installation;
  const original = ringOf(installation);

  // Before anybody has signed in nothing but the signing keys is sealed.
  const first = await runOperatorCommand(installation, 'keys', 'rotate');
  assert.is(first.stderr, '');
  assert.is(first.status, 0, first.stdout);
  const second = ringOf(installation);
  assert.is(second.keys.length, 2);
  assert.is.not(second.current, original.current);
  assert.is(second.indexKey, original.indexKey);
  assert.is(statSync(join(keys, 'vault.keyring.json')).mode & 0o777, 0o600);
  const inUse = await runOperatorCommand(installation, 'keys', 'retire', second.current);
  assert.is(inUse.status, 1);
  assert.match(inUse.stderr, 'is the key that seals');
  const retired = await runOperatorCommand(installation, 'keys', 'retire', original.current);
  assert.is(retired.status, 0, retired.stderr);
  assert.equal(ringOf(installation).keys, [second.keys[1]]);

  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const load = { on: true, calls: 0, failures: [] as string[] };
  const keepCalling = async ({ client }: typeof ofAlice) => {
    while (load.on) {
      const result = await client.callTool({ name: 'gitlab-tools_whoami', arguments: {} }).catch(String);
      if (typeof result === 'string' || result.isError) load.failures.push(JSON.stringify(result));
      load.calls += 1;
    }
  };
  const callers = [ofAlice, ofBob].flatMap((person) => [keepCalling(person), keepCalling(person)]);
  await sleep(200);
  const rotated = await runOperatorCommand(installation, 'keys', 'rotate');
  await sleep(200);
  load.on = false;
  await Promise.all(callers);
  assert.is(rotated.status, 0, rotated.stderr);
  assert.match(rotated.stdout, 'every worker seals with it');
  const [, count] = /: (\d+) keys and records sealed anew/.exec(rotated.stdout) ?? [];
  assert.ok(Number(count) >= 3, rotated.stdout);
  assert.equal(load.failures, []);
  assert.ok(load.calls > 20, `${load.calls} calls`);

  // What expires by itself is still sealed with the old key, and keeps it.
  const kept = await runOperatorCommand(installation, 'keys', 'retire', second.current);
  assert.is(kept.status, 1);
  assert.match(
    kept.stderr,
    /stays, for it still seals \d+ records of the authorization server, the last of which expires on 20/,
  );
  assert.is(ringOf(installation).keys.length, 2);

  // Everything is read again, and alice is forgotten.
  await installation.killAll();
  await (installation.nats as DeployedNats).start();
  await installation.startAll();
  const whoAmI = ({ client }: typeof ofAlice) =>
    client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is((await whoAmI(ofAlice)).isError ?? false, false);
  const who = ['--provider', 'corporate', '--subject', 'corp-7f21'];
  const found = await runOperatorCommand(installation, 'users', 'find', ...who);
  const ids = /^(usr_\S{32}) {2}in other commands\n(pri_\S{32}) {2}in facts\n$/.exec(found.stdout);
  assert.ok(ids, found.stderr);
  const forgotten = await runOperatorCommand(
    installation,
    'users',
    'forget',
    ...who,
    '--keys-backup-days',
    '12',
  );
  assert.is(forgotten.status, 0, forgotten.stderr);
  assert.match(forgotten.stdout, 'ended 1 sessions with 2 grants, destroyed the data key');
  const date = new Date(Date.now() + 12 * 24 * 3600_000).toISOString().slice(0, 10);
  assert.match(forgotten.stdout, `Copies of the data become unreadable on ${date}`);
  assert.not.match(forgotten.stdout, 'corp-7f21');
  assert.match(forgotten.stdout, `${ids[1]}: forgotten`);
  const again = await runOperatorCommand(installation, 'users', 'forget', ...who);
  assert.is(again.status, 0, again.stderr);
  assert.match(again.stdout, 'nothing of this person is kept here');
  assert.not.match(again.stdout, 'destroyed');
  const { accessToken } = ofAlice;
  const answer = await fetch(mcpUrl, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken()}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }),
  });
  assert.is(answer.status, 401);
  assert.is((await whoAmI(ofBob)).isError ?? false, false);
  assert.not.match((installation.nats as DeployedNats).log(), /Violation/);

  const nobody = await runOperatorCommand(installation, 'users', 'forget', '--user', 'somebody');
  assert.is(nobody.status, 2);
  assert.is(nobody.stderr.split('\n').length, 2, 'one line');
});

test('a worker that has another ring is named, and the rotation waits for it', async () => {
  await using installation = await openInstallation({ vaultWorkers: 1, keyRingInEnvironment: true });
  const before = ringOf(installation);
  const cutOff = await runOperatorCommand(installation, 'keys', 'rotate', '--wait', '1');
  assert.is(cutOff.status, 1);
  assert.match(cutOff.stderr, /kek_\S{11} is not there yet at boot_\S{22}: give them the new /);
  const prepared = ringOf(installation);
  assert.is(prepared.current, before.current, 'it does not seal yet');
  assert.is(prepared.keys.length, 2);

  // Restarted with the new ring.
  await installation.killAll();
  await installation.nats.start();
  await installation.startAll();
  const done = await runOperatorCommand(installation, 'keys', 'rotate', '--wait', '10');
  assert.is(done.status, 0, done.stderr);
  assert.match(done.stdout, 'the rotation that was begun goes on');
  assert.is(ringOf(installation).keys.length, 2);
  assert.is(ringOf(installation).current, prepared.keys[1]!.id);
});

test('SIGHUP has a vault read its ring; without a vault the command changes nothing, and says who did not answer', async () => {
  await using installation = await openInstallation();
  const before = ringOf(installation);
  for (const vault of installation.processes('vault')) {
    vault.kill('SIGHUP');
    for (let wait = 0; wait < 100 && !installation.output().includes('key ring loaded'); wait++)
      await sleep(50);
    assert.match(installation.output(), 'key ring loaded');
    const exited = once(vault, 'exit');
    vault.kill('SIGKILL');
    await exited;
  }
  const { status, stderr } = await runOperatorCommand(installation, 'keys', 'rotate', '--wait', '1');
  assert.is(status, 1);
  assert.match(stderr, /^latchkey: partitions 0, 1, .*63 did not answer/);
  assert.equal(ringOf(installation), before);
});

test.run();
