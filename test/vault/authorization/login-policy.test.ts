import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { type Principal, partitionOf } from '../../../schemas/identity.ts';
import { createCommandId } from '../../../schemas/ids.ts';
import { Secret } from '../../../schemas/secret.ts';
import { openTestVault, tokenSet } from '../../world/vault.ts';
import { type LinkWorld, openLinkWorld, refusalOf } from '../linking/link-world.ts';

const test = suite('login-policy');
const uid = 'interaction-uid-0001';
const chain = ['corporate', 'gitlab', 'github'];
const optional = ['gitlab'];

/** The next leg, and the provider's answer to it. */
async function walkLeg(w: LinkWorld, answer: Record<string, string> = {}, interactionUid = uid) {
  const { signIn: legs } = w.t.vault;
  const { provider, authorizationUrl, browserBinding } = await legs.beginLeg(interactionUid);
  const state = new URL(authorizationUrl).searchParams.get('state')!;
  const parameters = Object.fromEntries(
    Object.entries({ ...answer, state }).map(([name, value]) => [name, new Secret(value)]),
  );
  const request = { providers: [provider], parameters, browserBinding };
  const commandId = createCommandId();
  const complete = () => legs.completeLeg(request, commandId);
  return { provider, complete, status: (await complete()).status };
}

async function openSession(w: LinkWorld, interactionUid = uid) {
  const found = await w.t.vault.signIn.findChain(interactionUid);
  assert.is(found.status, 'complete');
  const { principal } = found as { principal: Principal };
  const partition = partitionOf(principal, w.t.vault.description.partitions);
  const grantId = `grant-of-${interactionUid}`;
  const request = { interactionUid, principal, grantId, clientId: 'client-1', lifetimeSeconds: 3600 };
  const { sessionId } = await w.t.vault.openSession(partition, request);
  return { principal, partition, sessionId, accessToken: new Secret('made by tokenOf') };
}

function skipsOf(facts: Record<string, unknown>[]) {
  return facts.map(({ provider, reason }) => `${provider} ${reason}`);
}

for (const [error, reason] of [
  ['access_denied', 'access_denied'],
  ['clear text of an upstream', 'server_error'],
] as const) {
  test(`an optional provider that answers “${error}” is skipped, and a fact says why`, async () => {
    await using w = await openLinkWorld({ chain, optional });
    await walkLeg(w);
    const leg = await walkLeg(w, { error });
    assert.is(leg.provider, 'gitlab');
    assert.is(leg.status, 'next-leg');
    assert.is((await leg.complete()).status, 'next-leg', 'a repeated command gets the first outcome');
    assert.is((await walkLeg(w)).status, 'complete');
    assert.equal(w.revokedTokens, []);
    const person = await openSession(w);
    assert.is(await w.lookUp(person, 'gitlab'), 'missing');
    assert.is(await w.lookUp(person, 'github'), 'github-access-token-clear');
    const facts = await w.facts('provider-skipped');
    assert.equal(skipsOf(facts), [`gitlab ${reason}`]);
    assert.is(facts[0]!.session, person.sessionId);
    assert.not.match(JSON.stringify(facts), 'clear text');
  });
}

test('a sign-in that the person does not want any more is over: its tokens are revoked, and its open leg leads nowhere', async () => {
  await using w = await openLinkWorld({ chain });
  const { signIn: legs } = w.t.vault;
  await legs.abandonChain(uid);
  assert.is((await legs.findChain(uid)).status, 'open', 'one that has not begun');
  await walkLeg(w);
  const open = await legs.beginLeg(uid);
  await Promise.all([legs.abandonChain(uid), legs.abandonChain(uid)]);
  assert.equal(w.revokedTokens, ['corporate-access-token-clear']);
  assert.equal(await legs.findChain(uid), {
    ...{ status: 'failed', link: null, provider: 'corporate', error: 'access_denied' },
  });
  const state = new Secret(new URL(open.authorizationUrl).searchParams.get('state')!);
  const callback = { providers: ['gitlab'], parameters: { state }, browserBinding: open.browserBinding };
  assert.is(await refusalOf(() => legs.completeLeg(callback, createCommandId())), 'not-found');
});

