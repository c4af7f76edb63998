/**
 * Three real nats-servers: the one that leads LEASES and VAULT is killed under load, and pauses are survived there as on
 * one. What was acknowledged is there afterwards, and no answer is older than the one before it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { streamNames } from '../../schemas/subjects.ts';
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { keepLookingUp } from '../world/look-up-load.ts';
import { openNatsCluster } from '../world/nats-cluster.ts';
import { pauseWorkers } from '../world/pauses.ts';
import { openVaultCluster, type SignedInPerson } from '../world/vault-cluster.ts';

const test = suite('nats-cluster');

/** Makes one node lead both streams, and says which. */
async function gatherLeaders(url: string, streams: readonly string[]): Promise<string> {
  const connection = await connect({ servers: url.split(',') });
  const manager = await connection.jetstreamManager();
  const leaderOf = async (stream: string) => (await manager.streams.info(stream)).cluster?.leader;
  const preferred = (await leaderOf(streams[0]!))!;
  for (let turn = 0; turn < 50; turn++) {
    const apart = [];
    for (const stream of streams) if ((await leaderOf(stream)) !== preferred) apart.push(stream);
    if (apart.length === 0) break;
    for (const stream of apart) {
      const body = JSON.stringify({ placement: { preferred } });
      await connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, body);
    }
    await sleep(300);
  }
  await connection.close();
  return preferred;
}

test('the node that leads LEASES and VAULT is killed under look-ups and sign-ins', async () => {
  await using nats = await openNatsCluster();
  await nats.ready();
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({
    ...{ url: nats.url, replicas: 3, chain: ['gitlab'], providers: 'refreshed' },
  });
  await cluster.addProviderWorker(oneTimeSettings(provider), 'a-secret-of-the-test-client-0123456789');
  const workers = await Promise.all([cluster.addWorker(), cluster.addWorker()]);
  const names = Array.from({ length: 16 }, (_, index) => `person-${index}`);
  const later = Date.now() + 3_600_000;
  const people = await Promise.all(names.map((name) => cluster.signIn(name, later)));
  const leader = await gatherLeaders(nats.url, ['KV_LEASES', streamNames.vault]);
  const node = nats.nodes.find(({ name }) => name === leader)!;
  const load = keepLookingUp(cluster, { people, atOnce: 32, rejectEveryMs: 100, timeoutMs: 20_000 });

  const acknowledged: SignedInPerson[] = [];
  const refused: string[] = [];
  let signingIn = true;
  const signIns = (async () => {
    for (let turn = 0; signingIn; turn++) {
      await cluster.signIn(`joins-${turn}`, later).then(
        (person) => acknowledged.push(person),
        (error) => refused.push(String(error)),
      );
    }
  })();

  await sleep(1000);
  const before = { ...load.seen, acknowledged: acknowledged.length };
  load.seen.longestMs = 0;
  await node.kill();
  await sleep(10_000);
  const { longestMs } = load.seen;
  signingIn = false;
  await signIns;
  node.start();
  await nats.ready();
  const seen = await load.stop();
  console.log(
    `leader killed: longest look-up ${longestMs.toFixed(0)} ms (before ${before.longestMs.toFixed(0)} ms), ` +
      `${acknowledged.length} sign-ins acknowledged, ${refused.length} refused`,
  );
  assert.equal(seen.wrong, []);
  const problems = [...new Set(workers.flatMap((worker) => worker.problems))];
  assert.equal(seen.failures, [], problems.slice(0, 5).join('; '));
  assert.ok(longestMs < 12_000, `${longestMs} ms`);
  assert.ok(acknowledged.length > before.acknowledged, 'sign-ins go on');
  // Nobody's memory but the log's: every worker is new.
  await Promise.all(workers.map((worker) => worker.kill()));
  await cluster.addWorker();
  for (const { principal, accessToken } of acknowledged) {
    const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
    const answers = await cluster.client.findUpstreamTokens(principal, request, 15_000);
    assert.is(answers.get('gitlab')?.status, 'ok');
  }
});

test('a worker that is paused past its lease', async () => {
  await using nats = await openNatsCluster();
  await nats.ready();
  const report = await pauseWorkers({ url: nats.url, replicas: 3, rounds: 2 });
  assert.equal([report.lateWrites, report.wrong, report.failures], [[], [], []]);
  assert.equal(report.callsForStopped, [1, 1]);
});

test.run();
