import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../schemas/failure.ts';
import { partitionOf } from '../../schemas/identity.ts';
import { Secret } from '../../schemas/secret.ts';
import { openKeyRing } from '../../vault/sealing/key-ring.ts';
import { openNatsServer, type TestNatsServer } from '../world/nats-server.ts';
import {
  accessTokenClaims,
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signedToken,
  signIn,
  signingInput,
  type TestVault,
  tokenSet,
} from '../world/vault.ts';

const test = suite('look-up');

interface World extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly t: TestVault;
  readonly alice: SignedIn;
  readonly clock: { aheadMs: number };
}

async function openWorld(): Promise<World> {
  const nats = await openNatsServer();
  const clock = { aheadMs: 0 };
  const t = await openTestVault({ url: nats.url, now: () => Date.now() + clock.aheadMs });
  const alice = await signIn(t, 'uid-of-alice-in-look-up');
  return {
    ...{ nats, t, alice, clock },
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

const find = async (
  { t, alice }: World,
  accessToken: Secret,
  { partition = alice.partition, providers = ['gitlab'] } = {},
) => t.vault.findUpstreamTokens(partition, { accessToken, providers, minValidSeconds: 0 });

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (caught) => caught,
  );
  if (error === null) throw new Error('it was answered');
  assert.instance(error, RefusedError, String(error));
  return (error as RefusedError).code;
}

test('each provider that was asked for gets its answer, and no other one', async () => {
  await using w = await openWorld();
  const { answers } = await find(w, w.alice.accessToken, { providers: ['gitlab', 'github'] });
  assert.equal(Object.keys(answers).sort(), ['github', 'gitlab']);
  assert.equal(answers.github, { status: 'missing' });
  const answer = answers.gitlab!;
  assert.is(answer.status === 'ok' && answer.accessToken.reveal(), 'gitlab-access-token-clear');
  assert.equal(await find(w, w.alice.accessToken, { providers: [] }), { answers: {} });
});

test('two people at one vault get their own tokens, and two sessions of one person each their own', async () => {
  await using nats = await openNatsServer();
  const providers = createPlayedProviders();
  await using t = await openTestVault({ url: nats.url, providers });
  const answerFor = async (person: SignedIn) => {
    const { accessToken, partition } = person;
    const request = { accessToken, providers: ['gitlab'], minValidSeconds: 0 };
    const { answers } = await t.vault.findUpstreamTokens(partition, request);
    assert.ok(answers.gitlab?.status === 'ok');
    return answers.gitlab;
  };
  const people: [string, SignedIn][] = [];
  for (const [uid, subject] of [
    ['uid-of-alice-at-home', 'alice'],
    ['uid-of-alice-at-work', 'alice'],
    ['uid-of-bob-somewhere', 'bob'],
  ] as const) {
    providers.subject = subject;
    providers.tokens.set('gitlab', tokenSet(uid, Date.now() + 3_600_000));
    people.push([uid, await signIn(t, uid)]);
  }
  const accounts: string[] = [];
  for (const [uid, person] of people) {
    const { accessToken, account } = await answerFor(person);
    assert.is(accessToken.reveal(), `${uid}-access-token-clear`);
    accounts.push(account);
  }
  assert.is(accounts[0], accounts[1]);
  assert.is.not(accounts[0], accounts[2]);
  assert.not.match(accounts.join(), /alice|bob/);
  assert.equal(people[0]![1].principal, people[1]![1].principal);
  assert.not.equal(people[0]![1].principal, people[2]![1].principal);
});

test('the session of somebody else is no session of the caller', async () => {
  await using w = await openWorld();
  w.t.providers.subject = 'bob';
  const bob = await signIn(w.t, 'uid-of-bob-in-look-up-');
  const key = w.t.vault.description.signingKeys[0]!;
  // The vault would not sign this; somebody with its key could.
  const forged = await tokenSignedByTheVaultsKey(
    w,
    { ...accessTokenClaims(bob.principal.sub, w.alice.sessionId) },
    key.kid,
  );
  assert.is(await codeOf(find(w, forged, { partition: bob.partition })), 'session-ended');
});

test('an expired session is one that ended', async () => {
  await using w = await openWorld();
  w.clock.aheadMs = 3_590_000;
  const late = signedToken(w.t.vault, w.alice.partition, w.alice.principal.sub, w.alice.sessionId, {
    iat: Math.floor((Date.now() + w.clock.aheadMs) / 1000),
    exp: Math.floor((Date.now() + w.clock.aheadMs) / 1000) + 600,
  });
  await find(w, late, { providers: [] });
  w.clock.aheadMs = 3_601_000;
  assert.is(await codeOf(find(w, late)), 'session-ended');
});

