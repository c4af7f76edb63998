import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../../schemas/failure.ts';
import { Secret } from '../../../../schemas/secret.ts';
import type { Quirks } from '../../../world/identity-providers/quirky-provider.ts';
import { isIn, openPreset } from './preset-world.ts';

const test = suite('preset slack');
const upstream = { preset: 'slack' };

/** With token rotation; the answer to a code holds a bot's token at its top. */
const slack: Quirks = {
  authorizationEndpoint: 'https://slack.com/oauth/v2/authorize',
  tokenEndpoint: 'https://slack.com/api/oauth.v2.access',
  revocationEndpoint: 'https://slack.com/api/auth.revoke',
  clientAuthentication: 'post',
  accessTokenSeconds: 43_200,
  refreshTokens: 'one-time',
  reuse: 'refused',
  scopeParameter: 'user_scope',
  scopeSeparator: ',',
  answer: (standard, grantType) => {
    const user = { ...standard, token_type: 'user', scope: String(standard.scope).replaceAll(' ', ',') };
    if (grantType === 'refresh_token') return { body: { ok: true, ...user, team: { id: 'T9TK3CUKW' } } };
    const body = {
      ok: true,
      access_token: 'xoxb-of-the-bot',
      token_type: 'bot',
      scope: 'commands',
      team: { name: 'Slack Softball Team', id: 'T9TK3CUKW' },
      authed_user: { id: 'U1234', ...user },
    };
    return { body };
  },
  refuse: (error, grantType) => ({
    body: {
      ok: false,
      error:
        error === 'invalid_client'
          ? 'bad_client_secret'
          : grantType === 'refresh_token'
            ? 'invalid_refresh_token'
            : 'invalid_code',
    },
  }),
  revoke: ({ headers }, end) => {
    const ended = end(/^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '');
    return { body: ended ? { ok: true, revoked: true } : { ok: false, error: 'token_revoked' } };
  },
};

test("the person's own token is taken from its place, not the bot's", async () => {
  await using jane = await openPreset(upstream, { scopes: ['chat:write', 'search:read'] }, slack);
  const { tokens, account } = await jane.signIn();
  assert.ok(jane.played.isLive(tokens.accessToken.reveal()));
  assert.equal(account, { subject: 'T9TK3CUKW:U1234', name: null, email: null });
  assert.is(jane.asked().get('user_scope'), 'chat:write,search:read');
  assert.not.ok(jane.asked().has('scope'));
  assert.is(tokens.scope, 'chat:write search:read');
  assert.is(tokens.tokenType, 'Bearer');
  assert.ok(isIn(tokens.expiresAt, 43_200));
});

test('a refresh answers at its top', async () => {
  await using jane = await openPreset(upstream, { scopes: ['chat:write'] }, slack);
  const { tokens } = await jane.signIn();
  const second = await jane.refreshed(tokens.refreshToken);
  assert.ok(jane.played.isLive(second.accessToken.reveal()));
  assert.is.not(second.refreshToken!.reveal(), tokens.refreshToken!.reveal());
  assert.is(second.scope, 'chat:write');
  assert.is(second.tokenType, 'Bearer');
  assert.equal(jane.reuse, { policy: 'revokes' });
});

test("where the person has no token of their own, the bot's is not theirs", async () => {
  const botOnly: Quirks = {
    ...slack,
    answer: () => ({
      body: { ok: true, access_token: 'xoxb-of-the-bot', team: { id: 'T1' }, authed_user: { id: 'U1' } },
    }),
  };
  await using jane = await openPreset(upstream, {}, botOnly);
  try {
    await jane.signIn();
    assert.unreachable();
  } catch (error) {
    assert.is(error instanceof RefusedError && error.code, 'upstream-unavailable');
  }
});

test('errors with status 200 and names of their own have their meaning', async () => {
  const cases: [string, string][] = [
    ['invalid_refresh_token', 'invalid-grant'],
    ['token_revoked', 'invalid-grant'],
    ['bad_client_secret', 'provider-configuration'],
    ['ratelimited', 'provider-unavailable'],
    ['fatal_error', 'provider-unavailable'],
  ];
  for (const [error, reason] of cases) {
    await using jane = await openPreset(
      upstream,
      {},
      { ...slack, refuse: () => ({ body: { ok: false, error } }) },
    );
    const outcome = await jane.refresh(new Secret('xoxe-1-unknown'));
    assert.is(outcome.status === 'failed' && outcome.reason, reason, error);
  }
});

test('auth.revoke ends an access token, and one that is gone is gone', async () => {
  await using jane = await openPreset(upstream, {}, slack);
  const { tokens } = await jane.signIn();
  assert.equal(await jane.revoke(tokens.refreshToken!, 'refresh_token'), { revoked: false });
  assert.equal(await jane.revoke(tokens.accessToken, 'access_token'), { revoked: true });
  assert.equal(await jane.revoke(tokens.accessToken, 'access_token'), { revoked: true });
  assert.is(jane.played.requestsTo(slack.revocationEndpoint!).length, 2);
});

test('without token rotation a token has no end and no refresh token', async () => {
  await using jane = await openPreset(
    upstream,
    {},
    { ...slack, accessTokenSeconds: null, refreshTokens: 'none' },
  );
  const { tokens } = await jane.signIn();
  assert.is(tokens.expiresAt, null);
  assert.is(tokens.refreshToken, null);
});

test.run();
