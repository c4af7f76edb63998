/** The whole table of what a provider may say of its tokens, against what then is the end of a grant. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { evictableAt } from '../../../vault/grant/expiry.ts';

const test = suite('expiry');

const [early, late, sessionEndsAt, beyond] = [1_000, 2_000, 3_000, 4_000];

/** access expiry, refresh expiry (`none`: there is no refresh token; null: not said), the end of the grant, why */
const table: [number | null, number | null | 'none', number, string][] = [
  [early, 'none', early, 'nothing can follow the access token'],
  [null, 'none', sessionEndsAt, 'a token that does not expire ends with the session'],
  [beyond, 'none', sessionEndsAt, 'an access token that outlives the session'],
  [early, early, early, 'both at once'],
  [early, late, late, 'a dead access token does not take a live refresh token with it'],
  [late, early, late, 'a refresh token that is shorter than the access token does not take it with it'],
  [early, beyond, sessionEndsAt, 'a refresh token that outlives the session'],
  [beyond, early, sessionEndsAt, 'an access token that outlives session and refresh token'],
  [beyond, beyond, sessionEndsAt, 'both outlive the session'],
  [early, null, sessionEndsAt, 'an unknown refresh expiry is bounded by the session'],
  [beyond, null, sessionEndsAt, 'unknown beside an access token that outlives the session'],
  [null, early, sessionEndsAt, 'an access token that does not expire outlives its refresh token'],
  [null, beyond, sessionEndsAt, 'an access token that does not expire, beside a long refresh token'],
  [null, null, sessionEndsAt, 'nothing is known'],
];

for (const [accessExpiresAt, refresh, end, why] of table) {
  test(`access ${accessExpiresAt ?? 'not said'}, refresh ${refresh ?? 'not said'}: ${why}`, () => {
    const hasRefreshToken = refresh !== 'none';
    const refreshExpiresAt = refresh === 'none' ? null : refresh;
    assert.is(evictableAt({ accessExpiresAt, hasRefreshToken, refreshExpiresAt, sessionEndsAt }), end);
  });
}

test('an expiry that is named for a refresh token that is not there counts for nothing', () => {
  const times = { accessExpiresAt: early, hasRefreshToken: false, refreshExpiresAt: late, sessionEndsAt };
  assert.is(evictableAt(times), early);
});

test.run();
