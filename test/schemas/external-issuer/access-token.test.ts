import { createHmac } from 'node:crypto';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ExternalCaller,
  ExternalTokenError,
  type ExternalTokenRules,
  introspectedCallerOf,
  isJwt,
  verifyExternalToken,
} from '../../../schemas/external-issuer/access-token.ts';
import { createIssuerKeys, IssuerUnavailableError } from '../../../schemas/external-issuer/issuer-keys.ts';
import type { IssuerPublicKey } from '../../../schemas/messages/issuer-keys.ts';

const test = suite('external access token');

const issuer = 'https://login.example.com/tenant';
const audience = 'api://latchkey';
const rules: ExternalTokenRules = {
  issuer,
  issuerAliases: ['https://sts.example.com/tenant/'],
  audience,
  principalClaim: 'sub',
};
const seconds = () => Math.floor(Date.now() / 1000);

async function openIssuer(alg = 'RS256', change: Partial<ExternalTokenRules> = {}) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1' } as IssuerPublicKey;
  const published = { keys: [jwk], asked: 0, away: false };
  const keys = createIssuerKeys({
    async fetchKeys() {
      published.asked++;
      if (published.away) throw new Error('away');
      return published.keys;
    },
    elapsed: () => performance.now(),
    onProblem: () => {},
    times: { renewMs: 60_000, retryMs: 60_000, minIntervalMs: 0, keepMs: 60_000 },
  });
  const sign = (claims: object = {}, header: object = {}) => {
    const all = { iss: issuer, sub: 'anna', aud: audience, exp: seconds() + 600, client_id: 'c', ...claims };
    return new SignJWT(all)
      .setProtectedHeader({ alg, kid: 'key-1', typ: 'at+jwt', ...header })
      .sign(privateKey);
  };
  return {
    ...{ publicKey, published, sign },
    verify: (token: string) =>
      verifyExternalToken(token, { rules: { ...rules, ...change }, keys, now: Date.now }),
    [Symbol.dispose]: () => keys[Symbol.dispose](),
  };
}

/** `invalid`, `expired`, ...; `accepted`. */
async function outcomeOf(verified: Promise<ExternalCaller>): Promise<string> {
  return verified.then(
    () => 'accepted',
    (error) => {
      assert.ok(
        error instanceof ExternalTokenError || error instanceof IssuerUnavailableError,
        String(error),
      );
      return error.code;
    },
  );
}

for (const alg of ['RS256', 'PS512', 'ES256', 'ES384', 'EdDSA'])
  test(`a token that is signed with ${alg} is accepted, and says whose it is`, async () => {
    using world = await openIssuer(alg);
    const caller = await world.verify(await world.sign({ scope: 'a b', tsid: `ses_${'a'.repeat(32)}` }));
    assert.equal(caller.principal, { iss: issuer, sub: 'anna' });
    assert.equal([caller.clientId, caller.scopes], ['c', ['a', 'b']]);
  });

for (const typ of ['at+jwt', 'application/at+jwt', 'AT+JWT', 'JWT', undefined])
  test(`the type ${typ} is one of an access token`, async () => {
    using world = await openIssuer();
    assert.is(await outcomeOf(world.verify(await world.sign({}, { typ }))), 'accepted');
  });

