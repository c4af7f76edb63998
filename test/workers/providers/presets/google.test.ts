import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset google');
const upstream = { preset: 'google', key: 'oidc_config' };

const google: Quirks = {
  issuer: 'https://accounts.google.com',
  authorizationEndpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
  tokenEndpoint: 'https://oauth2.googleapis.com/token',
  revocationEndpoint: 'https://oauth2.googleapis.com/revoke',
  idTokenClaims: { sub: '10769150350006150715113082367', name: 'Jane', email: 'jane@example.com' },
  clientAuthentication: 'basic',
  accessTokenSeconds: 3599,
  refreshTokens: 'consent',
  revoke: ({ form }, end) =>
    end(form.get('token') ?? '') ? { body: {} } : { status: 400, body: { error: 'invalid_token' } },
};

test('each sign-in asks for consent, so that each gives a refresh token', async () => {
  await using jane = await openPreset(upstream, {}, google);
  const { account } = await jane.signIn();
  assert.equal(account, {
    subject: '10769150350006150715113082367',
    name: 'Jane',
    email: 'jane@example.com',
  });
  assert.is(jane.asked().get('access_type'), 'offline');
  assert.is(jane.asked().get('scope'), 'openid profile email');
  assert.ok((await jane.signIn()).tokens.refreshToken);
});

test('without the consent page there is no refresh token the second time, and no end of one', async () => {
  const block = { additional_authorization_params: { prompt: 'select_account' } };
  await using jane = await openPreset(upstream, block, google);
  assert.ok((await jane.signIn()).tokens.refreshToken);
  const { tokens } = await jane.signIn();
  assert.is(tokens.refreshToken, null);
  assert.is(tokens.refreshExpiresAt, null);
});

test('a refresh rotates nothing and begins the six months anew', async () => {
  await using jane = await openPreset(upstream, {}, google);
  const { tokens } = await jane.signIn();
  assert.ok(isIn(tokens.refreshExpiresAt, 180 * 86_400));
  const second = await jane.refreshed(tokens.refreshToken);
  assert.is(second.refreshToken, null);
  assert.ok(isIn(second.refreshExpiresAt, 180 * 86_400));
  assert.ok(isIn(second.expiresAt, 3599));
  assert.equal(jane.reuse, { policy: 'tolerant' });
  await jane.refreshed(tokens.refreshToken);
});

test('revocation, also of a token that is gone, which Google calls an error', async () => {
  await using jane = await openPreset(upstream, {}, google);
  const { tokens } = await jane.signIn();
  assert.equal(await jane.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: true });
  assert.equal(await jane.revoke(tokens.accessToken, 'access_token'), { revoked: true });
  assert.not.ok(jane.played.isLive(tokens.accessToken.reveal()));
});

test.run();
