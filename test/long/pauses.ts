/**
 * Sixty pauses past the lease, on one node and on three; takes about five minutes each. By hand:
 *
 *     node test/long/pauses.ts [ROUNDS] [1 | 3]
 */
import * as assert from 'uvu/assert';
import { openNatsCluster } from '../world/nats-cluster.ts';
import { pauseWorkers } from '../world/pauses.ts';

const rounds = Number(process.argv[2] ?? 60);
const size = Number(process.argv[3]);
const sizes: readonly (1 | 3)[] = size === 1 || size === 3 ? [size] : [1, 3];
for (const replicas of sizes) {
  await using nats = await openNatsCluster({ size: replicas });
  await nats.ready();
  const report = await pauseWorkers({ url: nats.url, replicas, rounds });
  console.log(`${replicas} node(s)`, report);
  assert.equal([report.lateWrites, report.wrong, report.failures], [[], [], []]);
  assert.equal(
    report.callsForStopped,
    Array.from({ length: rounds }, () => 1),
  );
}
