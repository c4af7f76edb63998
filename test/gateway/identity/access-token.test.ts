import { createSecretKey } from 'node:crypto';
import { exportSPKI, importJWK, SignJWT, UnsecuredJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AccessTokenError,
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  parseBearer,
} from '../../../gateway/identity/access-token.ts';
import { createTestSigner, issuer, mcpUrl } from '../signing.ts';

const test = suite('gateway/identity access token');
const signer = await createTestSigner();
const stranger = await createTestSigner('key-9');

function verifierOf(
  options: Partial<Parameters<typeof createAccessTokenVerifier>[0]> = {},
): AccessTokenVerifier {
  const signingKeys = [signer.publicKey];
  return createAccessTokenVerifier({
    issuer,
    audience: mcpUrl,
    signingKeys: () => signingKeys,
    refreshKeys: async () => {},
    now: Date.now,
    ...options,
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason) => reason,
  );
  assert.instance(error, AccessTokenError);
  return error.code;
}

test('accepts a token that the vault has signed for this resource', async () => {
  const accepted = await verifierOf().verify([`Bearer ${await signer.sign()}`]);
  assert.is(accepted.sub, 'usr_anna');
  assert.is(accepted.clientId, 'client-1');
  assert.match(accepted.tsid!, /^ses_/);
  assert.not.match(JSON.stringify(accepted), /eyJ/);
});

test('reads the scheme in any case, and several audiences and scopes', async () => {
  const token = await signer.sign({ aud: ['https://other.example', mcpUrl], scope: 'openid mcp' });
  for (const scheme of ['bearer', 'BEARER', 'Bearer ']) await verifierOf().verify([`${scheme} ${token}`]);
});

const seconds = Math.floor(Date.now() / 1000);
for (const [what, claims, header] of [
  ['expired', { exp: seconds - 1 }, {}],
  ['not yet valid', { nbf: seconds + 600 }, {}],
  ['for another resource', { aud: 'https://other.example/mcp' }, {}],
  ['for a resource with a slash more', { aud: `${mcpUrl}/` }, {}],
  ['without audience', { aud: undefined }, {}],
  ['of another issuer', { iss: 'https://other.example' }, {}],
  ['without subject', { sub: undefined }, {}],
  ['with an empty subject', { sub: '' }, {}],
  ['without expiry', { exp: undefined }, {}],
  ['without client', { client_id: undefined }, {}],
  ['with a session id that is none', { tsid: 'latchkey.log.1' }, {}],
  ['an ID token', {}, { typ: 'JWT' }],
  ['without type', {}, { typ: undefined }],
] as const) {
  test(`refuses a token that is ${what}`, async () => {
    const token = await signer.sign(claims, header);
    assert.is(await codeOf(verifierOf().verify([`Bearer ${token}`])), 'invalid-token');
  });
}

test('refuses other algorithms and other keys', async () => {
  const claims = {
    iss: issuer,
    aud: mcpUrl,
    sub: 'x',
    client_id: 'c',
    jti: 'j',
    scope: 'mcp',
    iat: seconds,
    exp: seconds + 60,
  };
  const publicPem = await exportSPKI((await importJWK({ ...signer.publicKey }, 'ES256')) as never);
  const tokens = [
    new UnsecuredJWT(claims).encode(),
    // The public key as an HMAC secret (RFC 8725 section 2.1).
    await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'key-1', typ: 'at+jwt' })
      .sign(createSecretKey(Buffer.from(publicPem))),
    await stranger.sign(),
    await stranger.sign({}, { kid: 'key-1' }),
    `${(await signer.sign()).slice(0, -4)}AAAA`,
  ];
  for (const token of tokens)
    assert.is(await codeOf(verifierOf().verify([`Bearer ${token}`])), 'invalid-token');
});

test('refuses malformed headers without parsing a token', async () => {
  const verifier = verifierOf();
  for (const header of ['', 'Bearer', 'Bearer ', 'Basic eDp5', 'bearertoken'])
    assert.is(await codeOf(verifier.verify([header])), 'missing-token', header);
  assert.is(await codeOf(verifier.verify([])), 'missing-token');
  for (const header of ['Bearer a b', 'Bearer "x"', `Bearer ${'a'.repeat(9000)}`, 'Bearer ü'])
    assert.is(await codeOf(verifier.verify([header])), 'invalid-token', header.slice(0, 20));
  const token = await signer.sign();
  assert.is(await codeOf(verifier.verify([`Bearer ${token}`, `Bearer ${token}`])), 'invalid-token');
  assert.throws(
    () => parseBearer(['Digest x']),
    (error: AccessTokenError) => error.code === 'missing-token',
  );
});

test('tells a token without the scope from one that is not valid', async () => {
  for (const scope of ['openid', '', undefined, 'mcp2'])
    assert.is(
      await codeOf(verifierOf().verify([`Bearer ${await signer.sign({ scope })}`])),
      'insufficient-scope',
    );
});

test('checks a signature once, the expiry each time', async () => {
  let now = Date.now();
  const verifier = verifierOf({ now: () => now });
  const header = [`Bearer ${await signer.sign()}`];
  assert.is(await verifier.verify(header), await verifier.verify(header));
  now += 601_000;
  assert.is(await codeOf(verifier.verify(header)), 'invalid-token');
});

test('learns a key that was rotated in, and forgets one that is gone', async () => {
  let keys = [signer.publicKey];
  let asked = 0;
  const verifier = verifierOf({
    signingKeys: () => keys,
    refreshKeys: async () => {
      asked += 1;
      if (asked === 1) keys = [stranger.publicKey, signer.publicKey];
    },
  });
  const old = [`Bearer ${await signer.sign()}`];
  await verifier.verify(old);
  assert.is(asked, 0);
  await verifier.verify([`Bearer ${await stranger.sign()}`]);
  assert.is(asked, 1);
  await verifier.verify(old);
  keys = [stranger.publicKey];
  assert.is(await codeOf(verifier.verify(old)), 'invalid-token');
});

test('does not call a token wrong because the vault is away', async () => {
  const away = new Error('away');
  const verifier = verifierOf({
    refreshKeys: async () => {
      throw away;
    },
  });
  try {
    await verifier.verify([`Bearer ${await stranger.sign()}`]);
    assert.unreachable();
  } catch (error) {
    assert.is(error, away);
  }
});

test('a header of a million spaces is read in linear time, or this test does not end', () => {
  const spaces = ' '.repeat(1_000_000);
  for (const header of [`Bearer a${spaces}a`, `Bearer${spaces}a b`, `${spaces}Bearer${spaces}`])
    assert.throws(
      () => parseBearer([header]),
      (error: AccessTokenError) => error.code !== undefined,
    );
});

test.run();
