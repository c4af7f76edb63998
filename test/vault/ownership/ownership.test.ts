/** Who takes and gives up partitions when, with a lease and a log in memory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import { createLeaseClock } from '../../../vault/ownership/lease-clock.ts';
import type { Lease } from '../../../vault/ownership/lease-store.ts';
import { type Ownership, startOwnership } from '../../../vault/ownership/ownership.ts';
import { openMemoryLeases } from './memory-leases.ts';

const test = suite('ownership');

const moment = () => new Promise((resolve) => setTimeout(resolve, 30));

test('a partition that is given up is taken again when that has come to its end, and not before', async () => {
  const steps: string[] = [];
  const ended = Promise.withResolvers<void>();
  await using ownership: Ownership = startOwnership({
    worker: createBootId(),
    partitions: 2,
    leases: openMemoryLeases(),
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: { mark: () => ({ monotonic: 0, wall: 0 }), since: () => 0 },
    handlers: {
      take: async (ownerships) =>
        void steps.push(`take ${ownerships.map(({ partition }) => partition).sort()}`),
      expect: () => undefined,
      serve: (partition) => void steps.push(`serve ${partition}`),
      async release(partition) {
        steps.push(`release ${partition}`);
        await ended.promise;
      },
      reaffirm: async () => undefined,
    },
    onProblem: (error) => assert.unreachable(String(error)),
    times: { leaseMs: 1000, renewMs: 5, deadAfterMs: 1200, answerMarginMs: 0 },
  });
  await ownership.settled();
  // In the order of their hashes with the worker's name.
  assert.equal(steps.splice(0).sort(), ['serve 0', 'serve 1', 'take 0,1']);
  // The log refused an append, and somebody's answer takes its time.
  ownership.lose(1);
  await moment();
  assert.equal(steps, ['release 1']);
  assert.equal(ownership.serving(), [0]);
  ended.resolve();
  await ownership.settled();
  assert.equal(steps, ['release 1', 'take 1', 'serve 1']);
  assert.equal(ownership.serving().sort(), [0, 1]);
});

test('a partition that is lost while it is being taken is let go of, and taken again', async () => {
  const steps: string[] = [];
  const reading = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  let takings = 0;
  await using ownership: Ownership = startOwnership({
    worker: createBootId(),
    partitions: 1,
    leases: openMemoryLeases(),
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: { mark: () => ({ monotonic: 0, wall: 0 }), since: () => 0 },
    handlers: {
      async take() {
        steps.push('take');
        begun.resolve();
        if (++takings === 1) await reading.promise;
      },
      expect: () => undefined,
      serve: () => void steps.push('serve'),
      release: async () => void steps.push('release'),
      reaffirm: async () => undefined,
    },
    onProblem: (error) => assert.unreachable(String(error)),
    times: { leaseMs: 1000, renewMs: 5, deadAfterMs: 1200, answerMarginMs: 0 },
  });
  await begun.promise;
  ownership.lose(0);
  reading.resolve();
  await ownership.settled();
  assert.equal(steps, ['take', 'release', 'take', 'serve']);
});

test('a worker that has died is noticed when its time is over, and not in the next round', async () => {
  const dead: Lease = { worker: createBootId(), status: 'live', leaving: false, owns: [0], reads: [1] };
  const leases = openMemoryLeases([dead]);
  const served = Promise.withResolvers<string>();
  await using _ = startOwnership({
    worker: createBootId(),
    partitions: 1,
    leases,
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: createLeaseClock({ monotonic: () => performance.now(), wall: Date.now }),
    handlers: {
      take: async () => undefined,
      expect: () => undefined,
      serve: () => served.resolve('taken'),
      release: async () => undefined,
      reaffirm: async () => undefined,
    },
    onProblem: (error) => assert.unreachable(String(error)),
    times: { leaseMs: 600_000, renewMs: 60_000, deadAfterMs: 200, answerMarginMs: 0 },
  });
  await moment();
  leases.tell({ worker: createBootId(), status: 'live', leaving: false, owns: [], reads: [1] });
  const late = setTimeout(() => served.resolve('left alone'), 20_000);
  assert.is(await served.promise, 'taken');
  clearTimeout(late);
});

test.run();
