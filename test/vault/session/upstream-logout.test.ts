import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { createCommandId } from '../../../schemas/ids.ts';
import type { LogoutTokenContent } from '../../../schemas/messages/backchannel-logout.ts';
import { Secret } from '../../../schemas/secret.ts';
import { type SignedIn, signIn, tokenSet } from '../../world/vault.ts';
import { eventually, type LinkWorld, minute, openLinkWorld, refusalOf } from '../linking/link-world.ts';

const test = suite('upstream logout');

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs in with ID tokens that say who it is at each provider, and in which session there. */
async function signInWith(
  w: LinkWorld,
  name: string,
  idTokens: Record<string, { sub: string; sid?: string }>,
  uid = `interaction-of-${name}`,
): Promise<SignedIn> {
  for (const [provider, claims] of Object.entries(idTokens)) {
    const idToken = new Secret(`${part({ alg: 'ES256' })}.${part(claims)}.c2ln`);
    w.providers.tokens.set(provider, { ...tokenSet(provider, Date.now() + 60 * minute), idToken });
  }
  return signIn(w.t, uid, name);
}

let told = 0;

/** A logout token that the provider's worker has found good. */
function tokenSaying(w: LinkWorld, content: Partial<LogoutTokenContent>): Secret {
  told += 1;
  const token = `logout-token-${told}`;
  w.providers.logoutTokens.set(token, { subject: null, session: null, tokenId: `jti-${told}`, ...content });
  return new Secret(token);
}

const receive = (w: LinkWorld, provider: string, logoutToken: Secret, commandId = createCommandId()) =>
  w.t.vault.upstreamLogouts.receive({ provider, logoutToken }, commandId);

const isAlive = async (w: LinkWorld, person: SignedIn, provider = 'corporate') =>
  (await refusalOf(() => w.lookUp(person, provider))) === 'none';

test('a session at the first provider ends its session here, with all that it holds; a linked account is kept', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'one' } });
  await w.link(alice, 'github');
  const second = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'two' } }, 'interaction-again');
  const bob = await signInWith(w, 'bob', { corporate: { sub: 'b', sid: 'three' } });
  await receive(w, 'corporate', tokenSaying(w, { subject: 'a', session: 'one' }));
  assert.is(await refusalOf(() => w.lookUp(alice, 'github')), 'session-ended');
  assert.is(await w.lookUp(second, 'github'), 'github-access-token-clear');
  assert.ok(await isAlive(w, bob));
  const ended = await w.facts('session-ended');
  assert.equal(
    ended.map(({ session, reason }) => [session, reason]),
    [[alice.sessionId, 'upstream-logout']],
  );
});

test('without a session the token means every session of the person, and without a person that session', async () => {
  await using w = await openLinkWorld();
  const first = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'one' } });
  const second = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'two' } }, 'interaction-again');
  const bob = await signInWith(w, 'bob', { corporate: { sub: 'b', sid: 'three' } });
  await receive(w, 'corporate', tokenSaying(w, { session: 'three' }));
  assert.equal([await isAlive(w, first), await isAlive(w, bob)], [true, false]);
  await receive(w, 'corporate', tokenSaying(w, { subject: 'a' }));
  assert.equal([await isAlive(w, first), await isAlive(w, second)], [false, false]);
});

test('a session of which nobody knows which one it is at the provider ends with any of the person', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'alice', { corporate: { sub: 'a' } });
  const bob = await signInWith(w, 'bob', { corporate: { sub: 'b' } });
  await receive(w, 'corporate', tokenSaying(w, { session: 'one' }));
  assert.ok(await isAlive(w, alice), 'nobody said whose session that is');
  await receive(w, 'corporate', tokenSaying(w, { subject: 'a', session: 'one' }));
  assert.equal([await isAlive(w, alice), await isAlive(w, bob)], [false, true]);
});

test('a session of somebody else that is called the same is left alone', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'one' } });
  await receive(w, 'corporate', tokenSaying(w, { subject: 'b', session: 'one' }));
  assert.ok(await isAlive(w, alice));
});

test('a later provider takes only what the sessions hold of it', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'] });
  // The same person and session by their names, which mean nothing at the other provider.
  const at = { sub: 'a', sid: 'one' };
  const alice = await signInWith(w, 'alice', { corporate: at, gitlab: at });
  const bob = await signInWith(w, 'bob', { corporate: { sub: 'b', sid: 'x' }, gitlab: { sub: 'b' } });
  await receive(w, 'gitlab', tokenSaying(w, { subject: 'a', session: 'one' }));
  assert.is(await w.lookUp(alice, 'gitlab'), 'missing');
  assert.is(await w.lookUp(alice, 'corporate'), 'corporate-access-token-clear');
  assert.is(await w.lookUp(bob, 'gitlab'), 'gitlab-access-token-clear');
  const revoked = await w.facts('grant-revoked');
  assert.equal(
    revoked.map(({ session, provider, reason }) => [session, provider, reason]),
    [[alice.sessionId, 'gitlab', 'upstream-logout']],
  );
  assert.equal(await w.facts('session-ended'), []);
  await eventually(() => w.revokedTokens.length > 0);
  assert.equal(w.revokedTokens, ['gitlab-access-token-clear']);
});

