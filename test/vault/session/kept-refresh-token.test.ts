import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RefreshTokenReuse } from '../../../schemas/config/refresh-token-reuse.ts';
import { type SignedIn, signIn, tokenSet } from '../../world/vault.ts';
import { eventually, type LinkWorld, minute, openLinkWorld } from '../linking/link-world.ts';

const test = suite('kept-refresh-token');

/** Signs in when corporate gives tokens of this name that live for half an hour. */
function signInWith(w: LinkWorld, name: string, refresh: boolean, subject = 'alice') {
  const expiresAt = Date.now() + w.clock.aheadMs + 30 * minute;
  w.providers.tokens.set('corporate', tokenSet(name, expiresAt, refresh));
  return signIn(w.t, `interaction-of-${name}`, subject);
}

/** What is sent to the provider once the tokens of this session have expired. */
async function sentAfterExpiry(w: LinkWorld, person: SignedIn): Promise<string> {
  w.clock.aheadMs += 31 * minute;
  const answer = await w.lookUp(person, 'corporate');
  if (w.providers.refreshes.length === 0) return answer;
  return w.providers.refreshes.at(-1)!.grant.tokens.refreshToken!.reveal();
}

test('a sign-in that brings no refresh token keeps that of the person’s last one', async () => {
  await using w = await openLinkWorld();
  await signInWith(w, 'first-of-all', true);
  w.clock.aheadMs += minute;
  await signInWith(w, 'second-time', true);
  w.clock.aheadMs += minute;
  const again = await signInWith(w, 'third-time-', false);
  assert.is(await w.lookUp(again, 'corporate'), 'third-time--access-token-clear');
  assert.is(await sentAfterExpiry(w, again), 'second-time-refresh-token-clear');
});

test('a refresh token that came is used', async () => {
  await using w = await openLinkWorld();
  await signInWith(w, 'first-of-all', true);
  const again = await signInWith(w, 'second-time', true);
  assert.is(await sentAfterExpiry(w, again), 'second-time-refresh-token-clear');
});

test('another person’s is not kept', async () => {
  await using w = await openLinkWorld();
  await signInWith(w, 'first-of-all', true);
  const bob = await signInWith(w, 'second-time', false, 'bob');
  assert.is(await sentAfterExpiry(w, bob), 'reauth-required');
});

test('one that the provider has refused is not kept', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'first-of-all', true);
  assert.is(await sentAfterExpiry(w, alice), 'first-of-all-refresh-token-clear');
  const refused = { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null } as const;
  await w.deliver(await w.order(1), refused);
  w.providers.refreshes.length = 0;
  const again = await signInWith(w, 'third-time-', false);
  assert.is(await sentAfterExpiry(w, again), 'reauth-required');
});

test('another account’s at a later provider is not kept', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'] });
  await signInWith(w, 'first-of-all', true);
  // The same person, whose account at gitlab is another one now.
  w.providers.tokens.set('gitlab', tokenSet('gitlab', Date.now() + 30 * minute, false));
  const { exchange } = w.providers;
  w.providers.exchange = async (provider, ...rest) => {
    const given = await exchange(provider, ...rest);
    return provider === 'gitlab' ? { ...given, account: { ...given.account, subject: 'another' } } : given;
  };
  const again = await signInWith(w, 'second-time', true);
  w.clock.aheadMs += 31 * minute;
  assert.is(await w.lookUp(again, 'gitlab'), 'reauth-required');
});

for (const reuse of [
  { policy: 'revokes' },
  { policy: 'leeway', leewayMs: 10_000 },
] satisfies RefreshTokenReuse[]) {
  test(`where refresh tokens are used once (${reuse.policy}) two sessions never hold the same one`, async () => {
    await using w = await openLinkWorld({ refreshTokenReuse: new Map([['corporate', reuse]]) });
    await signInWith(w, 'first-of-all', true);
    const again = await signInWith(w, 'second-time', false);
    assert.is(await sentAfterExpiry(w, again), 'reauth-required');
  });
}

test('what one session shares with another is not revoked at the provider before both have ended', async () => {
  await using w = await openLinkWorld();
  const first = await signInWith(w, 'first-of-all', true);
  const second = await signInWith(w, 'second-time', false);
  const end = ({ partition, principal }: SignedIn, grantId: string) =>
    w.t.vault.endSession(partition, { principal, grantId, reason: 'revoked' });
  assert.equal(await end(first, 'grant-of-interaction-of-first-of-all'), { status: 'ended' });
  assert.equal(w.revokedTokens, []);
  assert.is(await sentAfterExpiry(w, second), 'first-of-all-refresh-token-clear');
  assert.equal(await end(second, 'grant-of-interaction-of-second-time'), { status: 'ended' });
  await eventually(() => w.revokedTokens.length > 0);
  assert.equal(w.revokedTokens, ['second-time-access-token-clear']);
});

test('an account that is linked again without a refresh token keeps its former one', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  w.providers.tokens.set('gitlab', tokenSet('first', Date.now() + 30 * minute));
  await w.link(alice, 'gitlab', 'alice-at-gitlab');
  w.providers.tokens.set('gitlab', tokenSet('second', Date.now() + 30 * minute, false));
  await w.link(alice, 'gitlab', 'alice-at-gitlab');
  assert.is(await w.lookUp(alice, 'gitlab'), 'second-access-token-clear');
  w.clock.aheadMs += 31 * minute;
  await w.lookUp(alice, 'gitlab');
  assert.is(w.providers.refreshes[0]?.grant.tokens.refreshToken?.reveal(), 'first-refresh-token-clear');
});

test.run();
