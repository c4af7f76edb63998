/** What a person approved is kept as long as nothing is said against the person, and no longer. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../schemas/failure.ts';
import { createCommandId } from '../../schemas/ids.ts';
import type { Approvable } from '../../schemas/messages/consent.ts';
import { Secret } from '../../schemas/secret.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { openTestVault, type SignedIn, signIn, type TestVault, tokenSet } from '../world/vault.ts';
import { eventually, minute, openLinkWorld, refusalOf } from './linking/link-world.ts';
import { failedWith } from './refresh/refresh-world.ts';

const test = suite('consents of a person');

const asked: Approvable = { clientId: 'client-1', redirectHost: 'app.example', shown: 'a'.repeat(43) };

/** Signs in, and approves. */
async function approve(opened: TestVault, uid: string) {
  const person = await signIn(opened, uid);
  const { accountSession } = await opened.vault.openAccountSession(person.partition, {
    principal: person.principal,
    grantId: `grant-of-${uid}`,
    approved: asked,
    former: null,
  });
  return { ...person, uid, accountSession };
}
type Approved = Awaited<ReturnType<typeof approve>>;

const isKnown = async ({ vault }: TestVault, { accountSession }: Approved) =>
  (await vault.findApprover(accountSession, asked)) !== null;

const end = (
  { vault }: TestVault,
  { partition, principal, uid }: Approved,
  reason: 'revoked' | 'code-reused',
) => vault.endSession(partition, { principal, grantId: `grant-of-${uid}`, reason });

test('operators see and remove approvals, and who is forgotten is asked again', async () => {
  await using nats = await openNatsServer();
  await using opened = await openTestVault({ url: nats.url });
  const { operator } = opened.vault;
  const ada = await approve(opened, 'interaction-of-ada');
  const userId = ada.principal.sub;
  const [approval] = (await operator.listApprovals(userId)).approvals;
  assert.equal([approval?.clientId, approval?.redirectHost], ['client-1', 'app.example']);
  assert.equal(await operator.removeApprovals(userId, 'client-2'), { removed: 0 });
  assert.ok(await isKnown(opened, ada));
  assert.equal(await operator.removeApprovals(userId, null), { removed: 1 });
  assert.not(await isKnown(opened, ada));

  const again = await approve(opened, 'interaction-of-ada-again');
  assert.ok(await isKnown(opened, again));
  await operator.forgetUser(ada.partition, ada.principal);
  assert.not(await isKnown(opened, again));
  assert.equal(await operator.listApprovals(userId), { approvals: [] });
  // The same person comes back: the browser of before is nobody's.
  const back = await approve(opened, 'interaction-of-ada-back');
  assert.ok(await isKnown(opened, back));
  assert.not(await isKnown(opened, again));
});

test('nothing is remembered of a session that is not there, or somebody else’s', async () => {
  await using nats = await openNatsServer();
  await using opened = await openTestVault({ url: nats.url });
  const ada = await approve(opened, 'interaction-of-ada');
  const bob: SignedIn = await signIn(opened, 'interaction-of-bob', 'the subject of bob');
  await end(opened, ada, 'revoked');
  for (const [who, grantId, code] of [
    [ada, 'grant-of-interaction-of-ada', 'session-ended'],
    [ada, 'grant-of-interaction-of-bob', 'invalid-request'],
    [bob, 'grant-of-nobody-at-all', 'session-ended'],
  ] as const) {
    const request = { principal: who.principal, grantId, approved: asked, former: null };
    const error = await opened.vault.openAccountSession(who.partition, request).then(
      () => null,
      (refused) => refused,
    );
    assert.instance(error, RefusedError);
    assert.is(error.code, code);
  }
  assert.equal((await opened.vault.operator.listApprovals(bob.principal.sub)).approvals, []);
});

test('a client that signs out leaves the approval; a theft ends it with the last session of the person', async () => {
  await using nats = await openNatsServer();
  await using opened = await openTestVault({ url: nats.url });
  const first = await approve(opened, 'interaction-number-1');
  await end(opened, first, 'revoked');
  assert.ok(await isKnown(opened, first), 'the client gave its token back');
  const [second, third] = [
    await approve(opened, 'interaction-number-2'),
    await approve(opened, 'interaction-number-3'),
  ];
  await end(opened, second, 'code-reused');
  assert.ok(await isKnown(opened, third), 'there is another session');
  await end(opened, third, 'code-reused');
  await eventually(async () => !(await isKnown(opened, third)));
  assert.not(await isKnown(opened, first));
  assert.equal((await opened.vault.operator.listApprovals(first.principal.sub)).approvals, []);
});

test('a person whom the first provider refuses is known by no browser any more', async () => {
  await using w = await openLinkWorld({ identityProvider: 'corporate' });
  w.providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 5 * minute));
  const alice = await approve(w.t, 'interaction-of-alice');
  w.clock.aheadMs = 5 * minute + 1000;
  assert.is(await refusalOf(() => w.lookUp(alice, 'gitlab')), 'unavailable', 'the provider is asked');
  assert.ok(await isKnown(w.t, alice));
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  await eventually(async () => !(await isKnown(w.t, alice)));
});

test('who signs out at the first provider is known by no browser any more, once no session is left', async () => {
  await using w = await openLinkWorld();
  const signInAs = async (sid: string) => {
    const claims = Buffer.from(JSON.stringify({ sub: 'alice', sid })).toString('base64url');
    const idToken = new Secret(`e30.${claims}.c2ln`);
    w.providers.tokens.set('corporate', { ...tokenSet('corporate', Date.now() + 60 * minute), idToken });
    return approve(w.t, `interaction-of-alice-${sid}`);
  };
  const signOut = async (session: string) => {
    w.providers.logoutTokens.set(session, { subject: 'alice', session, tokenId: `jti-of-${session}` });
    const said = { provider: 'corporate', logoutToken: new Secret(session) };
    await w.t.vault.upstreamLogouts.receive(said, createCommandId());
  };
  const [one, two] = [await signInAs('one'), await signInAs('two')];
  await signOut('one');
  assert.ok((await isKnown(w.t, one)) && (await isKnown(w.t, two)));
  await signOut('two');
  await eventually(async () => !(await isKnown(w.t, one)) && !(await isKnown(w.t, two)));
});

test('who signs out at the first provider is known by no browser any more, and what they approved stays', async () => {
  await using nats = await openNatsServer();
  await using opened = await openTestVault({ url: nats.url, chain: ['corporate'] });
  const claims = Buffer.from('{"sub":"ada"}').toString('base64url');
  const tokens = tokenSet('corporate', Date.now() + 5 * minute);
  opened.providers.tokens.set('corporate', { ...tokens, idToken: new Secret(`e30.${claims}.c2ln`) });
  const ada = await approve(opened, 'interaction-of-ada');
  assert.ok(await isKnown(opened, ada));
  opened.providers.logoutTokens.set('good', { subject: 'ada', session: null, tokenId: 'one' });
  const told = { provider: 'corporate', logoutToken: new Secret('good') };
  await opened.vault.upstreamLogouts.receive(told, createCommandId());
  await eventually(async () => !(await isKnown(opened, ada)));
  const { approvals } = await opened.vault.operator.listApprovals(ada.principal.sub);
  assert.equal(
    approvals.map(({ clientId }) => clientId),
    ['client-1'],
  );
});

test.run();
