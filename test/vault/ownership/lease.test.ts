/** What a lease allows, and what it forbids: with a lease, a clock and a log in memory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import { partitionLost } from '../../../vault/errors.ts';
import type { Lease, LeaseStore } from '../../../vault/ownership/lease-store.ts';
import { startOwnership } from '../../../vault/ownership/ownership.ts';
import { openMemoryLeases } from './memory-leases.ts';

const test = suite('lease');

const moment = () => new Promise((resolve) => setTimeout(resolve, 5));

async function until(isSo: () => boolean): Promise<void> {
  for (let wait = 0; wait < 4000 && !isSo(); wait++) await moment();
  assert.ok(isSo());
}

type TakePartition = (
  partition: number,
  worker: string,
  conditions: { mayTake: () => Promise<boolean> },
) => Promise<{ partition: number; epoch: number }>;

const takeAtOnce: TakePartition = async (partition) => ({ partition, epoch: 1 });

async function affirm(): Promise<void> {
  await moment();
}

function start(leases: LeaseStore, { takePartition = takeAtOnce, reaffirm = affirm, partitions = 2 } = {}) {
  const worker = createBootId();
  const time = { now: 0 };
  const steps: string[] = [];
  const mark = () => ({ monotonic: time.now, wall: 0 });
  const ownership = startOwnership({
    ...{ worker, partitions, leases },
    log: { takePartition } as never,
    clock: { mark, since: ({ monotonic }) => time.now - monotonic },
    handlers: {
      take: async (ownerships) => void steps.push(`take ${ownerships.length}`),
      expect: () => undefined,
      serve: () => undefined,
      release: async (partition) => void steps.push(`release ${partition}`),
      reaffirm,
    },
    onProblem: () => undefined,
    times: { leaseMs: 2500, renewMs: 10, deadAfterMs: 3000, answerMarginMs: 300 },
  });
  return { worker, ownership, time, steps };
}

/** A bucket that does not answer writes while it is away. */
function withOutages(leases: LeaseStore) {
  let away: PromiseWithResolvers<void> | null = null;
  return {
    leases: {
      ...leases,
      async write(lease: Lease, expected: number) {
        await away?.promise;
        return leases.write(lease, expected);
      },
    },
    leave: () => {
      away = Promise.withResolvers();
    },
    comeBack: () => {
      away?.resolve();
      away = null;
    },
  };
}

test('a bucket that refuses while partitions are taken ends that round and nothing else', async () => {
  const leases = openMemoryLeases();
  let writes = 0;
  let refused = 0;
  const answered = <Result>(work: () => Promise<Result>) => {
    if (writes < 2 || refused >= 20) return work();
    refused += 1;
    return moment().then(() => Promise.reject(new Error('TIMEOUT')));
  };
  const refusing: LeaseStore = {
    ...leases,
    list: () => answered(leases.list),
    write(lease, expected) {
      writes += 1;
      return answered(() => leases.write(lease, expected));
    },
  };
  const asking: TakePartition = async (partition, _worker, { mayTake }) => {
    if (!(await mayTake())) throw partitionLost(partition);
    return { partition, epoch: 1 };
  };
  const { ownership } = start(refusing, { takePartition: asking });
  await until(() => ownership.serving().length === 2);
  assert.is(refused, 20);
  await ownership[Symbol.asyncDispose]();
});

test('an answer leaves only while the lease runs for its way and a little more', async () => {
  const bucket = withOutages(openMemoryLeases());
  const { ownership, time } = start(bucket.leases);
  await ownership.settled();
  assert.is(ownership.mayAnswer(0), true);
  assert.is(ownership.mayAnswer(2), false, 'nobody’s partition');
  bucket.leave();
  // A renewal that was sent before may still come to its end.
  await moment();
  const began = time.now;
  time.now = began + 2200;
  assert.is(ownership.mayAnswer(0), true);
  assert.is(ownership.answerGoodForMs(), 250);
  time.now = began + 2201;
  assert.is(ownership.mayAnswer(0), false);
  bucket.comeBack();
  await ownership[Symbol.asyncDispose]();
  assert.is(ownership.mayAnswer(0), false);
});

test('a lease that ran out and is renewed answers again after one marker, and without reading anew', async () => {
  const bucket = withOutages(openMemoryLeases());
  const affirmed = Promise.withResolvers<void>();
  let asked = 0;
  const { ownership, time, steps } = start(bucket.leases, {
    async reaffirm() {
      asked += 1;
      await affirmed.promise;
    },
  });
  await ownership.settled();
  bucket.leave();
  await moment();
  time.now += 2600;
  bucket.comeBack();
  await until(() => asked === 2);
  assert.is(ownership.mayAnswer(0), false, 'somebody may have been there meanwhile');
  affirmed.resolve();
  await until(() => ownership.mayAnswer(0) && ownership.mayAnswer(1));
  assert.equal(steps, ['take 2']);
  await ownership[Symbol.asyncDispose]();
});

test('what another worker took while the lease had run out is let go of, and taken for dead a worker lets go of all', async () => {
  const store = openMemoryLeases();
  const bucket = withOutages(store);
  const { ownership, time, steps, worker } = start(bucket.leases, {
    async reaffirm() {
      throw partitionLost(0);
    },
  });
  await ownership.settled();
  bucket.leave();
  await moment();
  time.now += 2600;
  bucket.comeBack();
  await until(() => steps.filter((step) => step.startsWith('release')).length === 2);

  await until(() => ownership.serving().length === 2);
  steps.splice(0);
  for (let written: number | null = null; written === null; ) {
    const { revision } = (await store.list())[0]!;
    written = await store.write({ worker, status: 'dead', leaving: false, owns: [], reads: [1] }, revision);
  }
  time.now += 1300;
  await until(() => steps.filter((step) => step.startsWith('release')).length === 2);
  await ownership[Symbol.asyncDispose]();
});

test('no marker before the own lease says so, and none where another worker’s lease says otherwise by then', async () => {
  const store = openMemoryLeases();
  const other: Lease = { worker: createBootId(), status: 'live', leaving: false, owns: [0], reads: [1] };
  const slow: LeaseStore = {
    ...store,
    async write(lease, expected) {
      if (lease.owns.length > 0) for (let turn = 0; turn < 5; turn++) await moment();
      return store.write(lease, expected);
    },
  };
  const allowed: number[] = [];
  const early: number[] = [];
  const { ownership, worker } = start(slow, {
    async takePartition(partition, _, { mayTake }) {
      // After the last marker was read, and before the next is appended.
      if ((await store.list()).every(({ lease }) => lease.worker !== other.worker))
        await store.write(other, 0);
      if (!(await mayTake())) throw partitionLost(partition);
      const mine = (await store.list()).find(({ lease }) => lease.worker === worker);
      allowed.push(partition);
      if (!mine?.lease.owns.includes(partition)) early.push(partition);
      return { partition, epoch: 1 };
    },
  });
  await until(() => ownership.serving().length === 1);
  assert.equal(allowed, [1]);
  assert.equal(early, []);
  await ownership[Symbol.asyncDispose]();
});

test.run();
