import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestoreTokens, StartRefresh, TokenPlace } from '../../../vault/grant/commands.ts';
import { decide, isOtherAccount } from '../../../vault/grant/decide.ts';
import { noGrant } from '../../../vault/grant/state.ts';
import {
  account,
  claim,
  failed,
  grantTokens,
  linkGrant,
  linkId,
  refreshed,
  run,
  startRefresh,
  tokens,
} from './commands.ts';

const test = suite('decide');

const types = (events: readonly ({ type: string } | null)[]) => events.map((event) => event?.type ?? null);

test('nothing is to be done about a grant that is not there', () => {
  for (const command of [startRefresh(1), refreshed(1, 'b'), failed(1, 'invalid-grant')])
    assert.is(decide(command, noGrant), null);
});

test('granted tokens are version 1, and those of a later sign-in the next version', () => {
  assert.is(run(grantTokens('a')).held.version, 1);
  assert.is(run(grantTokens('a'), grantTokens('b')).held.version, 2);
});

const needs: readonly [string, Parameters<typeof startRefresh>[1], boolean][] = [
  ['lives longer than it is needed', { at: 0, neededUntil: 9_999 }, false],
  ['ends just when it is needed', { at: 0, neededUntil: 10_000 }, true],
  ['has expired', { at: 20_000, neededUntil: 20_000 }, true],
  ['was rejected at this version', { at: 0, neededUntil: 0, rejectedVersion: 1 }, true],
  ['was rejected at another version', { at: 0, neededUntil: 0, rejectedVersion: 2 }, false],
];
for (const [what, change, starts] of needs) {
  test(`a token that ${what} is ${starts ? '' : 'not '}refreshed`, () => {
    const { events } = run(grantTokens('a'), startRefresh(1, change));
    assert.is(events[1]?.type ?? null, starts ? 'RefreshStarted' : null);
  });
}

test('a token that does not expire is refreshed when it is rejected, and not before', () => {
  const lasting = grantTokens('a', { expiresAt: null });
  assert.is(run(lasting, startRefresh(1, { neededUntil: 10 ** 15 })).events[1], null);
  assert.is(run(lasting, startRefresh(1, { rejectedVersion: 1 })).events[1]!.type, 'RefreshStarted');
});

test('while a claim is open there is no second one', () => {
  const { events, held } = run(grantTokens('a'), startRefresh(1), startRefresh(2, { rejectedVersion: 1 }));
  assert.is(events[2], null);
  assert.equal(held.startedClaims, [claim(1)]);
});

test('a claim without outcome is taken over at its deadline', () => {
  const { held } = run(grantTokens('a'), startRefresh(1), startRefresh(2, { at: 39_000 }));
  assert.is(held.refresh.status === 'claimed' && held.refresh.claimId, claim(2));
});

const reuses: [string, StartRefresh['reuse'], number, boolean][] = [
  ['revokes: waits for the outcome while the access token lives', { policy: 'revokes' }, 40_000, false],
  ['revokes: takes over when the access token is nearly spent', { policy: 'revokes' }, 96_000, true],
  [
    'leeway: takes over while the old token still works',
    { policy: 'leeway', leewayMs: 60_000 },
    40_000,
    true,
  ],
  ['leeway: waits after that', { policy: 'leeway', leewayMs: 60_000 }, 75_000, false],
  ['tolerant: takes over at the deadline', { policy: 'tolerant' }, 39_000, true],
  ['tolerant: not before', { policy: 'tolerant' }, 38_000, false],
];
for (const [name, reuse, at, takenOver] of reuses) {
  test(`a claim without outcome, ${name}`, () => {
    // The claim of 9 s ends at 39 s, the access token at 100 s.
    const expiring = { neededUntil: 200_000, reuse };
    const { events } = run(
      grantTokens('a', { expiresAt: 100_000 }),
      startRefresh(1, expiring),
      startRefresh(2, { at, ...expiring }),
    );
    assert.is(events[2]?.type === 'RefreshStarted', takenOver);
  });
}

