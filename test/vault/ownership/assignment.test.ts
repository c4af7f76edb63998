import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../../schemas/ids.ts';
import { assignPartitions } from '../../../vault/ownership/assignment.ts';

const test = suite('assignment of partitions');
const partitions = 64;

type Holders = Map<string, number[]>;

function holdersOf(assignment: Map<number, string>, workers: readonly string[]): Holders {
  const holders: Holders = new Map(workers.map((worker) => [worker, []]));
  for (const [partition, worker] of assignment) holders.get(worker)?.push(partition);
  return holders;
}

test('every partition has one owner, and nobody more than ceil(P/n), however the workers come and go', () => {
  const change = fc.oneof(fc.constant('join' as const), fc.nat());
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      let holders: Holders = new Map([[createBootId(), []]]);
      for (const next of ['join' as const, ...changes]) {
        const before = holders;
        const workers = [...holders.keys()];
        if (next === 'join') workers.push(createBootId());
        else if (workers.length > 1) workers.splice(next % workers.length, 1);
        const kept: Holders = new Map(workers.map((worker) => [worker, before.get(worker) ?? []]));
        const assignment = assignPartitions(kept, partitions);
        const limit = Math.ceil(partitions / workers.length);
        holders = holdersOf(assignment, workers);
        assert.is(assignment.size, partitions);
        for (const held of holders.values()) assert.ok(held.length <= limit);
        // What a worker gives up is only what stands above the limit.
        for (const [worker, held] of kept) {
          const lost = held.filter((partition) => assignment.get(partition) !== worker);
          assert.is(lost.length, Math.max(0, held.length - limit));
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('the order in which the leases are read makes no difference', () => {
  const workers = Array.from({ length: 5 }, createBootId);
  const one = assignPartitions(new Map(workers.map((worker) => [worker, []])), partitions);
  const other = assignPartitions(new Map(workers.toReversed().map((worker) => [worker, []])), partitions);
  assert.equal([...one].sort(), [...other].sort());
});

test('without workers nothing is assigned', () => {
  assert.is(assignPartitions(new Map(), partitions).size, 0);
});

test.run();
