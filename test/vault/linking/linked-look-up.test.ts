/** Of the two grants that a person can have at a provider the session's comes first, and gives way where it is over. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tokenSet } from '../../world/vault.ts';
import { failedWith, refreshedTo } from '../refresh/refresh-world.ts';
import { eventually, openLinkWorld } from './link-world.ts';

const test = suite('linked look-up');

const hour = 3_600_000;
const both = { chain: ['corporate', 'gitlab'] };
const linkedToken = 'linked-access-token-clear';
const sessionToken = 'session-access-token-clear';

/** A person with a session's grant and a linked account at gitlab. */
async function openWorldOfBoth(expiresInMs = hour) {
  const w = await openLinkWorld(both);
  w.providers.tokens.set('gitlab', tokenSet('session', Date.now() + expiresInMs));
  const alice = await w.signIn('alice');
  w.providers.tokens.set('gitlab', tokenSet('linked', Date.now() + 24 * hour));
  await w.link(alice, 'gitlab');
  return { w, alice };
}

test('the grant of the session comes first, and the linked account where the session has none', async () => {
  const { w, alice } = await openWorldOfBoth();
  await using _ = w;
  assert.is(await w.lookUp(alice, 'gitlab'), sessionToken);
  w.providers.tokens.set('github', tokenSet('github', Date.now() + hour));
  await w.link(alice, 'github');
  assert.is(await w.lookUp(alice, 'github'), 'github-access-token-clear');
});

test('a session’s grant that needs the person again gives way, at once and from then on', async () => {
  const { w, alice } = await openWorldOfBoth(-1000);
  await using _ = w;
  const found = w.lookUp(alice, 'gitlab');
  const order = await w.order(1);
  assert.ok(order.grant.sessionId, 'it is the session’s that is refreshed');
  await w.deliver(order, failedWith('invalid-grant'));
  const first = await found;
  // A busy machine may have said that it goes on.
  assert.ok(first === linkedToken || first === 'pending', first);
  assert.is(await w.lookUp(alice, 'gitlab'), linkedToken);
  assert.is(w.providers.refreshes.length, 1);
});

test('where both need the person again, that is the answer', async () => {
  const { w, alice } = await openWorldOfBoth(-1000);
  await using _ = w;
  w.clock.aheadMs = 25 * hour;
  const bob = await w.signIn('bob');
  w.providers.tokens.set('gitlab', tokenSet('linked', Date.now()));
  await w.link(bob, 'gitlab');
  for (let n = 1; n <= 2; n++) {
    await w.lookUp(bob, 'gitlab');
    await w.deliver(await w.order(n), failedWith('invalid-grant'));
  }
  await eventually(async () => (await w.lookUp(bob, 'gitlab')) === 'reauth-required');
  assert.equal(
    w.providers.refreshes.map(({ grant }) => grant.sessionId === null),
    [false, true],
  );
  assert.not.equal(alice.principal, bob.principal);
});

test('a session’s grant that was let go gives way too', async () => {
  const { w, alice } = await openWorldOfBoth();
  await using _ = w;
  await w.t.vault.operator.revokeGrants(alice.partition, {
    principal: alice.principal,
    provider: 'gitlab',
  });
  assert.is(await w.lookUp(alice, 'gitlab'), 'missing');
  w.providers.tokens.set('gitlab', tokenSet('again', Date.now() + hour));
  w.clock.aheadMs = 1000;
  await w.link(alice, 'gitlab');
  assert.is(await w.lookUp(alice, 'gitlab'), 'again-access-token-clear');
});

test('a linked account is refreshed on demand, once for all who wait, and when its token was rejected', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('old', Date.now() - 1000));
  await w.link(alice, 'github');
  const waiting = Array.from({ length: 50 }, () => w.lookUp(alice, 'github'));
  const order = await w.order(1);
  assert.is(order.grant.sessionId, null);
  await w.deliver(order, refreshedTo('new', 24 * hour));
  await Promise.all(waiting);
  assert.is(await w.lookUp(alice, 'github'), 'new-access-token-clear');
  assert.is(w.providers.refreshes.length, 1);
  const rejected = w.lookUp(alice, 'github', { rejected: { github: 2 } });
  const forced = await w.order(2);
  await w.deliver(forced, refreshedTo('newest', 24 * hour));
  await rejected;
  assert.is(await w.lookUp(alice, 'github', { rejected: { github: 2 } }), 'newest-access-token-clear');
  assert.is(w.providers.refreshes.length, 2);
  assert.equal(w.t.problems, []);
});

test('linked again an account that needed the person is whole', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('old', Date.now() - 1000));
  await w.link(alice, 'github');
  await w.lookUp(alice, 'github');
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  assert.is(await w.lookUp(alice, 'github'), 'reauth-required');
  w.providers.tokens.set('github', tokenSet('healed', Date.now() + hour));
  await w.link(alice, 'github');
  assert.is(await w.lookUp(alice, 'github'), 'healed-access-token-clear');
});

test('a look-up of a linked account writes nothing', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  await w.link(alice, 'github');
  const manager = await w.t.connection.jetstreamManager();
  const lastOf = async () => (await manager.streams.info('VAULT')).state.last_seq;
  const before = await lastOf();
  for (let n = 0; n < 20; n++) await w.lookUp(alice, 'github');
  assert.is(await lastOf(), before);
});

test.run();
