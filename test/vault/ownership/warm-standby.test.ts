/**
 * Every worker follows the whole log: one that takes partitions of another reads only what came last. What its consumer
 * was given is counted by the server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { streamNames } from '../../../schemas/subjects.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { openVaultCluster } from '../../world/vault-cluster.ts';

const test = suite('warm standby');

const names = Array.from({ length: 30 }, (_, index) => `person-${index}`);

test('who takes over from a worker that was killed reads the end of the log, and not the log', async () => {
  await using nats = await openNatsServer();
  await using stack = new AsyncDisposableStack();
  const connection = await connect({ servers: nats.url });
  stack.defer(() => connection.close());
  const manager = await connection.jetstreamManager();
  await using cluster = await openVaultCluster({ url: nats.url });
  const owner = await cluster.addWorker();
  const standby = await cluster.addWorker();
  const people = await Promise.all(names.map((name) => cluster.signIn(name)));

  /** How many messages of the log each consumer was given. */
  async function given(): Promise<Map<string, number>> {
    const consumers = await manager.consumers.list(streamNames.vault).next();
    return new Map(consumers.map(({ name, delivered }) => [name, delivered.consumer_seq]));
  }
  const lastSequence = async () => (await manager.streams.info(streamNames.vault)).state.last_seq;

  await sleep(500);
  const [before, end] = [await given(), await lastSequence()];
  assert.ok(
    [...before.values()].filter((count) => count >= 2 * names.length).length >= 2,
    'both have read it',
  );
  await owner.kill();
  while ((await standby.serving()).length < 64) await sleep(50);
  for (const { principal, accessToken } of people) {
    const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
    const answers = await cluster.client.findUpstreamTokens(principal, request, 30_000);
    assert.is(answers.get('gitlab')?.status, 'ok');
  }
  const [after, tail] = [await given(), (await lastSequence()) - end];
  assert.ok(tail < names.length * 2, 'markers, and little else');
  for (const [name, count] of after) {
    assert.ok(before.has(name), 'nobody reads anew');
    assert.ok(count - before.get(name)! <= tail, `${count - before.get(name)!} of ${tail}`);
  }
});

test.run();
