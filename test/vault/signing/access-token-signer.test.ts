import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { createAccessTokenSigner } from '../../../vault/signing/access-token-signer.ts';
import { accessTokenClaims, audience, issuer, signingInput } from '../../world/vault.ts';

const test = suite('access-token-signer');

const kid = 'key-1';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ended = new Set<string>();
const signToken = createAccessTokenSigner({
  keys: { publicKeys: [], privateKey: (asked) => (asked === kid ? privateKey : null) },
  issuer,
  audiences: [audience, 'https://latchkey.example/other'],
  maxLifetimeSeconds: 3600,
  now: Date.now,
  assertSession: (_, { tsid }) => {
    if (ended.has(tsid)) throw new RefusedError('session-ended', 'it has ended');
  },
});
const header = { alg: 'ES256', typ: 'at+jwt', kid };
const claims = accessTokenClaims(`usr_${'u'.repeat(32)}`, `ses_${'s'.repeat(32)}`);

function refused(work: () => unknown, code = 'invalid-request'): void {
  try {
    work();
  } catch (error) {
    assert.instance(error, RefusedError);
    assert.is((error as RefusedError).code, code);
    return;
  }
  assert.unreachable('it was signed');
}

test('the signature is r || s over the signing input as it came', () => {
  const input = signingInput(header, claims);
  const signature = Buffer.from(signToken(7, kid, input), 'base64url');
  assert.is(signature.length, 64);
  const key = {
    key: createPublicKey(publicKey.export({ format: 'pem', type: 'spki' })),
    dsaEncoding: 'ieee-p1363' as const,
  };
  assert.ok(verify('sha256', Buffer.from(input), key, signature));
});

test('every allowed audience, and lives up to the longest', () => {
  signToken(7, kid, signingInput(header, { ...claims, aud: 'https://latchkey.example/other' }));
  signToken(7, kid, signingInput(header, { ...claims, exp: claims.iat + 3600 }));
});

const headers: readonly [string, object][] = [
  ['alg none', { ...header, alg: 'none' }],
  ['alg HS256', { ...header, alg: 'HS256' }],
  ['typ JWT', { ...header, typ: 'JWT' }],
  ['no typ', { alg: 'ES256', kid }],
  ['another kid than asked for', { ...header, kid: 'key-2' }],
  ['a critical extension', { ...header, crit: ['b64'], b64: false }],
  ['an embedded key', { ...header, jwk: {} }],
];
for (const [what, head] of headers)
  test(`header: ${what} is refused`, () => refused(() => signToken(7, kid, signingInput(head, claims))));

const bodies: readonly [string, object][] = [
  ['another issuer', { iss: 'https://elsewhere.example' }],
  ['another audience', { aud: 'https://elsewhere.example/mcp' }],
  ['several audiences', { aud: [audience, 'https://elsewhere.example'] }],
  ['a subject that is no user', { sub: 'alice' }],
  ['a tsid that is no session', { tsid: 'x' }],
  ['no tsid', { tsid: undefined }],
  ['no client', { client_id: undefined }],
  ['an empty client', { client_id: '' }],
  ['no jti', { jti: undefined }],
  ['no scope', { scope: undefined }],
  ['too long a life', { exp: claims.iat + 3601 }],
  ['no life', { exp: claims.iat }],
  ['an end before its beginning', { exp: claims.iat - 10 }],
  ['an end that is no whole number', { exp: claims.iat + 0.5 }],
  ['an end as text', { exp: String(claims.exp) }],
  ['issued long ago', { iat: claims.iat - 31, exp: claims.iat }],
  ['issued in the future', { iat: claims.iat + 60, exp: claims.iat + 600 }],
];
for (const [what, change] of bodies)
  test(`claims: ${what} is refused`, () =>
    refused(() => signToken(7, kid, signingInput(header, { ...claims, ...change }))));

test('anything but a header and a payload is refused', () => {
  const input = signingInput(header, claims);
  for (const wrong of [
    `${input}.x`,
    `${input}.`,
    input.split('.')[0]!,
    '.',
    'x.y',
    '',
    `${input.split('.')[0]}.bnVsbA`,
  ])
    refused(() => signToken(7, kid, wrong));
});

test('a key that the instance has not, and a session that ended', () => {
  refused(() => signToken(7, 'key-2', signingInput({ ...header, kid: 'key-2' }, claims)));
  ended.add(claims.tsid);
  refused(() => signToken(7, kid, signingInput(header, claims)), 'session-ended');
  ended.clear();
});

test('the reason names the claim and no value', () => {
  try {
    signToken(7, kid, signingInput(header, { ...claims, sub: 'clear-subject' }));
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /claim sub/);
    assert.not.match((error as Error).message, /clear-subject/);
  }
});

test.run();
