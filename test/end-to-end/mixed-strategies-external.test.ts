/** Two people of an external issuer, ten backends with all strategies there are, and no wrong token anywhere. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeMixedCallsOfExternalPeople } from '../world/mixed-calls.ts';

const test = suite('mixed strategies with an external issuer');

test('each backend is sent what its strategy says for the accounts that the person has linked, and no token of the issuer', async () => {
  const report = await makeMixedCallsOfExternalPeople({
    ...{ calls: 300, seed: 20_261_126, accessTokenSeconds: 8, refreshes: 3 },
  });
  assert.ok(report.exchanges > 10, 'a refreshed token is exchanged anew');
});

test.run();