test('an optional provider whose exchange fails, or that cannot be reached, is skipped', async () => {
  await using w = await openLinkWorld({ chain, optional: ['gitlab', 'github'] });
  await walkLeg(w);
  const { exchange } = w.providers;
  w.providers.exchange = () => Promise.reject(new RefusedError('upstream-unavailable', 'no'));
  assert.is((await walkLeg(w)).status, 'next-leg');
  w.providers.exchange = exchange;
  w.providers.authorize = () => Promise.reject(new Error('away'));
  // No leg is left to go to; the chain is complete without it.
  assert.is(await refusalOf(() => w.t.vault.signIn.beginLeg(uid)), 'upstream-unavailable');
  await openSession(w);
  assert.equal(skipsOf(await w.facts('provider-skipped')), [
    'gitlab temporarily_unavailable',
    'github temporarily_unavailable',
  ]);
});

test('the next leg is that of the first provider that can be reached', async () => {
  await using w = await openLinkWorld({ chain, optional });
  await walkLeg(w);
  const { authorize } = w.providers;
  w.providers.authorize = (provider) =>
    provider === 'gitlab' ? Promise.reject(new Error('away')) : authorize(provider);
  const leg = await walkLeg(w);
  assert.is(leg.provider, 'github');
  assert.is(leg.status, 'complete');
});

test('a required provider that fails after a skipped one ends the sign-in and takes back what it collected', async () => {
  await using w = await openLinkWorld({ chain, optional });
  await walkLeg(w);
  await walkLeg(w, { error: 'access_denied' });
  assert.is((await walkLeg(w, { error: 'access_denied' })).status, 'failed');
  assert.equal(w.revokedTokens, ['corporate-access-token-clear']);
  const ended = await w.t.vault.signIn.findChain(uid);
  assert.equal(ended, { status: 'failed', link: null, provider: 'github', error: 'access_denied' });
});

test('nobody signs in without the first provider, whatever its policy', async () => {
  await using w = await openLinkWorld({ chain });
  assert.is((await walkLeg(w, { error: 'access_denied' })).status, 'failed');
});

test('an account that is linked is not asked for again, and its tokens serve the new session', async () => {
  await using w = await openLinkWorld({ chain, optional });
  // The first session had its own grants of the others; it links an account at GitHub.
  const before = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('linked', Date.now() + 3_600_000));
  await w.link(before, 'github', 'alice-at-github');
  w.providers.tokens.clear();

  await walkLeg(w, { code: 'alice' });
  const { partition, principal } = before;
  const request = { interactionUid: uid, principal };
  assert.equal(await w.t.vault.skipLinked(partition, request), { status: 'next-leg' });
  assert.equal(await w.t.vault.skipLinked(partition, request), { status: 'next-leg' }, 'asked again');
  const leg = await walkLeg(w);
  assert.is(leg.provider, 'gitlab');
  assert.is(leg.status, 'complete');
  assert.equal(await w.t.vault.skipLinked(partition, request), { status: 'complete' });
  const after = await openSession(w);
  assert.is(await w.lookUp(after, 'github'), 'linked-access-token-clear');
  assert.equal(skipsOf(await w.facts('provider-skipped')), ['github linked']);
});

test('an account whose provider has ended it is asked for again', async () => {
  await using w = await openLinkWorld({ chain });
  const before = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('linked', Date.now() + 60_000, false));
  await w.link(before, 'github', 'alice-at-github');
  w.providers.tokens.clear();
  w.clock.aheadMs += 2 * 60_000;
  await walkLeg(w, { code: 'alice' });
  const { partition, principal } = before;
  await w.t.vault.skipLinked(partition, { interactionUid: uid, principal });
  assert.is((await walkLeg(w)).provider, 'gitlab');
  assert.is((await walkLeg(w)).provider, 'github');
});

