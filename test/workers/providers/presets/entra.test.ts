import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../../schemas/failure.ts';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset entra');

const tenant = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const oid = '00000000-0000-0000-66f3-3332eca7ea81';
const upstream = { preset: 'entra', preset_parameters: { tenant }, key: 'oidc_config' };
const issuer = `https://login.microsoftonline.com/${tenant}/v2.0`;

const entra: Quirks = {
  issuer,
  authorizationEndpoint: `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/authorize`,
  tokenEndpoint: `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`,
  userinfoEndpoint: 'https://graph.microsoft.com/oidc/userinfo',
  idTokenClaims: { sub: 'AAAA-for-this-application', oid, tid: tenant, name: 'Jane' },
  // `sub` of the userinfo endpoint is that of the ID token, not the object id.
  userinfo: { sub: 'AAAA-for-this-application', email: 'jane@example.com' },
  clientAuthentication: 'post',
  accessTokenSeconds: 4523,
  refreshTokens: (scopes) => (scopes.includes('offline_access') ? 'one-time' : 'none'),
  reuse: 'tolerant',
};

test('a person is the object id in the tenant, whatever the application', async () => {
  await using jane = await openPreset(upstream, {}, entra);
  const { account } = await jane.signIn();
  assert.equal(account, { subject: `${tenant}:${oid}`, name: 'Jane', email: 'jane@example.com' });
});

test('offline_access is asked for, beside the scopes of the file', async () => {
  const block = { scopes: ['https://graph.microsoft.com/Mail.Read'] };
  await using jane = await openPreset(upstream, block, entra);
  assert.ok((await jane.signIn()).tokens.refreshToken);
  assert.is(
    jane.asked().get('scope'),
    'openid profile email offline_access https://graph.microsoft.com/Mail.Read',
  );
});

test('refresh tokens live 90 days, give new ones, and work on', async () => {
  await using jane = await openPreset(upstream, {}, entra);
  const { tokens } = await jane.signIn();
  assert.ok(isIn(tokens.refreshExpiresAt, 90 * 86_400));
  const second = await jane.refreshed(tokens.refreshToken);
  assert.is.not(second.refreshToken!.reveal(), tokens.refreshToken!.reveal());
  assert.ok(isIn(second.refreshExpiresAt, 90 * 86_400));
  assert.equal(jane.reuse, { policy: 'tolerant' });
  await jane.refreshed(tokens.refreshToken);
});

test('where the person must act, the refresh is over and no operator is called', async () => {
  await using jane = await openPreset(
    upstream,
    {},
    {
      ...entra,
      refuse: () => ({ status: 400, body: { error: 'interaction_required', suberror: 'basic_action' } }),
      reuse: 'revokes',
    },
  );
  const { tokens } = await jane.signIn();
  await jane.refreshed(tokens.refreshToken);
  const outcome = await jane.refresh(tokens.refreshToken);
  assert.is(outcome.status === 'failed' && outcome.reason, 'invalid-grant');
});

test('an ID token without the object id signs nobody in', async () => {
  await using jane = await openPreset(upstream, {}, { ...entra, idTokenClaims: { tid: tenant } });
  try {
    await jane.signIn();
    assert.unreachable();
  } catch (error) {
    assert.is(error instanceof RefusedError && error.code, 'upstream-unavailable');
    assert.match((error as Error).message, /tid, oid/);
  }
});

test('there is nothing to revoke at', async () => {
  await using jane = await openPreset(upstream, {}, entra);
  const { tokens } = await jane.signIn();
  assert.equal(await jane.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: false });
});

test.run();