test('a token that a backend rejects is of no use: its late claim is taken over whatever the provider does', () => {
  const { held } = run(
    grantTokens('a', { expiresAt: 100_000 }),
    startRefresh(1, { neededUntil: 200_000 }),
    startRefresh(2, { at: 40_000, rejectedVersion: 1, reuse: { policy: 'revokes' } }),
  );
  assert.is(held.refresh.status === 'claimed' && held.refresh.claimId, claim(2));
});

test('without a refresh token a living access token is kept', () => {
  const bare = grantTokens('a', { refreshToken: null });
  assert.is(run(bare, startRefresh(1)).events[1], null);
  const dead = run(bare, startRefresh(1, { at: 10_000 }));
  assert.is(dead.held.refresh.status, 'reauth-required');
  assert.is(run(bare, startRefresh(1, { rejectedVersion: 1 })).held.refresh.status, 'reauth-required');
});

test('an answer without refresh_token, id_token and scope keeps the old ones', () => {
  const { held } = run(
    grantTokens('a', { refreshExpiresAt: 90_000 }),
    startRefresh(1),
    refreshed(1, 'b', { refreshToken: null, idToken: null, scope: null, refreshExpiresAt: null }),
  );
  assert.is(held.tokens.accessToken.reveal(), 'access-b');
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-a');
  assert.is(held.tokens.idToken!.reveal(), 'id-a');
  assert.is(held.tokens.scope, 'scope-a');
  assert.is(held.tokens.refreshExpiresAt, 90_000);
});

test('a rotated refresh token does not inherit the end of the old one', () => {
  const { held } = run(
    grantTokens('a', { refreshExpiresAt: 90_000 }),
    startRefresh(1),
    refreshed(1, 'b', { refreshExpiresAt: null }),
  );
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-b');
  assert.is(held.tokens.refreshExpiresAt, null);
});

test('owner, account and registration stay with the grant', () => {
  const granted = run(grantTokens('a')).held;
  const { held } = run(grantTokens('a'), startRefresh(1), refreshed(1, 'b'));
  for (const key of ['grantId', 'principalKey', 'provider', 'sessionId', 'registration', 'account'] as const)
    assert.equal(held[key], granted[key]);
});

for (const reason of ['invalid-grant', 'registration-gone'] as const) {
  test(`${reason} is final`, () => {
    const { held, events } = run(
      grantTokens('a'),
      startRefresh(1),
      failed(1, reason),
      startRefresh(2, { at: 10 ** 12, rejectedVersion: 1 }),
    );
    assert.equal(held.refresh, { status: 'reauth-required', reason });
    assert.is(events[3], null);
    assert.is(held.tokens.refreshToken!.reveal(), 'refresh-a');
  });
}

for (const reason of ['provider-unavailable', 'provider-configuration'] as const) {
  test(`${reason} is not: it is tried again when its time has come, and the failures are counted`, () => {
    const { held, events } = run(
      grantTokens('a'),
      startRefresh(1),
      failed(1, reason, 20_000),
      startRefresh(2, { at: 19_999 }),
      startRefresh(3, { at: 20_000 }),
      failed(3, reason, 30_000),
    );
    assert.equal(types(events), [
      'TokensGranted',
      'RefreshStarted',
      'RefreshFailed',
      null,
      'RefreshStarted',
      'RefreshFailed',
    ]);
    assert.equal(held.refresh, { status: 'waiting', failures: 2, retryAt: 30_000 });
  });
}

test('a success forgets the failures', () => {
  const { held } = run(
    grantTokens('a'),
    startRefresh(1),
    failed(1, 'provider-unavailable', 0),
    startRefresh(2),
    refreshed(2, 'b'),
    startRefresh(3, { at: 9_900 }),
    failed(3, 'provider-unavailable', 99_000),
  );
  assert.equal(held.refresh, { status: 'waiting', failures: 1, retryAt: 99_000 });
});

test('a failure of a claim that was taken over changes nothing', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 39_000 }),
    failed(1, 'invalid-grant'),
  );
  assert.is(events[3], null);
  assert.is(held.refresh.status, 'claimed');
});

