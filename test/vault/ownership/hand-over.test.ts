/**
 * Partitions change hands while people are looked up: by an orderly stop, by `kill -9`, and by a pause past the lease.
 * Real worker processes, really ended.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { vaultSubjects } from '../../../schemas/subjects.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { untilShared } from '../../world/shared-partitions.ts';
import {
  openVaultCluster,
  type SignedInPerson,
  type VaultCluster,
  type Worker,
} from '../../world/vault-cluster.ts';

const test = suite('hand-over');

const names = Array.from({ length: 16 }, (_, index) => `person-${index}-of-the-hand-over`);

/** Looks people up, 32 at a time, until told to stop; keeps the longest wait and every failure. */
function keepLookingUp({ client }: VaultCluster, people: readonly SignedInPerson[]) {
  let on = true;
  const seen = { answered: 0, longestMs: 0, failures: [] as string[] };
  const worker = async (first: number) => {
    for (let turn = first; on; turn++) {
      const { principal, accessToken } = people[turn % people.length]!;
      const began = performance.now();
      try {
        const answers = await client.findUpstreamTokens(principal, {
          accessToken,
          providers: ['gitlab'],
          minValidSeconds: 30,
        });
        assert.is(answers.get('gitlab')?.status, 'ok');
        seen.answered += 1;
      } catch (error) {
        seen.failures.push(String(error));
      }
      seen.longestMs = Math.max(seen.longestMs, performance.now() - began);
      // A breath, so that a test of hand-overs does not become one of the machine.
      await sleep(2);
    }
  };
  const workers = Array.from({ length: 32 }, (_, index) => worker(index));
  return {
    seen,
    async stop() {
      on = false;
      await Promise.all(workers);
      return seen;
    },
  };
}

/** How long it takes is what the benchmark shows. */
async function untilServing(worker: Worker, partitions: number): Promise<void> {
  for (let wait = 0; wait < 300; wait++) {
    if ((await worker.serving()).length === partitions) return;
    await sleep(100);
  }
  assert.unreachable(`it does not come to serve ${partitions} partitions`);
}

test('joining, an orderly stop and kill -9: no look-up fails, and the load is even', async () => {
  await using nats = await openNatsServer();
  await using cluster = await openVaultCluster({ url: nats.url });
  const first = await cluster.addWorker();
  assert.is((await first.serving()).length, 64);
  const people = await Promise.all(names.map((name) => cluster.signIn(name)));
  const load = keepLookingUp(cluster, people);

  const second = await cluster.addWorker();
  const third = await cluster.addWorker();
  const shares = await untilShared([first, second, third]);
  assert.equal(
    shares.flat().sort((a, b) => a - b),
    Array.from({ length: 64 }, (_, partition) => partition),
  );
  const joined = { ...load.seen };

  await second.stop();
  await untilShared([first, third]);
  const stopped = { ...load.seen };

  load.seen.longestMs = 0;
  await first.kill();
  await untilServing(third, 64);
  const seen = await load.stop();
  assert.equal(seen.failures, []);
  assert.ok(joined.answered > 0 && stopped.answered > joined.answered && seen.answered > stopped.answered);
  console.log(
    `longest wait: joins and orderly stop ${stopped.longestMs.toFixed(0)} ms, kill -9 ${seen.longestMs.toFixed(0)} ms`,
  );
});

test('a worker that is paused past its lease and goes on answers nothing, and writes nothing', async () => {
  await using nats = await openNatsServer();
  await using cluster = await openVaultCluster({ url: nats.url });
  const paused = await cluster.addWorker();
  const people = await Promise.all(names.map((name) => cluster.signIn(name)));
  const other = await cluster.addWorker();
  await untilShared([paused, other]);
  const load = keepLookingUp(cluster, people);
  await sleep(200);
  paused.child.kill('SIGSTOP');
  await untilServing(other, 64);
  paused.child.kill('SIGCONT');
  const [mine, theirs] = await untilShared([paused, other]);
  const seen = await load.stop();
  assert.equal(seen.failures, []);
  assert.is(new Set([...mine!, ...theirs!]).size, 64, 'no partition has two owners');
});

test('who asks while a partition is being taken is heard by the new owner, and answered when it has read the log', async () => {
  await using nats = await openNatsServer();
  await using cluster = await openVaultCluster({ url: nats.url });
  const former = await cluster.addWorker();
  const person = await cluster.signIn('person-who-waits');
  const next = await cluster.addWorker();
  await untilShared([former, next]);
  const [owner, successor] = (await former.serving()).includes(person.partition)
    ? [former, next]
    : [next, former];
  await successor.arm({ at: 'before:marker', act: 'hold' });
  await owner.kill();
  await successor.reached();
  await using stack = new AsyncDisposableStack();
  const connection = await openNatsConnection({
    servers: [nats.url],
    role: 'operator',
    bootId: createBootId(),
  });
  stack.defer(() => connection.close());
  let asked = 0;
  connection.subscribe(vaultSubjects(person.partition), {
    callback: () => {
      asked += 1;
    },
  });
  await connection.flush();
  const { principal, accessToken } = person;
  const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
  let answered = false;
  const answers = cluster.client.findUpstreamTokens(principal, request, 60_000).then((found) => {
    answered = true;
    return found;
  });
  // Longer than two of the pauses in which who is refused asks again.
  await sleep(500);
  assert.is(answered, false, 'its marker is not in the log');
  successor.child.send('go-on');
  assert.is((await answers).get('gitlab')?.status, 'ok');
  assert.is(asked, 1);
});

test.run();
