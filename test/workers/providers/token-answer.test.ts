import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readTokenAnswer, type TokenAnswer } from '../../../workers/providers/token-answer.ts';

const test = suite('token-answer');
const now = Date.UTC(2026, 0, 1);

const read = (status: number, body: unknown, headers: Record<string, string> = {}): Promise<TokenAnswer> =>
  readTokenAnswer(
    new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers }),
    now,
  );

async function tokensOf(body: unknown, headers: Record<string, string> = {}) {
  const answer = await read(200, body, headers);
  if (answer.status !== 'tokens') return assert.unreachable(`read as ${answer.status}`) as never;
  const { accessToken, refreshToken, idToken, ...rest } = answer.tokens;
  return {
    ...rest,
    accessToken: accessToken.reveal(),
    refreshToken: refreshToken?.reveal() ?? null,
    idToken: idToken?.reveal() ?? null,
  };
}

test('a full answer', async () => {
  assert.equal(
    await tokensOf({
      access_token: 'a',
      token_type: 'bearer',
      expires_in: 300,
      refresh_token: 'r',
      refresh_expires_in: 1800,
      id_token: 'i',
      scope: 'openid read',
    }),
    {
      accessToken: 'a',
      tokenType: 'Bearer',
      expiresAt: now + 300_000,
      refreshToken: 'r',
      refreshExpiresAt: now + 1800_000,
      idToken: 'i',
      scope: 'openid read',
    },
  );
});

test('what is left out, empty or odd is null, and costs no token', async () => {
  const nothing = {
    accessToken: 'a',
    tokenType: 'Bearer',
    expiresAt: null,
    refreshToken: null,
    refreshExpiresAt: null,
    idToken: null,
    scope: null,
  };
  assert.equal(await tokensOf({ access_token: 'a' }), nothing);
  const odd = {
    access_token: 'a',
    token_type: '',
    expires_in: 'soon',
    refresh_token: '',
    refresh_expires_in: 0,
    id_token: 7,
    scope: '',
    error: null,
  };
  assert.equal(await tokensOf(odd), nothing);
  assert.equal(
    await tokensOf({ access_token: 'a', expires_in: -5, scope: null, refresh_token: null }),
    nothing,
  );
});

test('numbers as strings, fractions, lists of scopes, other names', async () => {
  const tokens = await tokensOf({
    access_token: 'a',
    expires_in: '3599',
    refresh_token_expires_in: '15811200.5',
    scope: ['repo', 'gist'],
    token_type: 'DPoP',
  });
  assert.is(tokens.expiresAt, now + 3_599_000);
  assert.is(tokens.refreshExpiresAt, now + 15_811_200_500);
  assert.is(tokens.scope, 'repo gist');
  assert.is(tokens.tokenType, 'DPoP');
  const endless = await tokensOf({ access_token: 'a', expires_in: 1e300 });
  assert.ok(Number.isSafeInteger(endless.expiresAt));
});

test('a form is read as well', async () => {
  const tokens = await tokensOf('access_token=a&scope=repo%2Cgist&expires_in=60', {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
  });
  assert.is(tokens.scope, 'repo,gist');
  assert.is(tokens.expiresAt, now + 60_000);
});

test('an error is a failure whatever the status says', async () => {
  assert.equal(await read(200, { error: 'invalid_grant', access_token: 'a' }), {
    status: 'refused',
    error: 'invalid_grant',
  });
  assert.equal(await read(200, { error: 'bad_refresh_token' }), {
    status: 'refused',
    error: 'invalid_grant',
  });
  assert.equal(await read(401, { error: 'invalid_client' }), { status: 'refused', error: 'invalid_client' });
  assert.equal(await read(400, { error: 'made up: secret' }), { status: 'refused', error: null });
  assert.equal(await read(404, '<html>'), { status: 'refused', error: null });
});

test('5xx, 429, temporary errors and nonsense are no verdict', async () => {
  const unavailable = { status: 'unavailable', retryAfterSeconds: null };
  assert.equal(await read(503, { error: 'invalid_grant' }), unavailable);
  assert.equal(await read(429, { error: 'invalid_grant' }), unavailable);
  assert.equal(await read(400, { error: 'temporarily_unavailable' }), unavailable);
  assert.equal(await read(302, ''), unavailable);
  for (const body of ['', 'null', '[]', '"a"', '<html>', '{"access_token":""}', '{"access_token":7}', '{}'])
    assert.equal(await read(200, body), unavailable, body);
});

test('Retry-After in seconds or as a date', async () => {
  const wait = async (value: string) => {
    const answer = await read(503, '', { 'retry-after': value });
    return answer.status === 'unavailable' ? answer.retryAfterSeconds : assert.unreachable();
  };
  assert.is(await wait('120'), 120);
  assert.is(await wait(new Date(now + 90_000).toUTCString()), 90);
  assert.is(await wait(new Date(now - 90_000).toUTCString()), 0);
  assert.is(await wait('99999999999'), 86_400);
  assert.is(await wait('later'), null);
});

test.run();