test('a repeated delivery changes nothing, not even while the next refresh runs', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    refreshed(1, 'b'),
    refreshed(1, 'b'),
    startRefresh(2, { at: 9_900 }),
    refreshed(1, 'b'),
    refreshed(2, 'c'),
    refreshed(1, 'b'),
    refreshed(2, 'c'),
  );
  assert.equal(types(events), [
    'TokensGranted',
    'RefreshStarted',
    'TokensRefreshed',
    null,
    'RefreshStarted',
    null,
    'TokensRefreshed',
    null,
    null,
  ]);
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-c');
  assert.is(held.version, 3);
});

test('tokens of a claim that was taken over are kept, and those of its successor after them', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 39_000 }),
    refreshed(1, 'b'),
    refreshed(2, 'c'),
  );
  assert.equal(types(events.slice(3)), ['TokensRefreshed', 'TokensRefreshed']);
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-c');
  assert.is(held.version, 3);
});

test('tokens of a claim that was taken over do not replace those of its successor', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 39_000 }),
    refreshed(2, 'c'),
    refreshed(1, 'b'),
  );
  assert.is(events[4], null);
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-c');
});

test('a refusal that the successor got is undone by tokens that come late', () => {
  const { held } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 39_000 }),
    failed(2, 'invalid-grant'),
    refreshed(1, 'b'),
  );
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-b');
  assert.is(held.refresh.status, 'idle');
});

test('a refusal of the old refresh token does not end a grant that has a newer one', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 39_000 }),
    refreshed(1, 'b'),
    failed(2, 'invalid-grant'),
  );
  assert.is(events[4], null);
  assert.is(held.refresh.status, 'idle');
});

test('tokens after a failure of the same claim are kept: the provider gave them all the same', () => {
  const { held } = run(
    grantTokens('a'),
    startRefresh(1),
    failed(1, 'provider-unavailable'),
    refreshed(1, 'b'),
  );
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-b');
});

test('a new sign-in overtakes every refresh that was under way', () => {
  const { held, events } = run(grantTokens('a'), startRefresh(1), grantTokens('b'), refreshed(1, 'c'));
  assert.is(events[3], null);
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-b');
});

test('a provider that is down for long does not make a grant grow', () => {
  const commands = Array.from({ length: 500 }, (_, n) => [
    startRefresh(n, { at: 10_000 + n }),
    failed(n, 'provider-unavailable', 0),
  ]);
  const { held } = run(grantTokens('a'), ...commands.flat());
  assert.ok(held.startedClaims.length <= 16);
  assert.is(held.startedClaims.at(-1), claim(499));
});

test('a link is version 1, another one of the same account the next, the same one again nothing', () => {
  const { events, held } = run(linkGrant('one'), linkGrant('two'), linkGrant('two'));
  assert.equal(types(events), ['GrantLinked', 'GrantLinked', null]);
  assert.equal([held.version, held.linkId, held.sessionId, held.usedAt], [2, linkId('two'), null, 0]);
});

test('another account does not take the place of a linked one, and does when that is gone', () => {
  const other = linkGrant('two', { account: { ...account, subject: 'mallory' } });
  const { events, state } = run(linkGrant('one'), other);
  assert.is(events[1], null);
  assert.ok(isOtherAccount(other, state));
  const revoke = { type: 'RevokeGrant', at: 1, reason: 'unlinked' } as const;
  assert.is(run(linkGrant('one'), revoke, other).held.account.subject, 'mallory');
});

test('linked again a grant that needed the person is whole, and an open claim is none of it', () => {
  const refused = run(linkGrant('one'), startRefresh(1), failed(1, 'invalid-grant'), linkGrant('two'));
  assert.is(refused.held.refresh.status, 'idle');
  const claimed = run(linkGrant('one'), startRefresh(1), linkGrant('two'), refreshed(1, 'late'));
  assert.is(claimed.events[3], null);
  assert.is(claimed.held.tokens.accessToken.reveal(), 'access-two');
});

