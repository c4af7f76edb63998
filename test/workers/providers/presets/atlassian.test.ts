import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../../../schemas/secret.ts';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset atlassian');
const upstream = { preset: 'atlassian' };

const atlassian: Quirks = {
  authorizationEndpoint: 'https://auth.atlassian.com/authorize',
  tokenEndpoint: 'https://auth.atlassian.com/oauth/token',
  userinfoEndpoint: 'https://api.atlassian.com/me',
  userinfo: { account_id: '112233aa-bb11-cc22-33dd-445566abcabc', name: 'Mia', email: 'mia@example.com' },
  clientAuthentication: 'post',
  accessTokenSeconds: 3600,
  refreshTokens: (scopes) => (scopes.includes('offline_access') ? 'one-time' : 'none'),
  reuse: { leewayMs: 600_000 },
  refuse: () => ({
    status: 403,
    body: { error: 'unauthorized_client', error_description: 'refresh_token is invalid' },
  }),
};

test('audience, consent and offline_access are asked for; the account has its id', async () => {
  await using mia = await openPreset(upstream, { scopes: ['read:jira-work'] }, atlassian);
  const { tokens, account } = await mia.signIn();
  assert.is(account.subject, '112233aa-bb11-cc22-33dd-445566abcabc');
  assert.is(mia.asked().get('audience'), 'api.atlassian.com');
  assert.is(mia.asked().get('prompt'), 'consent');
  assert.is(mia.asked().get('scope'), 'offline_access read:me read:jira-work');
  assert.ok(isIn(tokens.refreshExpiresAt, 90 * 86_400));
});

test('refresh tokens rotate, with a leeway of ten minutes', async () => {
  await using mia = await openPreset(upstream, {}, atlassian);
  const { tokens } = await mia.signIn();
  const second = await mia.refreshed(tokens.refreshToken);
  assert.is.not(second.refreshToken!.reveal(), tokens.refreshToken!.reveal());
  assert.equal(mia.reuse, { policy: 'leeway', leewayMs: 600_000 });
  await mia.refreshed(tokens.refreshToken);
});

test('after the leeway a reuse ends the family, and what Atlassian calls it is final', async () => {
  await using mia = await openPreset(upstream, {}, { ...atlassian, reuse: { leewayMs: 0 } });
  const { tokens } = await mia.signIn();
  const second = await mia.refreshed(tokens.refreshToken);
  for (const token of [tokens.refreshToken, second.refreshToken]) {
    const outcome = await mia.refresh(token);
    assert.is(outcome.status === 'failed' && outcome.reason, 'invalid-grant');
  }
});

test('the same code without those words is for an operator', async () => {
  const refuse = () => ({ status: 403, body: { error: 'unauthorized_client' } });
  await using mia = await openPreset(upstream, {}, { ...atlassian, refuse });
  const outcome = await mia.refresh(new Secret('unknown'));
  assert.is(outcome.status === 'failed' && outcome.reason, 'provider-configuration');
});

test('there is nothing to revoke at', async () => {
  await using mia = await openPreset(upstream, {}, atlassian);
  const { tokens } = await mia.signIn();
  assert.equal(await mia.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: false });
});

test.run();
