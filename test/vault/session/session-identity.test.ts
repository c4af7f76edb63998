import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accessTokenClaims, signIn, signingInput, tokenSet } from '../../world/vault.ts';
import { eventually, type LinkWorld, minute, openLinkWorld, refusalOf } from '../linking/link-world.ts';
import { failedWith, refreshedTo } from '../refresh/refresh-world.ts';

const test = suite('session identity');

/** Alice has signed in at `corporate` and linked `github`; her corporate token lives five minutes. */
async function openWorld() {
  const w = await openLinkWorld({ identityProvider: 'corporate' });
  w.providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 5 * minute));
  w.providers.tokens.set('github', tokenSet('github', null));
  const alice = await w.signIn('alice');
  await w.link(alice, 'github');
  return { w, alice };
}

/** As a gateway does, which comes again after `unavailable`. */
async function lookUpUntilAnswered(w: LinkWorld, ...asked: Parameters<LinkWorld['lookUp']>): Promise<string> {
  for (;;) {
    try {
      return await w.lookUp(...asked);
    } catch (error) {
      const { code } = error as { code: string };
      if (code !== 'unavailable') return code;
    }
  }
}

test('who is disabled at the identity provider reaches nothing after its token has expired, linked accounts included', async () => {
  const { w, alice } = await openWorld();
  await using _world = w;
  const { t } = w;
  assert.is(await w.lookUp(alice, 'github'), 'github-access-token-clear');
  w.clock.aheadMs = 5 * minute + 1000;
  assert.is(await refusalOf(() => w.lookUp(alice, 'github')), 'unavailable', 'not before it was asked');
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  assert.is(await lookUpUntilAnswered(w, alice, 'github'), 'session-ended');
  await eventually(async () => (await w.facts('session-ended')).length === 1);
  const [ended] = await w.facts('session-ended');
  assert.equal([ended!.session, ended!.reason], [alice.sessionId, 'identity-refused']);
  const { kid } = t.vault.description.signingKeys[0]!;
  const iat = Math.floor(t.now() / 1000);
  const claims = { ...accessTokenClaims(alice.principal.sub, alice.sessionId), iat, exp: iat + 600 };
  const input = signingInput({ alg: 'ES256', typ: 'at+jwt', kid }, claims);
  assert.is(await refusalOf(() => t.vault.signAccessToken(alice.partition, kid, input)), 'session-ended');

  // The account is kept: back at the company, she has it with her next sign-in.
  w.providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 60 * minute));
  const again = await signIn(t, 'interaction-of-alice-again', 'alice');
  assert.is(await w.lookUp(again, 'github'), 'github-access-token-clear');
});

test('her other sessions are put to the question at once, and end or live by their own answer', async () => {
  const { w, alice } = await openWorld();
  await using _world = w;
  const { t } = w;
  w.providers.tokens.set('corporate', tokenSet('other', Date.now() + 60 * minute));
  const [second, third] = [
    await signIn(t, 'interaction-of-alice-second', 'alice'),
    await signIn(t, 'interaction-of-alice-third', 'alice'),
  ];
  w.clock.aheadMs = 5 * minute + 1000;
  await refusalOf(() => w.lookUp(alice, 'github'));
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  await eventually(() => w.providers.refreshes.length === 3);
  const orderOf = (sessionId: string) =>
    w.providers.refreshes.find(({ grant }) => grant.sessionId === sessionId)!;
  await w.deliver(orderOf(second.sessionId), failedWith('invalid-grant'));
  await w.deliver(orderOf(third.sessionId), refreshedTo('third', 60 * minute));
  assert.is(await lookUpUntilAnswered(w, second, 'github'), 'session-ended');
  assert.is(await lookUpUntilAnswered(w, third, 'github'), 'github-access-token-clear');
});

test('a provider that is down, or that an operator must mend, ends no session and holds nobody up for long', async () => {
  for (const reason of ['provider-unavailable', 'provider-configuration', 'registration-gone'] as const) {
    const { w, alice } = await openWorld();
    await using _world = w;
    w.clock.aheadMs = 5 * minute + 1000;
    assert.is(await refusalOf(() => w.lookUp(alice, 'github')), 'unavailable');
    await w.deliver(await w.order(1), failedWith(reason));
    assert.is(await w.lookUp(alice, 'github'), 'github-access-token-clear', reason);
    w.clock.aheadMs = 15 * minute;
    assert.is(await w.lookUp(alice, 'github'), 'github-access-token-clear', `${reason}, later`);
    const asked = reason === 'registration-gone' ? 1 : 2;
    await eventually(() => w.providers.refreshes.length === asked);
  }
});

test('a session whose identity cannot be refreshed, for there is no refresh token, lives to its own end', async () => {
  await using w = await openLinkWorld({ identityProvider: 'corporate' });
  w.providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 5 * minute, false));
  const alice = await w.signIn('alice');
  await w.link(alice, 'github');
  w.clock.aheadMs = 30 * minute;
  assert.match(await w.lookUp(alice, 'github'), 'github');
  assert.is(w.providers.refreshes.length, 0);
});

test('what another provider refuses ends no session', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'], identityProvider: 'corporate' });
  w.providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 60 * minute));
  w.providers.tokens.set('gitlab', tokenSet('gitlab', Date.now() - 1));
  const alice = await w.signIn('alice');
  assert.is(await w.lookUp(alice, 'gitlab'), 'pending');
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  assert.is(await w.lookUp(alice, 'gitlab'), 'reauth-required');
  assert.is(await w.lookUp(alice, 'corporate'), 'corporate-access-token-clear');
});

test('the identity is refreshed ahead while the session is used for something else', async () => {
  const { w, alice } = await openWorld();
  await using _world = w;
  await w.lookUp(alice, 'github');
  w.clock.aheadMs = 4 * minute + 1000;
  const { grant } = await w.order(1);
  assert.is(grant.provider, 'corporate');
});

test.run();