const meanwhile: [what: string, sid: string | undefined, told: Partial<LogoutTokenContent>, ends: boolean][] =
  [
    ['of the session there', 'one', { session: 'one' }, true],
    ['of the person', 'one', { subject: 'a' }, true],
    ['of the person, in a session that may be another', undefined, { subject: 'a', session: 'two' }, true],
    ['of another session of the person', 'one', { subject: 'a', session: 'two' }, false],
    ['of somebody else', 'one', { subject: 'b' }, false],
    ['of somebody else in a session that is called the same', 'one', { subject: 'b', session: 'one' }, false],
  ];
for (const [what, sid, content, ends] of meanwhile)
  test(`a sign-in that is under way ${ends ? 'ends' : 'goes on'} when the first provider tells ${what}`, async () => {
    await using w = await openLinkWorld({ chain: ['corporate', 'gitlab'] });
    const { exchange } = w.providers;
    w.providers.exchange = async (provider, ...given) => {
      // Later than that it has the tokens of the first provider.
      if (provider === 'gitlab') await receive(w, 'corporate', tokenSaying(w, content));
      return exchange(provider, ...given);
    };
    const idTokens = { corporate: { sub: 'a', ...(sid !== undefined && { sid }) } };
    assert.is(await refusalOf(() => signInWith(w, 'alice', idTokens)), ends ? 'session-ended' : 'none');
    assert.is((await w.facts('session-ended')).length, ends ? 1 : 0);

    w.providers.exchange = exchange;
    const again = { corporate: { sub: 'a', ...(sid !== undefined && { sid: 'three' }) } };
    assert.ok(await isAlive(w, await signInWith(w, 'alice', again, 'interaction-again')));
  });

test('a sign-in that is under way goes on without a later provider that tells', async () => {
  await using w = await openLinkWorld({ chain: ['corporate', 'gitlab', 'github'] });
  const { exchange } = w.providers;
  w.providers.exchange = async (provider, ...given) => {
    if (provider === 'github') await receive(w, 'gitlab', tokenSaying(w, { session: 'one' }));
    return exchange(provider, ...given);
  };
  const alice = await signInWith(w, 'alice', { gitlab: { sub: 'a', sid: 'one' } });
  assert.is(await w.lookUp(alice, 'gitlab'), 'missing');
  assert.ok(await isAlive(w, alice));
});

test('a token is used up only when all is done, and then by nobody but who asked', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'one' } });
  const token = tokenSaying(w, { subject: 'a' });
  const { onLogout } = w.providers;
  w.providers.onLogout = async (partition, ...signedOut) => {
    if (partition === alice.partition) throw new RefusedError('unavailable', 'its owner is away');
    await onLogout(partition, ...signedOut);
  };
  assert.is(await refusalOf(() => receive(w, 'corporate', token)), 'unavailable');
  assert.ok(await isAlive(w, alice));
  w.providers.onLogout = onLogout;
  const commandId = createCommandId();
  await receive(w, 'corporate', token, commandId);
  assert.not(await isAlive(w, alice));
  await receive(w, 'corporate', token, commandId);
  assert.is(await refusalOf(() => receive(w, 'corporate', token)), 'conflict');
});

test('a token that is not good, and one of a provider that nobody signs in at, change nothing', async () => {
  await using w = await openLinkWorld();
  const alice = await signInWith(w, 'alice', { corporate: { sub: 'a', sid: 'one' } });
  assert.is(await refusalOf(() => receive(w, 'corporate', new Secret('forged'))), 'invalid-request');
  const good = tokenSaying(w, { subject: 'a' });
  assert.is(await refusalOf(() => receive(w, 'github', good)), 'not-found');
  await receive(w, 'corporate', tokenSaying(w, { subject: 'nobody', session: 'nowhere' }));
  assert.ok(await isAlive(w, alice));
});

test('it is known after a restart on a projection that was lost, and nothing of it can be read anywhere', async () => {
  await using w = await openLinkWorld();
  const [sub, sid] = ['subject-in-clear@corporate.example', 'session-in-clear'];
  const alice = await signInWith(w, 'alice', { corporate: { sub, sid } });
  const folder = w.t.folder;
  w.t = await w.t.reopen(() => rmSync(join(folder, 'projection.sqlite')));
  for (const file of [...filesIn(folder), ...filesIn(w.nats.folder)])
    for (const clear of [sub, sid]) assert.not(readFileSync(file).includes(clear), file);
  await receive(w, 'corporate', tokenSaying(w, { subject: sub, session: sid }));
  assert.not(await isAlive(w, alice));
});

test.run();

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
