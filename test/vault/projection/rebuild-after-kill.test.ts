/** A worker that has nothing but the log builds its files anew, also after it was killed while it did so. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBus } from '../../../schemas/bus.ts';
import { createBootId, createInstanceId } from '../../../schemas/ids.ts';
import { findUpstreamTokens } from '../../../schemas/messages/find-upstream-tokens.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import { Secret } from '../../../schemas/secret.ts';
import { vaultSubject } from '../../../schemas/subjects.ts';
import { createKeyRingFile, openKeyRing } from '../../../vault/sealing/key-ring.ts';
import { providers, publishManyGrants } from '../../bench/many-grants.ts';
import { openUnsyncedNats } from '../../bench/unsynced-nats.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';

const test = suite('rebuild after a kill');

/** Enough that the files are built on a thread of their own. */
const people = 12_000;
const asked = Array.from({ length: 40 }, (_, n) => n * 300);

test('killed while it builds its files it begins anew; without its files it answers the same', async () => {
  using folder = openTemporaryFolder();
  await using nats = await openUnsyncedNats(folder.file('nats'));
  const rootKey = randomBytes(32);
  const keyRing = createKeyRingFile(createInstanceId());
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'gateway', bootId });
  const children: ChildProcess[] = [];
  try {
    await publishManyGrants(connection, openKeyRing(keyRing), people);
    const { instanceId } = keyRing;
    const keys = roleKeysSchema.parse(
      deriveRoleKeyFile({ rootKey, instanceId, role: 'gateway', providers: [] }),
    );
    const bus = createBus({
      connection,
      envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }),
    });
    const data = folder.file('worker');
    mkdirSync(data);
    const start = () => {
      const child = fork(new URL('../../bench/filled-vault-process.ts', import.meta.url));
      children.push(child);
      child.send({ url: nats.url, rootKey: rootKey.toString('base64url'), keyRing, folder: data });
      return child;
    };
    const kill = async (child: ChildProcess) => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    };
    const answers = async (child: ChildProcess) => {
      child.send(asked);
      const [callers] = (await once(child, 'message')) as [{ partition: number; accessToken: string }[]];
      const found: string[] = [];
      for (const { partition, accessToken } of callers) {
        const subject = vaultSubject(partition, findUpstreamTokens.name);
        const request = { accessToken: new Secret(accessToken), providers, minValidSeconds: 30 };
        const { answers: given } = await bus.request(
          findUpstreamTokens,
          { subject, pair: 'gateway-vault' },
          request,
          { timeoutMs: 20_000 },
        );
        for (const provider of providers) {
          const answer = given[provider]!;
          found.push(answer.status === 'ok' ? answer.accessToken.reveal() : answer.status);
        }
      }
      return found;
    };

    const first = start();
    const served = once(first, 'message').then(() => true);
    while (!existsSync(join(data, 'projection.sqlite-journal'))) await sleep(1);
    await kill(first);
    assert.is(await Promise.race([served, sleep(1)]), undefined, 'it was killed before it served');

    const second = start();
    await once(second, 'message');
    const before = await answers(second);
    assert.is(new Set(before).size, providers.length * asked.length, 'each has a token of its own');
    assert.ok(before.every((token) => token.length === 300));
    await kill(second);

    for (const name of ['projection.sqlite', 'keys.sqlite'])
      for (const part of ['', '-wal', '-shm']) rmSync(join(data, name + part), { force: true });
    const third = start();
    await once(third, 'message');
    assert.equal(await answers(third), before);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await connection.close();
  }
});

test.run();
