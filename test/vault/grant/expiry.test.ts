/**
 * The whole table of what a provider may say of its tokens, against what then is the end of a grant: of a session that
 * lives or has ended, and of a linked account that is used or idle.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decide } from '../../../vault/grant/decide.ts';
import { evictableAt, type GrantBound, keepAliveFrom } from '../../../vault/grant/expiry.ts';
import { grantTokens, linkGrant, run, tokens } from './commands.ts';

const test = suite('expiry');

const [past, early, late, end, beyond] = [500, 1_000, 2_000, 3_000, 4_000];
const now = 800;

/** access expiry, refresh expiry (`none`: there is no refresh token; null: not said), the end with a session that ends at `end`, that of a linked account which may lie idle until then, why */
const table: [number | null, number | null | 'none', number, number, string][] = [
  [past, 'none', past, past, 'a dead token that nothing can follow'],
  [early, 'none', early, early, 'nothing can follow the access token'],
  [beyond, 'none', end, beyond, 'an access token that outlives its bound'],
  [null, 'none', end, end, 'a token that does not expire is bounded'],
  [past, past, past, past, 'both have passed'],
  [past, late, late, late, 'a dead access token does not take a live refresh token with it'],
  [past, beyond, end, beyond, 'dead beside a refresh token that outlives its bound'],
  [past, null, end, end, 'dead beside a refresh token of which nobody knows'],
  [early, early, early, early, 'both at once'],
  [early, late, late, late, 'refresh outlives access'],
  [late, early, late, late, 'a refresh token that is shorter than the access token does not take it with it'],
  [late, past, late, late, 'a refresh token that has passed does not either'],
  [early, beyond, end, beyond, 'a refresh token that outlives its bound'],
  [beyond, early, end, beyond, 'an access token that outlives its bound, and refresh shorter'],
  [beyond, past, end, beyond, 'an access token that outlives its bound, and refresh passed'],
  [beyond, beyond, end, beyond, 'both outlive their bound'],
  [early, null, end, end, 'an unknown refresh expiry is bounded'],
  [beyond, null, end, beyond, 'unknown beside an access token that outlives its bound'],
  [null, past, end, end, 'an access token that does not expire outlives its refresh token'],
  [null, early, end, end, 'the same while the refresh token lives'],
  [null, beyond, end, beyond, 'an access token that does not expire, beside a long refresh token'],
  [null, null, end, end, 'nothing is known'],
];

const session: GrantBound = { kind: 'session', endsAt: end };
const ended: GrantBound = { kind: 'session', endsAt: past };
const used: GrantBound = { kind: 'linked', idleEndsAt: end };
const idle: GrantBound = { kind: 'linked', idleEndsAt: past };
const said = (time: number | null | 'none') => time ?? 'not said';

for (const [accessExpiresAt, refresh, ofSession, ofLinked, why] of table) {
  const hasRefreshToken = refresh !== 'none';
  const refreshExpiresAt = refresh === 'none' ? null : refresh;
  const times = { accessExpiresAt, hasRefreshToken, refreshExpiresAt };

  test(`access ${said(accessExpiresAt)}, refresh ${said(refresh)}: ${why}`, () => {
    assert.is(evictableAt(times, session), ofSession, 'session alive');
    assert.ok(evictableAt(times, ended) <= past, 'session ended');
    assert.is(evictableAt(times, used), ofLinked, 'linked, used');
    // What is known stays; what is not has passed.
    const known = [accessExpiresAt, hasRefreshToken ? refreshExpiresAt : accessExpiresAt];
    assert.is(evictableAt(times, idle), Math.max(...known.map((time) => time ?? past)), 'linked, idle');
  });

  test(`evicted by the rule just when it may go: access ${said(accessExpiresAt)}, refresh ${said(refresh)}`, () => {
    const set = tokens('a', {
      expiresAt: accessExpiresAt,
      refreshExpiresAt,
      ...(!hasRefreshToken && { refreshToken: null }),
    });
    const ofSessionGrant = run({ ...grantTokens('a'), tokens: set }).state;
    const ofLink = run(linkGrant('a', { tokens: set, at: 0 })).state;
    const evict = (at: number, sessionEndsAt: number | null, linkedIdleMs: number) =>
      ({ type: 'EvictGrant', at, sessionEndsAt, linkedIdleMs }) as const;
    for (const at of [now, early, late, end, beyond]) {
      const byRule = decide(evict(at, end, 0), ofSessionGrant)?.type === 'GrantEvicted';
      assert.is(byRule, ofSession <= at, `session alive, at ${at}`);
      assert.is(decide(evict(at, null, 0), ofSessionGrant)?.type, 'GrantEvicted', `session ended, at ${at}`);
      const linked = decide(evict(at, null, end), ofLink)?.type === 'GrantEvicted';
      assert.is(linked, ofLinked <= at, `linked, used, at ${at}`);
      const lyingIdle = decide(evict(at, null, past), ofLink)?.type === 'GrantEvicted';
      assert.is(lyingIdle, evictableAt(times, idle) <= at, `linked, idle, at ${at}`);
    }
  });
}

test('an expiry that is named for a refresh token that is not there counts for nothing', () => {
  const times = { accessExpiresAt: early, hasRefreshToken: false, refreshExpiresAt: late };
  for (const bound of [session, used]) assert.is(evictableAt(times, bound), early);
});

test('a use prolongs a linked account by its idle time, where the provider said nothing', () => {
  const lasting = linkGrant('a', { tokens: tokens('a', { expiresAt: null, refreshToken: null }) });
  const { state } = run(lasting, { type: 'RecordUse', at: 2_000, usedAt: 1_900 });
  const evict = (at: number) =>
    decide({ type: 'EvictGrant', at, sessionEndsAt: null, linkedIdleMs: 1_000 }, state);
  assert.is(evict(2_899), null);
  assert.is(evict(2_900)?.type, 'GrantEvicted');
});

const hour = 3_600_000;
const idOf = (place: string) => `grt_${'g'.repeat(24)}${place}`;
const [first, last] = [idOf('AAAAAAAA'), idOf('________')];
const life = { obtainedAt: 0, refreshExpiresAt: 24 * hour, hasRefreshToken: true };
const lives: [string, Parameters<typeof keepAliveFrom>[0], number | null][] = [
  ['its middle at the earliest', { ...life, grantId: first }, 12 * hour],
  ['its third quarter at the latest', { ...life, grantId: last }, 18 * hour - 1],
  ['never if there is none', { ...life, grantId: first, hasRefreshToken: false }, null],
  ['never if nobody knows', { ...life, grantId: first, refreshExpiresAt: null }, null],
  ['never if it is nearly over', { ...life, grantId: first, refreshExpiresAt: 2 * hour - 1 }, null],
];
for (const [what, times, from] of lives) {
  test(`a refresh token is kept alive from ${what}`, () => {
    assert.is(keepAliveFrom(times), from);
  });
}

test.run();