test('a revocation takes effect while a claim is open, and nothing comes after it', () => {
  const revoke = { type: 'RevokeGrant', at: 9_100, reason: 'operator' } as const;
  const { events, state } = run(grantTokens('a'), startRefresh(1), revoke, refreshed(1, 'b'), revoke);
  assert.equal(types(events).slice(2), ['GrantRevoked', null, null]);
  assert.is(state, noGrant);
});

test('a use is written of a linked account alone, if it is newer, and not beside a claim or a failure', () => {
  const use = (usedAt: number) => ({ type: 'RecordUse', at: usedAt, usedAt }) as const;
  assert.is(run(grantTokens('a'), use(5)).events[1], null);
  const { events, held } = run(linkGrant('one'), use(5), use(5), use(4));
  assert.equal(types(events), ['GrantLinked', 'GrantUsed', null, null]);
  assert.equal([held.usedAt, held.version, held.obtainedAt], [5, 1, 0]);
  assert.is(run(linkGrant('one'), startRefresh(1), use(9_100)).events[2], null);
  assert.is(
    run(linkGrant('one'), startRefresh(1), failed(1, 'provider-unavailable'), use(9_600)).events[3],
    null,
  );
});

test('a refresh of a linked account tells of its last use, and of none where nobody used it', () => {
  const { held } = run(linkGrant('one'), startRefresh(1), refreshed(1, 'b', {}, 9_500, 9_000));
  assert.is(held.usedAt, 9_000);
  assert.is(run(linkGrant('one'), startRefresh(1), refreshed(1, 'b')).held.usedAt, 0);
  assert.is(run(grantTokens('a'), startRefresh(1), refreshed(1, 'b', {}, 9_500, 9_000)).held.usedAt, null);
});

test('kept alive is the version that was due, also if its access token lives', () => {
  const lasting = linkGrant('one', { tokens: tokens('one', { expiresAt: null }) });
  const keep = (keepAliveVersion: number) => startRefresh(1, { neededUntil: 0, keepAliveVersion });
  const started = run(lasting, keep(1)).events[1];
  assert.is(started?.type === 'RefreshStarted' && started.reason, 'keep-alive');
  assert.is(run(lasting, keep(2)).events[1], null);
  const without = linkGrant('one', { tokens: tokens('one', { expiresAt: null, refreshToken: null }) });
  assert.is(run(without, keep(1)).events[1], null);
});

/** By default of tokens that are two versions newer, and were got later, than those of `grantTokens('a')`. */
const restored = (n: number, name: string, change: Partial<TokenPlace> = {}): RestoreTokens => ({
  type: 'RestoreTokens',
  at: 90_000,
  claimId: claim(n),
  tokens: tokens(name),
  place: { version: 3, obtainedAt: 20_000, linkId: null, ...change },
});

test('tokens that a log has lost come back as the version that they were, got when they were got', () => {
  const { held, events } = run(
    grantTokens('a'),
    startRefresh(1),
    startRefresh(2, { at: 50_000 }),
    restored(1, 'b'),
  );
  const event = events[3];
  assert.is(event?.type === 'TokensRefreshed' && event.reason, 'repaired-from-outbox');
  assert.equal([held.version, held.obtainedAt, held.tokens.refreshToken!.reveal()], [3, 20_000, 'refresh-b']);
  assert.is(held.refresh.status, 'idle');
  // Whoever came after it may still bring something newer.
  assert.equal(held.startedClaims, [claim(2)]);
  const final = run(grantTokens('a'), startRefresh(1), failed(1, 'invalid-grant'), restored(9, 'b'));
  assert.is(final.held.refresh.status, 'idle', 'they may be good where older ones were refused');
});

const older: readonly [string, Partial<TokenPlace>][] = [
  ['of the version that is there', { version: 1 }],
  ['got before those that are there', { obtainedAt: -1 }],
  ['of another link', { linkId: linkId('other') }],
];
for (const [what, change] of older) {
  test(`lost tokens ${what} do not come back`, () => {
    assert.is(run(grantTokens('a'), restored(1, 'b', change)).events[1], null);
  });
}

test('lost tokens of a grant that is not there do not come back', () => {
  assert.is(decide(restored(1, 'b'), noGrant), null);
});

test.run();