const unlike: [string, object, object?][] = [
  ['another type', {}, { typ: 'logout+jwt' }],
  ['a nonce, as ID tokens have', { nonce: 'n' }, { typ: 'JWT' }],
  ['an at_hash, as ID tokens have', { at_hash: 'h' }, { typ: undefined }],
  ['events, as logout tokens have', { events: {} }, { typ: 'JWT' }],
  [
    'its own client as the audience, as ID tokens have',
    { azp: audience, client_id: undefined },
    { typ: 'JWT' },
  ],
  ["Keycloak's mark of an ID token", { typ: 'ID' }, { typ: 'JWT' }],
  ["Keycloak's mark of a refresh token", { typ: 'Refresh' }, { typ: 'JWT' }],
  ["Cognito's mark of an ID token", { token_use: 'id' }, { typ: undefined }],
  ['another issuer', { iss: 'https://evil.example' }],
  ['no issuer', { iss: undefined }],
  ['the issuer with a slash more', { iss: `${issuer}/` }],
  ['no subject', { sub: undefined }],
  ['an empty subject', { sub: '' }],
  ['a subject that is no text', { sub: 7 }],
  ['no expiry', { exp: undefined }],
  ['a time from which on it is good in the future', { nbf: seconds() + 3600 }],
  ['a header that must be understood', {}, { crit: ['x'], x: 1 }],
  ['too many bytes', { padding: 'x'.repeat(8192) }],
];
for (const [what, claims, header] of unlike)
  test(`a token with ${what} is refused`, async () => {
    using world = await openIssuer();
    const token = await world.sign(claims, header).catch(async () => {
      // The library will not sign what it does not understand; the bytes are what counts.
      const good = await world.sign(claims);
      const [, ...rest] = good.split('.');
      const first = Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'key-1', ...header })).toString(
        'base64url',
      );
      return [first, ...rest].join('.');
    });
    assert.is(await outcomeOf(world.verify(token)), 'invalid');
  });

test('a missing or foreign audience is told apart, and one among several is enough', async () => {
  using world = await openIssuer();
  for (const aud of [undefined, 'api://other', `${audience}/`, [], ['api://other']])
    assert.is(await outcomeOf(world.verify(await world.sign({ aud }))), 'other-audience');
  assert.is(await outcomeOf(world.verify(await world.sign({ aud: ['x', audience] }))), 'accepted');
});

test('an expired token is told apart, to the second; a clock that is a little ahead is not held against one', async () => {
  using world = await openIssuer();
  assert.is(await outcomeOf(world.verify(await world.sign({ exp: seconds() - 1 }))), 'expired');
  assert.is(await outcomeOf(world.verify(await world.sign({ exp: seconds() - 3600 }))), 'expired');
  assert.is(await outcomeOf(world.verify(await world.sign({ nbf: seconds() + 2 }))), 'accepted');
});

test('neither alg none nor the public key as an HMAC key is a signature', async () => {
  using world = await openIssuer();
  const [, payload] = (await world.sign()).split('.');
  const encode = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url');
  for (const alg of ['none', 'None', 'nOnE']) {
    const header = encode({ alg, kid: 'key-1', typ: 'at+jwt' });
    assert.is(await outcomeOf(world.verify(`${header}.${payload}.`)), 'invalid');
  }
  const pem = await exportSPKI(world.publicKey);
  for (const secret of [pem, JSON.stringify(world.published.keys[0])]) {
    const input = `${encode({ alg: 'HS256', kid: 'key-1', typ: 'at+jwt' })}.${payload}`;
    const signature = createHmac('sha256', secret).update(input).digest('base64url');
    assert.is(await outcomeOf(world.verify(`${input}.${signature}`)), 'invalid');
  }
});

test('a key that the token brings along, or points to, is not looked at', async () => {
  using world = await openIssuer();
  using attacker = await openIssuer();
  const jwk = await exportJWK(attacker.publicKey);
  for (const header of [{ jwk }, { jku: 'https://evil.example/keys' }, { jwk, kid: undefined }])
    assert.is(await outcomeOf(world.verify(await attacker.sign({}, header))), 'invalid');
});

test('garbage is refused, and has nobody asked for keys', async () => {
  using world = await openIssuer();
  await world.verify(await world.sign());
  const { asked } = world.published;
  const foreign = await world.sign({ iss: 'https://evil.example' }, { kid: 'unknown' });
  for (const token of ['', 'a.b.c', '..', 'opaque', `${'x'.repeat(9000)}.y.z`, foreign])
    assert.is(await outcomeOf(world.verify(token)), 'invalid');
  assert.is(world.published.asked, asked);
});

