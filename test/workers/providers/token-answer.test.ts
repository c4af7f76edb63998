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

test('JSON and forms are read whatever the content type says', async () => {
  for (const type of ['text/plain', 'text/html; charset=utf-8', 'text/javascript']) {
    const headers = { 'content-type': type };
    assert.is((await tokensOf({ access_token: 'a', scope: 'x' }, headers)).scope, 'x');
    assert.is((await tokensOf('token_type=bearer&access_token=a%2Fb', headers)).accessToken, 'a/b');
    assert.equal(await read(200, 'error=bad_refresh_token&error_uri=x', headers), {
      status: 'refused',
      error: 'invalid_grant',
    });
    assert.is((await read(200, '<a href="?access_token=a">', headers)).status, 'unavailable');
  }
});

test('nested answers; of a code everything is nested or nothing is there', async () => {
  const mapping = {
    accessTokenPath: 'user.tokens.access',
    refreshTokenPath: 'user.tokens.refresh',
    expiresInPath: 'user.ttl',
    scopePath: null,
  };
  const nested = {
    access_token: 'of the bot',
    refresh_token: 'of the bot',
    scope: 'a,b',
    user: { id: 7, tokens: { access: 'a' }, ttl: 60 },
  };
  const identity = { subjectPaths: ['user.id'], namePath: 'user.name', emailPath: null };
  const form = { mapping, identity, scopeSeparator: ',', mayBeFlat: false } as const;
  const answer = await readTokenAnswer(Response.json(nested), now, form);
  if (answer.status !== 'tokens') return assert.unreachable();
  assert.is(answer.tokens.accessToken.reveal(), 'a');
  assert.is(answer.tokens.refreshToken, null);
  assert.is(answer.tokens.expiresAt, now + 60_000);
  assert.is(answer.tokens.scope, 'a b');
  assert.equal(answer.identity, { subject: '7', name: null, email: null });
  const flat = { access_token: 'b', refresh_token: 'r' };
  assert.is((await readTokenAnswer(Response.json(flat), now, form)).status, 'unavailable');
  const refreshed = await readTokenAnswer(Response.json(flat), now, { ...form, mayBeFlat: true });
  assert.is(refreshed.status === 'tokens' && refreshed.tokens.refreshToken?.reveal(), 'r');
});

test('a subject of several parts is never another of other parts', async () => {
  const form = {
    mapping: null,
    identity: { subjectPaths: ['a', 'b'], namePath: null, emailPath: null },
    scopeSeparator: ' ',
    mayBeFlat: false,
  } as const;
  const subject = async (fields: object) => {
    const answer = await readTokenAnswer(Response.json({ access_token: 'x', ...fields }), now, form);
    return answer.status === 'tokens' ? answer.identity?.subject : assert.unreachable();
  };
  assert.is(await subject({ a: 'T1', b: 'U1' }), 'T1:U1');
  assert.is.not(await subject({ a: 'T:1', b: 'U' }), await subject({ a: 'T', b: '1:U' }));
  assert.is.not(await subject({ a: 'T%3A1', b: 'U' }), await subject({ a: 'T:1', b: 'U' }));
  assert.is(await subject({ a: 'T1' }), null);
  assert.is(await subject({ a: 'T1', b: { c: 1 } }), null);
  assert.is(await subject({ a: 'T1', b: 2 ** 53 }), null);
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
