/** Ten thousand calls of two people to ten backends with mixed strategies, while their tokens are refreshed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeMixedCalls } from '../world/mixed-calls.ts';

const test = suite('mixed strategies');

test('no wrong token anywhere', async () => {
  const report = await makeMixedCalls({ calls: 10_000, seed: 7, accessTokenSeconds: 6, refreshes: 20 });
  assert.ok(report.exchanges > 50);
  console.log(
    `${report.calls} calls, ${report.refreshes} refreshes, ${report.exchanges} exchanges: no wrong token`,
  );
});

test.run();