test('an unknown session has ended', async () => {
  await using w = await openWorld();
  const forged = await tokenSignedByTheVaultsKey(
    w,
    accessTokenClaims(w.alice.principal.sub, `ses_${'x'.repeat(32)}`),
    w.t.vault.description.signingKeys[0]!.kid,
  );
  assert.is(await codeOf(find(w, forged)), 'session-ended');
});

test('in a partition that is not the principal’s nobody is answered', async () => {
  await using w = await openWorld();
  assert.is(partitionOf(w.alice.principal, 64), w.alice.partition);
  for (const partition of [(w.alice.partition + 1) % 64, Number.NaN, 64])
    assert.is(await codeOf(find(w, w.alice.accessToken, { partition })), 'invalid-request');
});

test('an access token is believed until it expires, however often it was seen', async () => {
  await using w = await openWorld();
  await find(w, w.alice.accessToken);
  await find(w, w.alice.accessToken);
  w.clock.aheadMs = 601_000;
  assert.is(await codeOf(find(w, w.alice.accessToken)), 'unauthorized');
});

test('a token of another making is refused: audience, issuer, type, algorithm, key, claims', async () => {
  await using w = await openWorld();
  const { kid } = w.t.vault.description.signingKeys[0]!;
  const claims = accessTokenClaims(w.alice.principal.sub, w.alice.sessionId);
  const header = { alg: 'ES256', typ: 'at+jwt', kid };
  const { sub: _, ...withoutSub } = claims;
  const { tsid: __, ...withoutTsid } = claims;
  const { exp: ___, ...withoutExp } = claims;
  // With the vault's own key, so that each is refused for its one difference.
  for (const [what, head, body] of [
    ['audience', header, { ...claims, aud: 'https://elsewhere.example/mcp' }],
    ['issuer', header, { ...claims, iss: 'https://elsewhere.example' }],
    ['type', { ...header, typ: 'JWT' }, claims],
    ['no type', { alg: 'ES256', kid }, claims],
    ['expired', header, { ...claims, exp: claims.iat - 1 }],
    ['not yet', header, { ...claims, nbf: claims.iat + 600 }],
    ['no sub', header, withoutSub],
    ['no tsid', header, withoutTsid],
    ['no exp', header, withoutExp],
    ['sub of another form', header, { ...claims, sub: 'alice' }],
    ['tsid of another form', header, { ...claims, tsid: 'ses_1' }],
    ['unknown kid', { ...header, kid: 'another' }, claims],
  ] as const)
    assert.is(
      await codeOf(find(w, await tokenSignedByTheVaultsKey(w, body, kid, head))),
      'unauthorized',
      what,
    );

  const input = signingInput(header, claims);
  const { privateKey: strangersKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const strange = sign('sha256', Buffer.from(input), { key: strangersKey, dsaEncoding: 'ieee-p1363' });
  const none = signingInput({ alg: 'none', typ: 'at+jwt' }, claims);
  const jwk = w.t.vault.description.signingKeys[0]!;
  const publicPem = createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  });
  const symmetric = signingInput({ alg: 'HS256', typ: 'at+jwt', kid }, claims);
  for (const [what, token] of [
    ['a stranger’s key', `${input}.${strange.toString('base64url')}`],
    ['alg none', `${none}.`],
    ['no signature', `${input}.`],
    [
      'the public key as HMAC secret',
      `${symmetric}.${createHmac('sha256', publicPem).update(symmetric).digest('base64url')}`,
    ],
    ['no JWT', 'opaque'],
    ['changed claims', w.alice.accessToken.reveal().replace(/\.[^.]+\./, `.${input.split('.')[1]}x.`)],
  ] as const)
    assert.is(await codeOf(find(w, new Secret(token))), 'unauthorized', what);
  await find(w, w.alice.accessToken);
});

test('nothing of a refused token is in the refusal', async () => {
  await using w = await openWorld();
  const error = await find(w, new Secret('clear-opaque-token')).catch((caught) => caught);
  assert.not.match(error.message, /clear-opaque-token/);
});

/** Signs with the key that lies in KEYS, past the rules of the vault. */
async function tokenSignedByTheVaultsKey(
  w: World,
  claims: object,
  kid: string,
  header?: object,
): Promise<Secret> {
  const manager = await w.t.connection.jetstreamManager();
  const { data } = await manager.streams.getMessage('KEYS', { last_by_subj: 'latchkey.key.signing' });
  const [stored] = JSON.parse(openKeyRing(w.t.keyRing).open('signing-keys', data).toString());
  const input = signingInput(header ?? { alg: 'ES256', typ: 'at+jwt', kid }, claims);
  const key = createPrivateKey({ key: stored.jwk, format: 'jwk' });
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return new Secret(`${input}.${signature.toString('base64url')}`);
}

test.run();