test('a token whose key is not known has the keys fetched once more', async () => {
  using world = await openIssuer();
  await world.verify(await world.sign());
  const next = { ...world.published.keys[0]!, kid: 'key-2' };
  world.published.keys = [...world.published.keys, next];
  assert.is(await outcomeOf(world.verify(await world.sign({}, { kid: 'key-2' }))), 'accepted');
  assert.is(await outcomeOf(world.verify(await world.sign({}, { kid: 'key-3' }))), 'invalid');
  world.published.away = true;
  assert.is(await outcomeOf(world.verify(await world.sign({}, { kid: 'key-4' }))), 'issuer-unavailable');
  assert.is(await outcomeOf(world.verify(await world.sign())), 'accepted');
});

test('who the person is says the configured claim alone, and another name of the issuer means the same', async () => {
  using world = await openIssuer('RS256', { principalClaim: 'oid' });
  const iss = 'https://sts.example.com/tenant/';
  const caller = await world.verify(await world.sign({ iss, oid: 'object-1', sub: 'pairwise' }));
  assert.equal(caller.principal, { iss: issuer, sub: 'object-1' });
  assert.is(await outcomeOf(world.verify(await world.sign({ email: 'a@example.com' }))), 'invalid');
  const unlike = { ...rules, principalClaim: 'constructor' };
  assert.throws(
    () => introspectedCallerOf({ aud: audience, sub: 'anna' }, unlike, Date.now()),
    (error: ExternalTokenError) => error.code === 'invalid',
  );
});

test('what the issuer says of a token is judged like the claims of one, but need not name issuer and expiry', async () => {
  const now = Date.now();
  const read = (claims: object | null) => {
    try {
      return introspectedCallerOf(claims as Record<string, unknown> | null, rules, now).principal.sub;
    } catch (error) {
      return (error as ExternalTokenError).code;
    }
  };
  const told = { active: true, sub: 'anna', aud: audience, client_id: 'c' };
  assert.is(read(told), 'anna');
  assert.is(read({ ...told, iss: issuer, exp: seconds() + 9, nbf: seconds() }), 'anna');
  assert.is(read({ ...told, iss: 'https://sts.example.com/tenant/' }), 'anna');
  assert.is(read(null), 'invalid');
  assert.is(read({ ...told, aud: undefined }), 'other-audience');
  assert.is(read({ ...told, aud: ['api://other'] }), 'other-audience');
  assert.is(read({ ...told, iss: 'https://evil.example' }), 'invalid');
  assert.is(read({ ...told, exp: seconds() - 1 }), 'expired');
  assert.is(read({ ...told, nbf: seconds() + 60 }), 'invalid');
  assert.is(read({ ...told, sub: undefined }), 'invalid');
  assert.is(read({ ...told, typ: 'Refresh' }), 'invalid');
  assert.is(introspectedCallerOf(told, rules, now).expiresAt > now, true);
});

test('what can be read is told from what can only be asked about', async () => {
  using world = await openIssuer();
  assert.ok(isJwt(await world.sign()));
  for (const opaque of ['', 'opaque', 'a.b.c', '..', 'AAAA.BBBB.CCCC', 'abc.def']) assert.not(isJwt(opaque));
});

test('scopes and clients are read as the great issuers write them', async () => {
  using world = await openIssuer();
  const read = async (claims: object) => {
    const caller = await world.verify(await world.sign({ client_id: undefined, ...claims }));
    return [caller.clientId, caller.scopes.join(' ')];
  };
  assert.equal(await read({ azp: 'entra', scp: 'read write' }), ['entra', 'read write']);
  assert.equal(await read({ cid: 'okta', scp: ['read', 'write'] }), ['okta', 'read write']);
  assert.equal(await read({}), [null, '']);
});

test.run();
