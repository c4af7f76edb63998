import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../../schemas/failure.ts';
import { Secret } from '../../../../schemas/secret.ts';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { clientSecret } from '../provider-settings.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset github');

const revocationEndpoint = 'https://api.github.com/applications/2141029472.691202649728/token';

/** An OAuth App: no expiry, no refresh token, scopes with commas, a form unless JSON is asked for, errors with 200. */
const oauthApp: Quirks = {
  authorizationEndpoint: 'https://github.com/login/oauth/authorize',
  tokenEndpoint: 'https://github.com/login/oauth/access_token',
  userinfoEndpoint: 'https://api.github.com/user',
  revocationEndpoint,
  userinfo: { id: 583231, login: 'octocat', name: null, email: null },
  clientAuthentication: 'post',
  accessTokenSeconds: null,
  refreshTokens: 'none',
  scopeSeparator: ',',
  answer: (standard, _, accept) => {
    const body = { ...standard, scope: String(standard.scope).replaceAll(' ', ',') };
    return accept.includes('application/json')
      ? { body }
      : {
          type: 'application/x-www-form-urlencoded',
          body: new URLSearchParams(body as Record<string, string>).toString(),
        };
  },
  refuse: (error, grantType) => ({
    status: 200,
    body: {
      error:
        error === 'invalid_client'
          ? 'incorrect_client_credentials'
          : grantType === 'refresh_token'
            ? 'bad_refresh_token'
            : 'bad_verification_code',
    },
  }),
  revoke: ({ method, headers, body }, end) => {
    const [id, secret] = Buffer.from(headers.authorization!.slice('Basic '.length), 'base64')
      .toString()
      .split(':');
    if (method !== 'DELETE' || id !== '2141029472.691202649728' || secret !== clientSecret)
      return { status: 404 };
    return { status: end(JSON.parse(body).access_token) ? 204 : 422 };
  },
};

/** A GitHub App with user tokens that expire. */
const gitHubApp: Quirks = {
  ...oauthApp,
  accessTokenSeconds: 28_800,
  refreshTokens: 'one-time',
  reuse: 'refused',
  answer: (standard) => ({ body: { ...standard, scope: '', refresh_token_expires_in: 15_897_600 } }),
};

test('an OAuth App: a token without end, known by id, with its scopes', async () => {
  await using github = await openPreset({ preset: 'github' }, { scopes: ['repo', 'gist'] }, oauthApp);
  const { tokens, account } = await github.signIn();
  assert.equal(account, { subject: '583231', name: 'octocat', email: null });
  assert.is(github.asked().get('scope'), 'repo,gist');
  assert.is(tokens.scope, 'repo gist');
  assert.is(tokens.expiresAt, null);
  assert.is(tokens.refreshToken, null);
  assert.is(tokens.refreshExpiresAt, null);
  assert.is(
    github.played.requestsTo('https://api.github.com/user')[0]?.headers.accept,
    'application/vnd.github+json',
  );
});

test('an access token is deleted; what GitHub does not know is not said to be revoked', async () => {
  await using github = await openPreset({ preset: 'github' }, {}, oauthApp);
  const { tokens } = await github.signIn();
  assert.equal(await github.revoke(tokens.accessToken, 'access_token'), { revoked: true });
  assert.not.ok(github.played.isLive(tokens.accessToken.reveal()));
  try {
    await github.revoke(tokens.accessToken, 'access_token');
    assert.unreachable();
  } catch (error) {
    assert.is(error instanceof RefusedError && error.code, 'upstream-refused');
  }
});

test('a GitHub App: 8 hours, refresh tokens for one use that say when they end', async () => {
  await using github = await openPreset({ preset: 'github' }, {}, gitHubApp);
  const { tokens } = await github.signIn();
  assert.ok(isIn(tokens.expiresAt, 28_800));
  assert.ok(isIn(tokens.refreshExpiresAt, 15_897_600));
  assert.is(tokens.scope, null);
  const second = await github.refreshed(tokens.refreshToken);
  assert.is.not(second.refreshToken?.reveal(), tokens.refreshToken?.reveal());
  assert.equal(github.reuse, { policy: 'revokes' });
  assert.equal(await github.revoke(second.refreshToken!, 'refresh_token'), { revoked: false });
  assert.is(github.played.requestsTo(revocationEndpoint).length, 0);
});

test('an error with status 200 is a failure, and final', async () => {
  await using github = await openPreset({ preset: 'github' }, {}, gitHubApp);
  const outcome = await github.refresh(new Secret('ghr_unknown'));
  assert.equal(outcome, { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null });
});

test('GitHub Enterprise lies elsewhere as a whole', async () => {
  const parameters = { host: 'ghe.example.com', api: 'ghe.example.com/api/v3' };
  await using github = await openPreset(
    { preset: 'github', preset_parameters: parameters },
    {},
    {
      ...oauthApp,
      authorizationEndpoint: 'https://ghe.example.com/login/oauth/authorize',
      tokenEndpoint: 'https://ghe.example.com/login/oauth/access_token',
      userinfoEndpoint: 'https://ghe.example.com/api/v3/user',
      revocationEndpoint: 'https://ghe.example.com/api/v3/applications/2141029472.691202649728/token',
    },
  );
  const { tokens } = await github.signIn();
  assert.equal(await github.revoke(tokens.accessToken, 'access_token'), { revoked: true });
});

test.run();
