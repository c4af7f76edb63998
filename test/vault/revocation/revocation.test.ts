/**
 * What takes access away goes first: the log, then the provider. A refresh that was under way brings nothing back, and
 * what it got at the provider is revoked there too.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { Secret } from '../../../schemas/secret.ts';
import { signIn, tokenSet } from '../../world/vault.ts';
import { eventually, openLinkWorld, refusalOf } from '../linking/link-world.ts';
import { refreshedTo } from '../refresh/refresh-world.ts';

const test = suite('revocation');

const hour = 3_600_000;

async function openWorld(expiresInMs = hour) {
  const w = await openLinkWorld();
  const alice = await w.signIn('alice');
  w.providers.tokens.set('github', tokenSet('github', Date.now() + expiresInMs));
  await w.link(alice, 'github');
  const { partition } = alice;
  const unlink = () =>
    w.t.vault.linker.unlink(partition, { accessToken: w.tokenOf(alice), provider: 'github' });
  return { w, alice, unlink };
}

test('unlinked an account is gone from look-up, projection and log, and then at its provider', async () => {
  const { w, alice, unlink } = await openWorld();
  await using _ = w;
  let heldAtProvider = '';
  const revoke = w.providers.revoke;
  w.providers.revoke = async (...given) => {
    heldAtProvider = (await w.readLog()).map(({ type }) => type).join();
    await revoke(...given);
  };
  assert.equal(await unlink(), { status: 'unlinked' });
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  const tombstone = (await w.readLog()).find(({ type }) => type === 'GrantRevoked');
  assert.equal([tombstone?.sealed, tombstone?.ttl], [0, '2592000s']);
  await eventually(() => w.revokedTokens.length > 0);
  assert.match(heldAtProvider, 'GrantRevoked');
  assert.not.match(heldAtProvider, 'GrantLinked');
  assert.equal(w.revokedTokens, ['github-access-token-clear']);
  const [fact, ...more] = await w.facts('grant-revoked');
  assert.equal(more, []);
  assert.equal([fact?.reason, fact?.provider, fact?.session], ['unlinked', 'github', null]);
  w.t = await w.t.reopen();
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  assert.equal(w.t.problems, []);
});

test('a provider that does not answer is asked again, and one that refuses is told to the operator', async () => {
  const { w, unlink } = await openWorld();
  await using _ = w;
  let asked = 0;
  w.providers.revoke = async () => {
    asked += 1;
    if (asked === 1) throw new RefusedError('upstream-unavailable', 'the provider is away');
    throw new RefusedError('upstream-refused', 'the provider refused to revoke');
  };
  assert.equal(await unlink(), { status: 'unlinked' }, 'it waits for nobody');
  await eventually(() => w.t.problems.length > 0);
  assert.is(asked, 2, 'a refusal is final');
  const [problem] = w.t.problems as { provider: string; grantId: string }[];
  assert.is(problem?.provider, 'github');
  assert.match(problem!.grantId, /^grt_/);
  assert.not.match(JSON.stringify(problem), /clear/);
});

test('while a refresh is under way it takes effect at once, and what the refresh brings is revoked too', async () => {
  const { w, alice, unlink } = await openWorld(-1000);
  await using _ = w;
  const waiting = w.lookUp(alice, 'github');
  const order = await w.order(1);
  assert.equal(await unlink(), { status: 'unlinked' });
  assert.ok(['missing', 'pending'].includes(await waiting));
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  await w.deliver(order, refreshedTo('late'));
  await eventually(() => w.revokedTokens.length === 2);
  assert.equal(w.revokedTokens, ['github-access-token-clear', 'late-access-token-clear']);
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  assert.equal(w.t.problems, []);
});

test('the successor of the owner knows of the revocation by the log', async () => {
  const { w, alice, unlink } = await openWorld(-1000);
  await using _ = w;
  await w.lookUp(alice, 'github');
  const order = await w.order(1);
  await unlink();
  w.t = await w.t.reopen();
  await w.deliver(order, refreshedTo('late'));
  await eventually(() => w.revokedTokens.includes('late-access-token-clear'));
  assert.is(await w.lookUp(alice, 'github'), 'missing');
});

test('linked anew meanwhile, the outcome of the old grant does not touch the new one', async () => {
  const { w, alice, unlink } = await openWorld(-1000);
  await using _ = w;
  await w.lookUp(alice, 'github');
  const order = await w.order(1);
  await unlink();
  w.clock.aheadMs = 10;
  w.providers.tokens.set('github', tokenSet('anew', Date.now() + hour));
  await w.link(alice, 'github');
  await w.deliver(order, refreshedTo('late'));
  await eventually(() => w.revokedTokens.includes('late-access-token-clear'));
  assert.is(await w.lookUp(alice, 'github'), 'anew-access-token-clear');
});

test('what waited in the outbox for a grant that was taken away is revoked, and waits no longer', async () => {
  const { w, alice, unlink } = await openWorld(-1000);
  await using _ = w;
  await w.lookUp(alice, 'github');
  const order = await w.order(1);
  // The log takes the revocation, and not the outcome that came before it.
  const { connection } = w.t;
  const request = connection.request.bind(connection);
  connection.request = (subject, ...rest) =>
    subject.includes('.tokens-refreshed.')
      ? Promise.reject(Object.assign(new Error('nobody there'), { code: '503' }))
      : request(subject, ...rest);
  await w.deliver(order, refreshedTo('waiting'));
  await unlink();
  w.t = await w.t.reopen();
  await eventually(() => w.revokedTokens.includes('waiting-access-token-clear'));
  const revoked = w.revokedTokens.length;
  w.t = await w.t.reopen();
  assert.is(await w.lookUp(alice, 'github'), 'missing');
  assert.is(w.revokedTokens.length, revoked, 'it is done once');
});

test('a session that is ended goes with its grants in one step, and linked accounts stay', async () => {
  const { w, alice } = await openWorld();
  await using _ = w;
  const { partition, principal } = alice;
  const bob = await w.signIn('bob');
  const end = (grantId = 'grant-of-interaction-of-alice') =>
    w.t.vault.endSession(partition, { principal, grantId, reason: 'revoked' });
  assert.equal(await end('grant-of-interaction-of-bob'), { status: 'not-found' }, 'not somebody else’s');
  assert.equal(await end(), { status: 'ended' });
  assert.equal(await end(), { status: 'not-found' });
  const { accessToken } = alice;
  const request = { accessToken, providers: ['corporate'], minValidSeconds: 0 };
  assert.is(await refusalOf(() => w.t.vault.findUpstreamTokens(partition, request)), 'session-ended');
  assert.is(await w.lookUp(bob, 'corporate'), 'corporate-access-token-clear');
  await eventually(() => w.revokedTokens.length > 0);
  assert.equal(w.revokedTokens, ['corporate-access-token-clear']);
  const [ended] = await w.facts('session-ended');
  assert.equal([ended?.reason, ended?.session], ['revoked', alice.sessionId]);
  const [fact] = await w.facts('grant-revoked');
  assert.equal([fact?.reason, fact?.session], ['session-revoked', alice.sessionId]);
  // She signs in anew, and finds what she linked.
  w.providers.tokens.set('corporate', tokenSet('corporate-2', Date.now() + hour));
  const uid = 'interaction-of-alice-again';
  w.clock.aheadMs = 10;
  const again = await signIn(w.t, uid, 'alice');
  assert.is(await w.lookUp(again, 'github'), 'github-access-token-clear');
  assert.is(await w.lookUp(again, 'corporate'), 'corporate-2-access-token-clear');
});

test('an access token ends its own session, for the client that it was issued to, and as long as it is valid', async () => {
  const { w, alice } = await openWorld();
  await using _ = w;
  const { partition, accessToken } = alice;
  const end = (clientId: string, token = accessToken) =>
    w.t.vault.endSession(partition, { accessToken: token, clientId });
  assert.equal(await end('another-client'), { status: 'not-found' });
  assert.is(await refusalOf(() => end('client-1', new Secret('no.access.token'))), 'unauthorized');
  assert.is((await w.lookUp(alice, 'corporate')) !== 'missing', true, 'it lives');
  w.clock.aheadMs = hour / 2;
  assert.is(await refusalOf(() => end('client-1')), 'unauthorized', 'it has expired');
  assert.equal(await end('client-1', w.tokenOf(alice)), { status: 'ended' });
  assert.is(await refusalOf(() => end('client-1', w.tokenOf(alice))), 'session-ended');
});

test('a session that was ended is not opened again by a repetition', async () => {
  await using w = await openLinkWorld();
  // The record of its chain stays, as after a worker that died before it could take it out.
  const jetStream = Object.getPrototypeOf(w.t.connection.jetstream());
  const publish = jetStream.publish;
  jetStream.publish = function (this: unknown, subject: string, data: Uint8Array, ...rest: unknown[]) {
    if (subject.startsWith('$KV.AUTH.chain.') && data.length === 0) return Promise.resolve({ seq: 1 });
    return publish.call(this, subject, data, ...rest);
  };
  try {
    const alice = await w.signIn('alice');
    const { partition, principal } = alice;
    const interactionUid = 'interaction-of-alice';
    assert.is((await w.t.vault.signIn.findChain(interactionUid)).status, 'complete');
    const grantId = `grant-of-${interactionUid}`;
    await w.t.vault.endSession(partition, { principal, grantId, reason: 'revoked' });
    const request = { interactionUid, principal, grantId, clientId: 'client-1', lifetimeSeconds: 3600 };
    assert.is(await refusalOf(() => w.t.vault.openSession(partition, request)), 'session-ended');
  } finally {
    jetStream.publish = publish;
  }
});

test('an operator sees what a person holds and takes it away, at one provider or at all', async () => {
  const { w, alice } = await openWorld();
  await using _ = w;
  const { operator } = w.t.vault;
  const { principal } = alice;
  const list = (provider: string | null = null) =>
    operator.listGrants({ principal, provider, after: null }).grants.map((grant) => grant.provider);
  assert.equal(list().sort(), ['corporate', 'github']);
  const { grants, more } = operator.listGrants({ principal, provider: 'github', after: null });
  const [entry] = grants;
  assert.equal([more, entry?.sessionId, entry?.version, entry?.status], [false, null, 1, 'idle']);
  assert.not.match(JSON.stringify(grants), /clear|example|Alice/);
  assert.equal(operator.listGrants({ principal, provider: 'github', after: entry!.grantId }).grants, []);
  const revoke = (provider: string | null) => operator.revokeGrants(alice.partition, { principal, provider });
  assert.equal(await revoke('gitlab'), { revoked: 0 });
  assert.equal(await revoke('github'), { revoked: 1 });
  assert.equal(list(), ['corporate']);
  assert.equal(await revoke(null), { revoked: 1 });
  assert.is(await w.lookUp(alice, 'corporate'), 'missing', 'the session lives');
  assert.is(
    await refusalOf(() => operator.revokeGrants((alice.partition + 1) % 64, { principal, provider: null })),
    'invalid-request',
  );
  const reasons = (await w.facts('grant-revoked')).map(({ reason }) => reason);
  assert.equal(reasons, ['operator', 'operator']);
});

test.run();
