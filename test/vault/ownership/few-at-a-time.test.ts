/** How partitions leave their owner: the pace alone, and the same by an ownership with a lease and a log in memory. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import { createHandOver } from '../../../vault/ownership/hand-over.ts';
import type { Lease } from '../../../vault/ownership/lease-store.ts';
import { startOwnership } from '../../../vault/ownership/ownership.ts';
import { openMemoryLeases } from './memory-leases.ts';

const test = suite('few at a time');

const patient = { atOnce: 2, patienceMs: 600_000 };

test('the next few go when each of those before is taken', async () => {
  let settled = 0;
  const handOver = createHandOver({ ...patient, onSettled: () => settled++ });
  assert.is(await handOver.settled(), true, 'nothing is on its way');
  assert.equal(handOver.next([]), []);
  assert.equal(handOver.next([1, 2, 3]), [1, 2]);
  const gone = handOver.settled();
  assert.equal(handOver.next([3]), []);
  handOver.taken(1);
  handOver.taken(7);
  handOver.taken(1);
  assert.equal(handOver.next([3]), []);
  assert.is(settled, 0);
  handOver.taken(2);
  assert.is(settled, 1);
  assert.is(await gone, true);
  assert.equal(handOver.next([3]), [3]);
  handOver[Symbol.dispose]();
});

test('who does not come to take them keeps the next only so long', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const handOver = createHandOver({ atOnce: 2, patienceMs: 20, onSettled: resolve });
  assert.equal(handOver.next([1, 2, 3]), [1, 2]);
  const gone = handOver.settled();
  handOver.taken(1);
  await promise;
  assert.is(await gone, false);
  assert.equal(handOver.next([3]), [3]);
  handOver.taken(2);
  assert.equal(handOver.next([4]), [], 'one that is late is not one of these');
  handOver[Symbol.dispose]();
});

const partitions = 64;
const times = { leaseMs: 600_000, renewMs: 60_000, deadAfterMs: 600_000, answerMarginMs: 0 };
const moment = () => new Promise((resolve) => setTimeout(resolve, 5));

type Given = Pick<Parameters<typeof startOwnership>[0], 'worker' | 'partitions' | 'leases' | 'isSound'>;

/** Whose lease never ends. */
function start(given: Given, onRelease: (partition: number) => void = () => undefined) {
  return startOwnership({
    ...{ ...given, times },
    log: { takePartition: async (partition: number) => ({ partition, epoch: 1 }) } as never,
    clock: { mark: () => ({ monotonic: 0, wall: 0 }), since: () => 0 },
    handlers: {
      take: async () => undefined,
      expect: () => undefined,
      serve: () => undefined,
      release: async (partition) => onRelease(partition),
      reaffirm: async () => undefined,
    },
    onProblem: (error) => assert.unreachable(String(error)),
  });
}

/** One that holds everything. */
async function startOwner({ isSound = (): boolean => true } = {}) {
  const leases = openMemoryLeases();
  const given: number[] = [];
  const worker = createBootId();
  const ownership = start({ worker, partitions, leases, isSound }, (partition) => given.push(partition));
  await ownership.settled();
  assert.is(ownership.serving().length, partitions);
  const lease = async (name = worker) =>
    (await leases.list()).find(({ lease }) => lease.worker === name)?.lease;
  return { worker, leases, ownership, given, lease };
}

const comer = (): Lease => ({ worker: createBootId(), status: 'live', leaving: false, owns: [], reads: [1] });

test('a worker that joins is given its share in parts: each is struck from the lease, and taken before the next', async () => {
  const { leases, ownership, given, lease } = await startOwner();
  const joined = comer();
  await leases.write(joined, 0);
  const sizes: number[] = [];
  while (ownership.serving().length > partitions / 2) {
    const part = await partOf(given);
    sizes.push(part.length);
    // Nothing more before these are taken, whoever wakes it.
    leases.tell({ ...joined, owns: [64 + sizes.length] });
    await moment();
    assert.equal(given, []);
    const owns = (await lease())!.owns;
    assert.is(owns.length, ownership.serving().length);
    assert.is(
      part.some((partition) => owns.includes(partition)),
      false,
    );
    for (const partition of part) ownership.taken(partition);
  }
  assert.is(
    sizes.reduce((sum, size) => sum + size),
    partitions / 2,
  );
  assert.ok(Math.max(...sizes) <= 16 && sizes.length > 1, sizes.join());
  await ownership[Symbol.asyncDispose]();
});

test('a worker that stops says so, and keeps what the others have no hands for yet', async () => {
  const { leases, ownership, given, lease } = await startOwner();
  const other = comer();
  // It holds its share and more, so that nothing is handed over before the stop.
  await leases.write({ ...other, owns: Array.from({ length: 64 }, (_, index) => 100 + index) }, 0);
  let ended = false;
  const stopped = ownership[Symbol.asyncDispose]().then(() => {
    ended = true;
  });
  let left = partitions;
  while (left > 0) {
    const part = await partOf(given);
    left -= part.length;
    const said = await lease();
    if (left > 0) {
      assert.is(said!.leaving, true);
      assert.is(said!.owns.length, left);
    }
    for (const partition of part) ownership.taken(partition);
  }
  await stopped;
  assert.ok(ended);
  assert.is(await lease(), undefined, 'its lease is gone');
});

test('a worker that stops alone, or may not speak for what it holds, gives up everything at once', async () => {
  const alone = await startOwner();
  await alone.ownership[Symbol.asyncDispose]();
  assert.is(alone.given.length, partitions);

  const unsound = await startOwner({ isSound: () => false });
  await unsound.leases.write({ ...comer(), owns: Array.from({ length: 64 }, (_, index) => 100 + index) }, 0);
  await unsound.ownership[Symbol.asyncDispose]();
  assert.is(unsound.given.length, partitions);
});

test('what a worker that stops still holds is nobody else’s, and it gets nothing more', async () => {
  const leaving = { ...comer(), leaving: true, owns: [0, 1, 2] };
  const leases = openMemoryLeases([leaving]);
  await using ownership = start({ worker: createBootId(), partitions: 8, leases });
  const serves = async (count: number) => {
    for (let wait = 0; wait < 2000 && ownership.serving().length !== count; wait++) await moment();
    return ownership.serving().sort();
  };
  assert.equal(await serves(5), [3, 4, 5, 6, 7]);
  await leases.write({ ...leaving, owns: [2] }, 1);
  assert.equal(await serves(7), [0, 1, 3, 4, 5, 6, 7]);
});

/** What was given up since the last time, when it has come to its end. */
async function partOf(given: number[]): Promise<number[]> {
  for (let wait = 0; wait < 2000 && given.length === 0; wait++) await moment();
  assert.ok(given.length > 0, 'nothing is given up');
  await moment();
  return given.splice(0);
}

test.run();
