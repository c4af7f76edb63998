/** Two people, ten backends, five strategies, and no wrong token anywhere. Ten thousand calls: test/long/mixed-strategies.ts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeMixedCalls } from '../world/mixed-calls.ts';

const test = suite('mixed strategies');

test('each backend is sent what its strategy says, as the person who calls, through refreshes and exchanges', async () => {
  const report = await makeMixedCalls({ calls: 300, seed: 20_261_126, accessTokenSeconds: 6, refreshes: 4 });
  assert.ok(report.exchanges > 10, 'a refreshed token is exchanged anew');
});

test.run();
