/**
 * A worker that is paused past its lease and goes on: none of its late answers is accepted by a requester, none of its
 * writes by the log, on grants that the new owner has not touched either. Many more rounds: `pauses.ts`.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openNatsServer } from '../world/nats-server.ts';
import { pauseWorkers } from '../world/pauses.ts';

const test = suite('pauses');

test('under 128 look-ups in flight, on one node', async () => {
  await using nats = await openNatsServer();
  const report = await pauseWorkers({ url: nats.url, replicas: 1, rounds: 3 });
  const { callsForStopped, answered, longestMs, newTokens, lateWrites, wrong, failures } = report;
  assert.equal(lateWrites, []);
  assert.equal(wrong, []);
  assert.equal(failures, []);
  // The write of the paused one was refused: else the new owner would have waited for that claim.
  assert.equal(callsForStopped, [1, 1, 1]);
  assert.ok(answered > 1000 && newTokens > 10, `${answered} answers, ${newTokens} new tokens`);
  console.log(
    `3 pauses: ${answered} answers, ${newTokens} new tokens, longest wait ${longestMs.toFixed(0)} ms`,
  );
});

test.run();
