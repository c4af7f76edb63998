/**
 * Attacks on codes and tokens, against a whole installation over real HTTP. Each has its honest counterpart, so that a
 * refusal is not mistaken for something that never works.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
  requestToken,
} from '../gateway/authorization-server/started-server.ts';
import { get, openAttackedInstallation } from '../world/attacked-installation.ts';

const test = suite('attacks on tokens');
const attacked = await openAttackedInstallation();
const { server, walk } = attacked;

test('a code is good once, for the client, the redirect URI and the verifier it was made for', async () => {
  const [client, other] = await Promise.all([registerClient(server), registerClient(server)]);
  const { code, verifier } = await walk(client);
  for (const [what, who, changes] of [
    ['another client', other, {}],
    ['another verifier', client, { code_verifier: createVerifier() }],
    ['no verifier', client, { code_verifier: '' }],
    ['another redirect URI', client, { redirect_uri: 'http://127.0.0.1:33418/other' }],
  ] as const) {
    const { status, body } = await redeem(server, who, code, verifier, changes);
    assert.equal([status, body.access_token], [400, undefined], what);
  }
  const { status, body } = await redeem(server, client, code, verifier);
  assert.is(status, 200);
  assert.is((await refresh(server, other, body.refresh_token)).body.error, 'invalid_grant');
  const { body: next } = await refresh(server, client, body.refresh_token);
  assert.is((await redeem(server, client, code, verifier)).body.error, 'invalid_grant');
  assert.is((await refresh(server, client, next.refresh_token)).body.error, 'invalid_grant', 'the family');
});

test('no other grant, and no token for a foreign resource', async () => {
  const client = await registerClient(server);
  for (const grant_type of [
    'password',
    'client_credentials',
    'implicit',
    'urn:ietf:params:oauth:grant-type:device_code',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'urn:openid:params:grant-type:ciba',
    '__proto__',
    'constructor',
    '',
  ]) {
    const { status, body } = await requestToken(server, { grant_type, client_id: client.client_id });
    assert.equal([status, body.access_token], [400, undefined], grant_type);
  }
  const { code, verifier } = await walk(client);
  const resource = 'https://elsewhere.example/mcp';
  assert.is((await redeem(server, client, code, verifier, { resource })).body.error, 'invalid_target');
});

test('PKCE cannot be left out or weakened, and nobody is sent to a provider', async () => {
  const client = await registerClient(server);
  for (const changes of [
    { code_challenge: null, code_challenge_method: null },
    { code_challenge_method: 'plain' },
    { code_challenge_method: null },
    { code_challenge: 'short' },
  ]) {
    const { headers } = await get(authorizationUrl(server, client, createVerifier(), changes));
    const location = new URL(headers.get('location') ?? '');
    assert.is(location.origin + location.pathname, redirectUri);
    assert.is(location.searchParams.get('error'), 'invalid_request');
  }
});

test('after all this the gateway has not failed inside, and a person signs in', () => attacked.end());

test.run();
