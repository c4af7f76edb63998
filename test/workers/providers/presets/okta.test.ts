import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { openPreset } from './preset-world.ts';

const test = suite('preset okta');

const oktaAt = (issuer: string, path = ''): Quirks => ({
  issuer,
  authorizationEndpoint: `${issuer}${path}/v1/authorize`,
  tokenEndpoint: `${issuer}${path}/v1/token`,
  revocationEndpoint: `${issuer}${path}/v1/revoke`,
  idTokenClaims: { sub: '00uid4BxXw6I6TV4m0g3', name: 'Jane', email: 'jane@example.com' },
  clientAuthentication: 'basic',
  accessTokenSeconds: 3600,
  refreshTokens: (scopes) => (scopes.includes('offline_access') ? 'one-time' : 'none'),
  reuse: { leewayMs: 30_000 },
});

const upstream = (domain: string) => ({
  preset: 'okta',
  preset_parameters: { domain },
  key: 'oidc_config',
});

test('a refresh token that was just used works within the leeway', async () => {
  await using jane = await openPreset(
    upstream('example.okta.com'),
    {},
    oktaAt('https://example.okta.com', '/oauth2'),
  );
  const { tokens, account } = await jane.signIn();
  assert.is(account.subject, '00uid4BxXw6I6TV4m0g3');
  const second = await jane.refreshed(tokens.refreshToken);
  assert.is.not(second.refreshToken!.reveal(), tokens.refreshToken!.reveal());
  assert.equal(jane.reuse, { policy: 'leeway', leewayMs: 30_000 });
  await jane.refreshed(tokens.refreshToken);
});

test('after it, reuse ends the family', async () => {
  const quirks: Quirks = { ...oktaAt('https://example.okta.com', '/oauth2'), reuse: { leewayMs: 0 } };
  await using jane = await openPreset(upstream('example.okta.com'), {}, quirks);
  const { tokens } = await jane.signIn();
  const second = await jane.refreshed(tokens.refreshToken);
  for (const token of [tokens.refreshToken, second.refreshToken]) {
    const outcome = await jane.refresh(token);
    assert.is(outcome.status === 'failed' && outcome.reason, 'invalid-grant');
  }
});

test('a custom authorization server lies in the path; revocation by discovery', async () => {
  const domain = 'example.okta.com/oauth2/default';
  await using jane = await openPreset(upstream(domain), {}, oktaAt(`https://${domain}`));
  const { tokens } = await jane.signIn();
  assert.equal(await jane.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: true });
});

test.run();
