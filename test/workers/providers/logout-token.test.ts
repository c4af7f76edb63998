import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProviderSettings } from '../../../schemas/config/provider-config.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import { longestLogoutToken } from '../../../schemas/messages/backchannel-logout.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createRegisteredProvider } from '../../../workers/providers/registered-provider.ts';
import { openAnsweringServer } from './answering-server.ts';
import { createDependencies, oauth2Settings, oidcSettings } from './provider-settings.ts';

const test = suite('logout token');

const event = 'http://schemas.openid.net/event/backchannel-logout';
const nowSeconds = () => Math.floor(Date.now() / 1000);

/** An OpenID provider with one key, and what Latchkey's worker makes of its logout tokens. */
async function openProvider(change: Partial<ProviderSettings> = {}) {
  const own = await generateKeyPair('ES256');
  const foreign = await generateKeyPair('ES256');
  const keys = { current: own, id: 'one', served: true };
  const requests: string[] = [];
  const server = await openAnsweringServer(async ({ path, headers }) => {
    requests.push(path);
    const origin = `http://${headers.host}`;
    if (path !== '/jwks')
      return {
        body: JSON.stringify({
          ...{ issuer: origin, jwks_uri: `${origin}/jwks` },
          ...{ authorization_endpoint: `${origin}/authorize`, token_endpoint: `${origin}/token` },
        }),
      };
    if (!keys.served) return { status: 503, body: '' };
    const jwk = await exportJWK(keys.current.publicKey);
    return { body: JSON.stringify({ keys: [{ ...jwk, kid: keys.id, alg: 'ES256', use: 'sig' }] }) };
  });
  const settings = { ...oidcSettings(server.origin), ...change } as ProviderSettings;
  const provider = createRegisteredProvider(settings, () => null, createDependencies());
  const claims = (): JWTPayload => ({
    iss: server.origin,
    aud: 'latchkey',
    iat: nowSeconds(),
    exp: nowSeconds() + 120,
    jti: 'token-1',
    events: { [event]: {} },
    sub: 'alice',
    sid: 'session-1',
  });
  const sign = (change: Record<string, unknown>, { typ = 'logout+jwt', kid = 'one', key = own } = {}) =>
    new SignJWT({ ...claims(), ...change } as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', typ, kid })
      .sign(key.privateKey);
  const read = (token: string) => provider.readLogoutToken(new Secret(token));
  return {
    ...{ server, provider, keys, foreign, claims, sign, read, requests },
    /** The code with which the worker refuses it; null: it does not. */
    async refusalOf(token: string): Promise<string | null> {
      try {
        await read(token);
        return null;
      } catch (error) {
        assert.instance(error, RefusedError);
        assert.not.match((error as RefusedError).message, 'alice');
        return (error as RefusedError).code;
      }
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('a token of the provider says who signed out, by person and session or by one of the two', async () => {
  await using p = await openProvider();
  assert.equal(await p.read(await p.sign({})), {
    subject: 'alice',
    session: 'session-1',
    tokenId: 'token-1',
  });
  assert.equal(await p.read(await p.sign({ sub: undefined })), {
    ...{ subject: null, session: 'session-1', tokenId: 'token-1' },
  });
  assert.equal(await p.read(await p.sign({ sid: undefined })), {
    ...{ subject: 'alice', session: null, tokenId: 'token-1' },
  });
  assert.equal(p.requests, ['/.well-known/openid-configuration', '/jwks'], 'read once');
});

test('the type may be left out, and so may the expiry; a previous client may be the audience', async () => {
  await using p = await openProvider({ previousClients: [{ clientId: 'former', clientSecret: null }] });
  for (const token of [
    await p.sign({}, { typ: 'JWT' }),
    await p.sign({}, { typ: 'application/logout+jwt' }),
    await p.sign({ exp: undefined }),
    await p.sign({ aud: 'former' }),
    await p.sign({ aud: ['latchkey'] }),
  ])
    assert.is(await p.refusalOf(token), null);
});

const wrongClaims: Record<string, Record<string, unknown>> = {
  'another issuer': { iss: 'https://elsewhere.example' },
  'no issuer': { iss: undefined },
  'another audience': { aud: 'another' },
  'another audience beside': { aud: ['latchkey', 'another'] },
  'no audience': { aud: undefined },
  'an empty list of audiences': { aud: [] },
  'no time': { iat: undefined },
  'eleven minutes ago': { iat: nowSeconds() - 660, exp: nowSeconds() + 120 },
  'in a minute from now': { iat: nowSeconds() + 600 },
  expired: { exp: nowSeconds() - 60 },
  'no id': { jti: undefined },
  'neither person nor session': { sub: undefined, sid: undefined },
  'a nonce': { nonce: 'n' },
  'no events': { events: undefined },
  'another event': { events: { 'https://events.example/other': {} } },
  'an event that is no object': { events: { [event]: 'x' } },
  'events that are a list': { events: [event] },
  'an empty person': { sub: '' },
};

test('a token with a wrong claim is refused', async () => {
  await using p = await openProvider();
  for (const [what, claims] of Object.entries(wrongClaims))
    assert.is(await p.refusalOf(await p.sign(claims)), 'invalid-request', what);
});

test('so is one that the provider did not sign, or not for this', async () => {
  await using p = await openProvider();
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [header, , signature] = (await p.sign({})).split('.');
  const publicKey = JSON.stringify(await exportJWK(p.keys.current.publicKey));
  const byPublicKey = await new SignJWT(p.claims())
    .setProtectedHeader({ alg: 'HS256', kid: 'one' })
    .sign(Buffer.from(publicKey));
  const tokens: Record<string, string> = {
    'another key': await p.sign({}, { key: p.foreign }),
    'a key that is not there': await p.sign({}, { kid: 'two', key: p.foreign }),
    'other claims': `${header}.${part({ ...p.claims(), sub: 'bob' })}.${signature}`,
    'alg none': `${part({ alg: 'none', typ: 'logout+jwt' })}.${part(p.claims())}.`,
    'the public key as a secret': byPublicKey,
    'an access token by its type': await p.sign({}, { typ: 'at+jwt' }),
    'no token': 'x',
    'more than a token': await p.sign({ more: 's'.repeat(longestLogoutToken) }),
  };
  for (const [what, token] of Object.entries(tokens))
    assert.is(await p.refusalOf(token), 'invalid-request', what);
});

test('while the keys of the provider cannot be read, nothing is said against the token', async () => {
  await using p = await openProvider();
  p.keys.served = false;
  assert.is(await p.refusalOf(await p.sign({})), 'upstream-unavailable');
  p.keys.served = true;
  assert.is(await p.refusalOf(await p.sign({})), null);
});

test('a provider without OpenID Connect has no such tokens', async () => {
  await using p = await openProvider();
  const { origin } = p.server;
  const endpoints = {
    ...{
      authorizationEndpoint: `${origin}/a`,
      tokenEndpoint: `${origin}/t`,
      userinfoEndpoint: `${origin}/u`,
    },
  };
  const provider = createRegisteredProvider(oauth2Settings(endpoints), () => null, createDependencies());
  const error = await provider.readLogoutToken(new Secret(await p.sign({}))).catch((error) => error);
  assert.is((error as RefusedError).code, 'invalid-request');
});

test.run();
