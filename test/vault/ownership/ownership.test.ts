/** Who takes and gives up partitions when, with a lease and a log in memory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import type { Lease, LeaseEntry, LeaseStore } from '../../../vault/ownership/lease-store.ts';
import { type Ownership, startOwnership } from '../../../vault/ownership/ownership.ts';

const test = suite('ownership');

/** Of one worker that is alone, so that whatever it gives up is its own again. */
function openLeases(): LeaseStore {
  const entries = new Map<string, LeaseEntry>();
  let revision = 0;
  return {
    list: async () => [...entries.values()],
    async write(lease: Lease, expected) {
      if ((entries.get(lease.worker)?.revision ?? 0) !== expected) return null;
      revision += 1;
      entries.set(lease.worker, { lease, revision });
      return revision;
    },
    remove: async (worker) => void entries.delete(worker),
    onWrite: () => () => undefined,
  };
}

const moment = () => new Promise((resolve) => setTimeout(resolve, 30));

test('a partition that is given up is taken again when that has come to its end, and not before', async () => {
  const steps: string[] = [];
  const ended = Promise.withResolvers<void>();
  await using ownership: Ownership = startOwnership({
    worker: createBootId(),
    partitions: 2,
    leases: openLeases(),
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: { mark: () => ({ monotonic: 0, wall: 0 }), since: () => 0 },
    handlers: {
      take: async (ownerships) =>
        void steps.push(`take ${ownerships.map(({ partition }) => partition).sort()}`),
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
    leases: openLeases(),
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: { mark: () => ({ monotonic: 0, wall: 0 }), since: () => 0 },
    handlers: {
      async take() {
        steps.push('take');
        begun.resolve();
        if (++takings === 1) await reading.promise;
      },
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

test.run();
