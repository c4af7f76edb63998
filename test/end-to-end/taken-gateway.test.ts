/**
 * What somebody can do on the bus who holds everything of a gateway: its key file, its place on NATS, and the access
 * tokens of those who call through it. They act as those, and as nobody else: every request for somebody who is not
 * calling is refused by the vault.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { createVaultClient } from '../../gateway/vault-client.ts';
import { createBus } from '../../schemas/bus.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { partitionOf } from '../../schemas/identity.ts';
import { createBootId, sessionIdOf } from '../../schemas/ids.ts';
import { findAuthRecord } from '../../schemas/messages/auth-record.ts';
import { describeInstance } from '../../schemas/messages/describe-instance.ts';
import { findUpstreamTokens } from '../../schemas/messages/find-upstream-tokens.ts';
import { findProviderWorker } from '../../schemas/messages/provider-requests.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../schemas/role-key-file.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { authSubject, providerSubject, vaultSubject } from '../../schemas/subjects.ts';
import {
  authorizationUrl,
  createVerifier,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, bob, walkThroughSignIn } from '../world/person.ts';

const test = suite('taken gateway');

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());

async function codeOf(request: Promise<unknown>): Promise<string> {
  return request.then(
    () => 'done',
    (error) => (error instanceof RefusedError ? error.code : `${error.name}: ${error.message}`),
  );
}

test('it acts as those who call through it, and as nobody else', async () => {
  await using installation = await openInstallation();
  const { issuer, mcpUrl } = installation;
  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });

  const bootId = createBootId();
  const connection = await openNatsConnection({
    servers: [installation.nats.url],
    ...{ token: 'token-of-the-test-nats', role: 'gateway', bootId },
  });
  await using _connection = { [Symbol.asyncDispose]: () => connection.close() };
  const keys = readRoleKeys(installation.keys, { role: 'gateway' });
  const envelopes = createSealedEnvelopes({ keys, bootId, now: Date.now });
  const bus = createBus({ connection, envelopes });
  const toAny = { subject: authSubject(describeInstance.name), pair: 'gateway-vault' } as const;
  const { realm, partitions, signingKeys } = await bus.request(
    describeInstance,
    toAny,
    {},
    { timeoutMs: 2000 },
  );
  const kid = signingKeys[0]!.kid;
  const vault = createVaultClient(bus, partitions);

  const token = ofAlice.accessToken();
  const claims = claimsOf(token);
  const bobs = claimsOf(ofBob.accessToken());
  const asAlice = { iss: realm, sub: claims.sub };
  const asBob = { iss: realm, sub: bobs.sub };
  const lookUp = (accessToken: string) => ({
    accessToken: new Secret(accessToken),
    providers: ['gitlab', 'corporate'],
    minValidSeconds: 0,
  });

  // Look-ups: the access token alone says who is asked for.
  const found = await vault.findUpstreamTokens(asAlice, lookUp(token));
  assert.is(found.get('gitlab')?.status, 'ok');
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const forge = (header: object, payload: object) => {
    const input = `${encode(header)}.${encode(payload)}`;
    const bytes = sign('sha256', Buffer.from(input), { key: own.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${input}.${bytes.toString('base64url')}`;
  };
  const head = { alg: 'ES256', typ: 'at+jwt', kid };
  const [encodedHead, , signature] = token.split('.');
  for (const [what, forged] of [
    ['another key', forge(head, bobs)],
    ['alg none', `${encode({ ...head, alg: 'none' })}.${encode(bobs)}.`],
    ['the signature of another token', `${encodedHead}.${encode(bobs)}.${signature}`],
    ['an expired one', forge(head, { ...bobs, exp: 1 })],
    ['nothing', 'x'],
  ] as const)
    assert.is(await codeOf(vault.findUpstreamTokens(asBob, lookUp(forged))), 'unauthorized', what);
  const partition = partitionOf(asBob, partitions);
  const misdirected = await codeOf(vault.findUpstreamTokens(asBob, lookUp(token)));
  if (partition === partitionOf(asAlice, partitions)) assert.is(misdirected, 'done');
  else assert.is(misdirected, 'invalid-request');
  const everywhere = await Promise.all(
    Array.from({ length: partitions }, (_, each) => {
      const target = { subject: vaultSubject(each, findUpstreamTokens.name), pair: 'gateway-vault' } as const;
      return codeOf(bus.request(findUpstreamTokens, target, lookUp(token), { timeoutMs: 2000 }));
    }),
  );
  assert.is(everywhere.filter((outcome) => outcome === 'done').length, 1, 'one partition knows this person');

  // Signatures: claims that the vault would not issue itself are not signed.
  const now = Math.floor(Date.now() / 1000);
  const fresh = { ...claims, iat: now, exp: now + 60, jti: randomBytes(16).toString('base64url') };
  const signing = (payload: object, header: object = head, principal = asAlice) =>
    codeOf(vault.signAccessToken(principal, kid, `${encode(header)}.${encode(payload)}`));
  assert.is(await signing(fresh), 'done');
  for (const [what, payload, header, principal] of [
    ['a foreign tsid', { ...fresh, tsid: bobs.tsid }],
    ['a foreign sub', { ...fresh, sub: bobs.sub }],
    ['a foreign sub at its own partition', { ...fresh, sub: bobs.sub }, head, asBob],
    ['a foreign sub and tsid for an own client', { ...fresh, sub: bobs.sub, tsid: bobs.tsid }, head, asBob],
    ['another client', { ...fresh, client_id: bobs.client_id }],
    ['a foreign audience', { ...fresh, aud: 'https://elsewhere.example/mcp' }],
    ['several audiences', { ...fresh, aud: [claims.aud, 'https://elsewhere.example/mcp'] }],
    ['another issuer', { ...fresh, iss: 'https://elsewhere.example' }],
    ['a year', { ...fresh, exp: now + 365 * 86_400 }],
    ['a token of tomorrow', { ...fresh, iat: now + 86_400, exp: now + 86_460 }],
    ['no session', { ...fresh, tsid: undefined }],
    ['another type', fresh, { ...head, typ: 'JWT' }],
    ['another algorithm', fresh, { ...head, alg: 'none' }],
    ['a header more', fresh, { ...head, jwk: {} }],
  ] as [string, object, object?, typeof asAlice?][])
    assert.is(await signing(payload, header, principal), 'invalid-request', what);
  assert.is(await signing({ ...fresh, tsid: sessionIdOf('no-such-grant-0000') }), 'session-ended');

  // Sessions: only from a complete sign-in of this very person, and no one else's is taken over.
  const open = (interactionUid: string, principal = asBob, grantId = randomBytes(24).toString('base64url')) =>
    codeOf(
      vault.openSession({
        interactionUid,
        principal,
        grantId,
        clientId: claims.client_id,
        lifetimeSeconds: 600,
      }),
    );
  assert.is(await open(randomBytes(24).toString('base64url')), 'not-found');
  const server = { issuer, resource: mcpUrl };
  const browser = new Browser();
  const start = authorizationUrl(server, await registerClient(server), createVerifier());
  await walkThroughSignIn(browser, start, { person: alice, stopAt: `${issuer}/oauth/callback/gitlab` });
  const consent = browser.trace.find(({ url }) => url.includes('/oauth/interaction/'))!;
  const uid = new URL(consent.url).pathname.split('/').at(-1)!;
  assert.is(await open(uid), 'not-found', 'in mid-chain');
  const progress = await vault.findChain(uid);
  assert.equal(
    Object.keys(progress).sort(),
    ['principal', 'status'],
    'of what was collected it hears nothing',
  );
  const leg = await vault.beginLeg(uid);
  assert.equal(Object.keys(leg).sort(), ['authorizationUrl', 'browserBinding', 'legId', 'provider']);
  assert.not.match(leg.authorizationUrl, /verifier|client_secret/, 'the verifier stays with the vault');
  await browser.goto(browser.page.url, { stopAt: `${issuer}/oauth/interaction/${uid}/done` });
  assert.is(await open(uid), 'not-found', 'for somebody else');

  // Consents: nobody is made to have approved anything, and no browser is signed in as them.
  const approved = { clientId: claims.client_id, redirectHost: 'evil.example', shown: 'a'.repeat(43) };
  for (const grantId of ['no-such-grant-0000', randomBytes(24).toString('base64url'), String(bobs.tsid)])
    assert.is(
      await codeOf(vault.openAccountSession({ principal: asBob, grantId, approved, former: null })),
      'session-ended',
    );

  const unchecked = { ...findAuthRecord, request: z.any() };
  const toRecords = { subject: authSubject(findAuthRecord.name), pair: 'gateway-vault' } as const;
  const findAnything = (request: object) => bus.request(unchecked, toRecords, request, { timeoutMs: 2000 });
  assert.is(await codeOf(findAnything({ kind: 'Client', by: 'id', value: claims.client_id })), 'done');
  // The vault keeps legs, chains and consents in the same bucket; nothing but the library's own kinds can be asked for.
  for (const kind of ['leg', 'chain', 'approvals', 'account-session', 'Client-uid', '__proto__'])
    assert.is(await codeOf(findAnything({ kind, by: 'id', value: uid })), 'invalid-request', kind);

  // What the vault and the provider workers say to each other is under keys that a gateway does not have.
  const toWorker = {
    subject: providerSubject('gitlab', findProviderWorker.name),
    pair: 'vault-provider:gitlab',
  } as const;
  assert.match(await codeOf(bus.request(findProviderWorker, toWorker, {}, { timeoutMs: 500 })), 'Error');
  const posing = { ...toWorker, pair: 'gateway-vault' } as const;
  assert.match(
    await codeOf(bus.request(findProviderWorker, posing, {}, { timeoutMs: 500 })),
    'DeadlineExceeded',
  );
});

test.run();
