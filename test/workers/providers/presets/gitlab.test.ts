import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset gitlab');

const gitlabAt = (host: string): Quirks => ({
  authorizationEndpoint: `https://${host}/oauth/authorize`,
  tokenEndpoint: `https://${host}/oauth/token`,
  revocationEndpoint: `https://${host}/oauth/revoke`,
  userinfoEndpoint: `https://${host}/api/v4/user`,
  userinfo: { id: 50001, username: 'alice', name: 'Alice', email: 'alice@gitlab.example' },
  clientAuthentication: 'post',
  accessTokenSeconds: 7200,
  refreshTokens: 'one-time',
  answer: (standard) => ({ body: { ...standard, created_at: Math.floor(Date.now() / 1000) } }),
});

test('two hours, one-time refresh tokens; the reuse of one ends its family', async () => {
  await using gitlab = await openPreset({ preset: 'gitlab' }, { scopes: ['api'] }, gitlabAt('gitlab.com'));
  const { tokens, account } = await gitlab.signIn();
  assert.equal(account, { subject: '50001', name: 'Alice', email: 'alice@gitlab.example' });
  assert.is(gitlab.asked().get('scope'), 'read_user api');
  assert.ok(isIn(tokens.expiresAt, 7200));
  const second = await gitlab.refreshed(tokens.refreshToken);
  assert.is.not(second.refreshToken!.reveal(), tokens.refreshToken!.reveal());
  assert.equal(gitlab.reuse, { policy: 'revokes' });
  const reused = await gitlab.refresh(tokens.refreshToken);
  assert.is(reused.status === 'failed' && reused.reason, 'invalid-grant');
  assert.is((await gitlab.refresh(second.refreshToken)).status, 'failed');
});

test('revocation by RFC 7009', async () => {
  await using gitlab = await openPreset({ preset: 'gitlab' }, {}, gitlabAt('gitlab.com'));
  const { tokens } = await gitlab.signIn();
  assert.equal(await gitlab.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: true });
  assert.not.ok(gitlab.played.isLive(tokens.refreshToken!.reveal()));
});

test('a self-managed GitLab below a path', async () => {
  const upstream = { preset: 'gitlab', preset_parameters: { host: 'git.example.com/gitlab' } };
  await using gitlab = await openPreset(upstream, {}, gitlabAt('git.example.com/gitlab'));
  assert.is((await gitlab.signIn()).account.subject, '50001');
});

test.run();