test('accounts of one person are not looked for in the sign-in of another, nor in another partition', async () => {
  await using w = await openLinkWorld({ chain });
  const alice = await w.signIn('alice');
  await w.link(alice, 'github');
  await walkLeg(w, { code: 'bob' });
  const { skipLinked } = w.t.vault;
  const { partition, principal } = alice;
  const request = { interactionUid: uid, principal };
  assert.is(await refusalOf(() => skipLinked(partition, request)), 'not-found');
  assert.is(await refusalOf(() => skipLinked((partition + 1) % 64, request)), 'invalid-request');
  const strange = { interactionUid: 'interaction-uid-unknown', principal };
  assert.is(await refusalOf(() => skipLinked(partition, strange)), 'not-found');
});

test('an error with an issuer in it is believed only if the provider’s worker finds it to be its own', async () => {
  await using w = await openLinkWorld({ chain });
  const iss = 'https://somebody.example';
  for (const [interactionUid, code, told] of [
    ['interaction-uid-0002', 'invalid-request', 'server_error'],
    ['interaction-uid-0003', 'upstream-refused', 'access_denied'],
  ] as const) {
    w.providers.exchange = () => Promise.reject(new RefusedError(code, 'no'));
    await walkLeg(w, { error: 'access_denied', iss }, interactionUid);
    const found = await w.t.vault.signIn.findChain(interactionUid);
    assert.is(found.status === 'failed' && found.error, told);
  }
});

test('the same name at another provider is somebody else, and a later leg keeps its own', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'] });
  await using other = await openTestVault({ url: w.nats.url, chain: ['gitlab'], keyRing: w.t.keyRing });
  const leg = await other.vault.signIn.beginLeg('interaction-uid-0002');
  const state = new Secret(new URL(leg.authorizationUrl).searchParams.get('state')!);
  const parameters = { state, code: new Secret('alice') };
  const request = { providers: ['gitlab'], parameters, browserBinding: leg.browserBinding };
  await other.vault.signIn.completeLeg(request, createCommandId());
  const atGitlab = await other.vault.signIn.findChain('interaction-uid-0002');

  await walkLeg(w, { code: 'alice' });
  await walkLeg(w, { code: 'alice-at-gitlab' });
  const atCorporate = await w.t.vault.signIn.findChain(uid);
  assert.ok(atCorporate.status === 'complete' && atGitlab.status === 'complete');
  assert.is(atCorporate.principal.iss, atGitlab.principal.iss);
  assert.is.not(atCorporate.principal.sub, atGitlab.principal.sub);
  assert.equal(
    atCorporate.collected.map(({ account }) => account.subject),
    ['alice', 'alice-at-gitlab'],
  );
});

test('the grant of a later provider has the subject of that provider', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'] });
  await walkLeg(w, { code: 'alice' });
  await walkLeg(w, { code: 'alice-at-gitlab' });
  const person = await openSession(w);
  await w.lookUp(person, 'gitlab', { rejected: { gitlab: 1 } });
  assert.is((await w.order(1)).grant.account.subject, 'alice-at-gitlab');
});

test('what an abandoned sign-in collected goes from the bucket ten minutes after its last leg', async () => {
  await using w = await openLinkWorld({ chain });
  await walkLeg(w);
  const manager = await w.t.connection.jetstreamManager();
  const found = await manager.streams.getMessage('KV_AUTH', { last_by_subj: '$KV.AUTH.chain.*' });
  assert.is(found.header.get('Nats-TTL'), '600s');
  w.clock.aheadMs += 10 * 60_000;
  assert.equal(await w.t.vault.signIn.findChain(uid), {
    ...{ status: 'open', link: null, principal: null, collected: [], skipped: [], legs: 0 },
  });
});

test.run();
