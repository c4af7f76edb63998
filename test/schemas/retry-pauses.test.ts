import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRetryPauses } from '../../schemas/retry-pauses.ts';

const test = suite('retry pauses');

test('at first a refused requester is back soon, later less and less often', () => {
  const pauses = createRetryPauses(() => 1);
  assert.equal(
    [0, 8, 9, 10, 11, 100].map((refusals) => pauses.afterRefusal(refusals)),
    [40, 40, 80, 160, 200, 200],
  );
});

test('many who wait in one process ask together no more often than some', async () => {
  const pauses = createRetryPauses(() => 1);
  const waits = Array.from({ length: 600 }, () => pauses.wait(1));
  assert.is(pauses.afterRefusal(0), 150);
  waits.push(...Array.from({ length: 4000 }, () => pauses.wait(1)));
  assert.is(pauses.afterRefusal(0), 200);
  await Promise.all(waits);
  assert.is(pauses.afterRefusal(0), 40);
});

test('pauses differ, so that not all come back at once', () => {
  const [least, most] = [createRetryPauses(() => 0), createRetryPauses(() => 1)];
  assert.equal([least.afterRefusal(0), most.afterRefusal(0)], [20, 40]);
  assert.equal([least.afterSilence(2), most.afterSilence(2), most.afterSilence(9)], [100, 200, 400]);
});

test.run();
