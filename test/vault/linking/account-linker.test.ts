/** Accounts are linked by the person who is calling and by nobody else, once, and found behind the session's grants. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createCommandId, createLinkId } from '../../../schemas/ids.ts';
import { Secret } from '../../../schemas/secret.ts';
import { completeLink } from '../../world/linked-account.ts';
import { tokenSet } from '../../world/vault.ts';
import { openLinkWorld, refusalOf } from './link-world.ts';

const test = suite('account linker');

const hour = 3_600_000;

test('a linked account is found in every session of its person, and by nobody else', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  w.providers.tokens.set('github', tokenSet('github-of-alice', Date.now() + hour));
  const linked = await w.link(alice, 'github', 'alice-at-github');
  assert.equal(linked, {
    status: 'linked',
    provider: 'github',
    account: { subject: 'alice-at-github', name: 'Alice Example', email: 'alice@corporate.example' },
  });
  assert.is(await w.lookUp(alice, 'github'), 'github-of-alice-access-token-clear');
  const bob = await w.signIn('bob');
  assert.is(await w.lookUp(bob, 'github'), 'missing');
  // Another session of hers, and the same after a restart from the log.
  w.clock.aheadMs = 10;
  const elsewhere = await w.t.reopen();
  w.t = elsewhere;
  assert.is(await w.lookUp(alice, 'github'), 'github-of-alice-access-token-clear');
  w.clock.aheadMs = 2 * hour;
  assert.is(await refusalOf(() => w.lookUp(alice, 'github')), 'session-ended', 'the session must live');
  assert.equal(w.t.problems, []);
});

test('the fact of a link names the grant, and no session', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  await w.link(alice, 'github', 'alice-at-github');
  const [fact, ...more] = await w.facts('grant-linked');
  assert.equal(more, []);
  assert.equal([fact?.session, fact?.provider, fact?.version, fact?.reason], [null, 'github', 1, null]);
  assert.not.match(JSON.stringify(fact), /alice/);
});

test('whose account it is can be asked before it is linked, and nothing is linked by that', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const interactionUid = await completeLink(w.t, alice, 'github', 'alice-at-github');
  const ask = (confirmed: boolean) =>
    w.t.vault.linker.link(alice.partition, { accessToken: alice.accessToken, interactionUid, confirmed });
  assert.is((await ask(false)).status, 'to-confirm');
  assert.is((await ask(false)).account.subject, 'alice-at-github');
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  const linked = await ask(true);
  assert.is(linked.status, 'linked');
  assert.equal(await ask(true), linked, 'repeated it says the same');
  assert.equal(await ask(false), linked);
  const log = await w.readLog();
  assert.is(log.filter(({ type }) => type === 'GrantLinked').length, 1);
  w.t = await w.t.reopen();
  assert.equal(await ask(true), linked, 'to a successor too');
});

test('the link of somebody else, a sign-in, and a link that is not complete become no linked account', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const bob = await w.signIn('bob');
  const ofAlice = await completeLink(w.t, alice, 'github', 'alice-at-github');
  const { accessToken, partition } = bob;
  const link = (interactionUid: string) =>
    refusalOf(() => w.t.vault.linker.link(partition, { accessToken, interactionUid, confirmed: true }));
  assert.is(await link(ofAlice), 'not-found');
  assert.is(await link(createLinkId()), 'not-found');
  const begun = await w.t.vault.linker.begin(partition, { accessToken, provider: 'github' });
  assert.is(await link(begun.interactionUid), 'not-found', 'before its leg has come back');
  // A sign-in of bob's own that is complete.
  const leg = await w.t.vault.signIn.beginLeg('interaction-of-bob-again');
  const state = new Secret(new URL(leg.authorizationUrl).searchParams.get('state')!);
  const parameters = { state, code: new Secret('bob') };
  const request = { providers: ['corporate'], parameters, browserBinding: leg.browserBinding };
  assert.is((await w.t.vault.signIn.completeLeg(request, createCommandId())).status, 'complete');
  assert.is(await link('interaction-of-bob-again'), 'not-found');
  assert.is(await w.lookUp(bob, 'github'), 'missing');
});

test('a link opens no session, and is no sign-in that could begin', async () => {
  await using w = await openLinkWorld({ chain: ['corporate'] });
  const alice = await w.signIn('alice');
  const interactionUid = await completeLink(w.t, alice, 'corporate', 'somebody-else');
  const chain = await w.t.vault.signIn.findChain(interactionUid);
  assert.equal(
    chain.status === 'complete' && chain.principal,
    alice.principal,
    'the caller, not the account',
  );
  const open = { interactionUid, principal: alice.principal, grantId: 'grant-of-the-link-1' };
  const refused = await refusalOf(() =>
    w.t.vault.openSession(alice.partition, { ...open, clientId: 'client-1', lifetimeSeconds: 3600 }),
  );
  assert.is(refused, 'not-found');
  assert.is(await refusalOf(() => w.t.vault.signIn.beginLeg(createLinkId())), 'not-found');
});

test('only who is signed in links, at a provider that there is, in their own partition', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const { linker } = w.t.vault;
  const { accessToken, partition } = alice;
  const begin = (at: number, provider: string, token = accessToken) =>
    refusalOf(() => linker.begin(at, { accessToken: token, provider }));
  assert.is(await begin(partition, 'unknown'), 'invalid-request');
  assert.is(await begin((partition + 1) % 64, 'github'), 'invalid-request');
  assert.is(await begin(partition, 'github', new Secret('no token at all')), 'unauthorized');
  await w.t.vault.endSession(partition, {
    principal: alice.principal,
    grantId: 'grant-of-interaction-of-alice',
    reason: 'revoked',
  });
  assert.is(await begin(partition, 'github'), 'session-ended');
});

test('a link lives ten minutes from its last leg on', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const interactionUid = await completeLink(w.t, alice, 'github', 'alice-at-github');
  w.clock.aheadMs = 11 * 60_000;
  const request = { accessToken: w.tokenOf(alice), interactionUid, confirmed: true };
  assert.is(await refusalOf(() => w.t.vault.linker.link(alice.partition, request)), 'not-found');
});

test('linked again the newer tokens are held; another account is refused until the first is unlinked', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('first', Date.now() + hour));
  const early = await completeLink(w.t, alice, 'github', 'alice-at-github');
  w.providers.tokens.set('github', tokenSet('second', Date.now() + hour));
  await w.link(alice, 'github', 'alice-at-github');
  assert.is(await w.lookUp(alice, 'github'), 'second-access-token-clear');
  // One that was under way meanwhile: confirmed later it is the newer one.
  const request = { accessToken: alice.accessToken, interactionUid: early, confirmed: true };
  await w.t.vault.linker.link(alice.partition, request);
  assert.is(await w.lookUp(alice, 'github'), 'first-access-token-clear');

  w.providers.tokens.set('github', tokenSet('of-another', Date.now() + hour));
  assert.is(await refusalOf(() => w.link(alice, 'github', 'mallory-at-github')), 'conflict');
  assert.is(await w.lookUp(alice, 'github'), 'first-access-token-clear');
  assert.equal(w.revokedTokens, ['of-another-access-token-clear'], 'what is not kept here is not left there');
  const { accessToken, partition } = alice;
  const unlink = () => w.t.vault.linker.unlink(partition, { accessToken, provider: 'github' });
  assert.equal(await unlink(), { status: 'unlinked' });
  assert.equal(await unlink(), { status: 'not-linked' });
  await w.link(alice, 'github', 'mallory-at-github');
  assert.is(await w.lookUp(alice, 'github'), 'of-another-access-token-clear');
});

test('a repetition of a link does not bring back what was unlinked since', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const interactionUid = await completeLink(w.t, alice, 'github', 'alice-at-github');
  const link = () =>
    w.t.vault.linker.link(alice.partition, {
      ...{ accessToken: alice.accessToken, interactionUid, confirmed: true },
    });
  // Its record still says that it can be linked, as after a worker that died in between.
  const jetStream = Object.getPrototypeOf(w.t.connection.jetstream());
  const publish = jetStream.publish;
  jetStream.publish = function (this: unknown, subject: string, ...rest: unknown[]) {
    if (subject.startsWith('$KV.AUTH.chain.')) return Promise.reject(new Error('the worker died'));
    return publish.call(this, subject, ...rest);
  };
  try {
    assert.is((await link()).status, 'linked');
  } finally {
    jetStream.publish = publish;
  }
  w.t = await w.t.reopen();
  const { accessToken, partition } = alice;
  await w.t.vault.linker.unlink(partition, { accessToken, provider: 'github' });
  assert.is(await refusalOf(link), 'not-found');
  w.t = await w.t.reopen();
  assert.is(await refusalOf(link), 'not-found', 'nor at a successor');
  assert.is(await w.lookUp(alice, 'github'), 'missing');
});

test('two who confirm one link at once link it once', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  const interactionUid = await completeLink(w.t, alice, 'github', 'alice-at-github');
  const { accessToken, partition } = alice;
  const request = { accessToken, interactionUid, confirmed: true };
  const answers = await Promise.all([1, 2, 3].map(() => w.t.vault.linker.link(partition, request)));
  for (const { status } of answers) assert.is(status, 'linked');
  assert.is((await w.facts('grant-linked')).length, 1);
});

test('a person who is forgotten holds no linked account either', async () => {
  await using w = await openLinkWorld();
  const alice = await w.signIn('alice');
  await w.link(alice, 'github', 'alice-at-github');
  const underWay = await completeLink(w.t, alice, 'gitlab', 'alice-at-gitlab');
  const forgotten = await w.t.vault.operator.forgetUser(alice.partition, alice.principal);
  assert.equal(forgotten, { sessions: 1, grants: 2, dataKey: true });
  assert.ok((await w.readLog()).every(({ sealed }) => sealed === 0));
  const { accessToken, partition } = alice;
  const request = { accessToken, interactionUid: underWay, confirmed: true };
  assert.is(await refusalOf(() => w.t.vault.linker.link(partition, request)), 'session-ended');
  w.clock.aheadMs = 1000;
  w.providers.tokens.clear();
  const again = await w.t.reopen();
  w.t = again;
  assert.ok((await again.vault.operator.hasForgotten(alice.principal)).forgotten);
});

test.run();
