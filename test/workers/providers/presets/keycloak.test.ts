import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset keycloak');

const issuer = 'https://sso.example.com/realms/engineering';
const upstream = {
  preset: 'keycloak',
  preset_parameters: { host: 'sso.example.com', realm: 'engineering' },
  key: 'oidc_config',
};

const keycloak: Quirks = {
  issuer,
  authorizationEndpoint: `${issuer}/protocol/openid-connect/auth`,
  tokenEndpoint: `${issuer}/protocol/openid-connect/token`,
  revocationEndpoint: `${issuer}/protocol/openid-connect/revoke`,
  idTokenClaims: { sub: '5e5b7a1c-2b4e-4d6f-8a3b-1c2d3e4f5a6b', name: 'Jane', email: 'jane@example.com' },
  clientAuthentication: 'basic',
  accessTokenSeconds: 300,
  refreshTokens: 'one-time',
  answer: (standard) => ({ body: { ...standard, refresh_expires_in: 1800, 'not-before-policy': 0 } }),
};

test('the refresh token ends when refresh_expires_in says', async () => {
  await using jane = await openPreset(upstream, {}, keycloak);
  const { tokens, account } = await jane.signIn();
  assert.is(account.subject, '5e5b7a1c-2b4e-4d6f-8a3b-1c2d3e4f5a6b');
  assert.ok(isIn(tokens.expiresAt, 300));
  assert.ok(isIn(tokens.refreshExpiresAt, 1800));
});

test('of an offline token, 0 says that it does not end', async () => {
  const answer: Quirks['answer'] = (standard) => ({ body: { ...standard, refresh_expires_in: 0 } });
  await using jane = await openPreset(upstream, {}, { ...keycloak, answer });
  const { tokens } = await jane.signIn();
  assert.ok(jane.asked().get('scope')?.includes('offline_access'));
  assert.is(tokens.refreshExpiresAt, null);
});

test('the realm decides on reuse: the strictest is taken unless the file says otherwise', async () => {
  await using strict = await openPreset(upstream, {}, keycloak);
  assert.equal(strict.reuse, { policy: 'revokes' });
  const { tokens } = await strict.signIn();
  await strict.refreshed(tokens.refreshToken);
  assert.is((await strict.refresh(tokens.refreshToken)).status, 'failed');
  const block = { refresh_token_reuse: 'tolerant' };
  await using open = await openPreset(upstream, block, { ...keycloak, reuse: 'tolerant' });
  assert.equal(open.reuse, { policy: 'tolerant' });
});

test('revocation by the endpoint of the discovery document', async () => {
  await using jane = await openPreset(upstream, {}, keycloak);
  const { tokens } = await jane.signIn();
  assert.equal(await jane.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: true });
  assert.not.ok(jane.played.isLive(tokens.refreshToken!.reveal()));
});

test.run();
