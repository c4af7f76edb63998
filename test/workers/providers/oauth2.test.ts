import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import type { RefreshOutcome } from '../../../schemas/messages/refresh-outcome.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createOAuth2Provider } from '../../../workers/providers/oauth2.ts';
import type { Provider } from '../../../workers/providers/provider.ts';
import { Browser } from '../../world/browser.ts';
import { openGitlabProvider } from '../../world/identity-providers/gitlab.ts';
import { type Answer, openAnsweringServer } from './answering-server.ts';
import {
  clientSecret,
  createDependencies,
  oauth2Settings,
  parametersOf,
  redirectUri,
  unhurried,
} from './provider-settings.ts';

const test = suite('oauth2');
const options = { clientSecret, redirectUris: [redirectUri] };
const registration = { clientId: 'latchkey', generation: 0 };

async function signIn(provider: Provider, username = 'alice') {
  const browser = new Browser();
  const { authorizationUrl, leg } = await provider.authorize();
  await browser.goto(authorizationUrl, { stopAt: redirectUri });
  const page = await browser.submit({ username, password: `${username}-demo` }, { stopAt: redirectUri });
  return { leg, parameters: parametersOf(page.url), authorizationUrl: new URL(authorizationUrl) };
}

const refreshWith = (provider: Provider, refreshToken: Secret | null): Promise<RefreshOutcome> =>
  provider.refresh({ refreshToken: refreshToken!, registration, ...unhurried() });

function refreshed(outcome: RefreshOutcome) {
  if (outcome.status !== 'refreshed') return assert.unreachable(`failed: ${outcome.reason}`) as never;
  return outcome.tokens;
}

async function refusal(promise: Promise<unknown>): Promise<RefusedError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, RefusedError);
    return error as RefusedError;
  }
  return assert.unreachable('was not refused') as never;
}

/** A provider whose endpoints answer as told; who the person is, is always known. */
async function openOddProvider(answer: () => Answer) {
  const server = await openAnsweringServer(({ path }) =>
    path === '/user' ? { body: '{"id":1}' } : answer(),
  );
  const dependencies = createDependencies();
  const settings = oauth2Settings({
    authorizationEndpoint: `${server.origin}/authorize`,
    tokenEndpoint: `${server.origin}/token`,
    revocationEndpoint: `${server.origin}/revoke`,
    userinfoEndpoint: `${server.origin}/user`,
  });
  return {
    provider: createOAuth2Provider(settings, dependencies),
    server,
    lines: dependencies.lines,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('a person signs in, and the account comes from the userinfo resource', async () => {
  await using gitlab = await openGitlabProvider(options);
  const { tokens, account, registration: obtainedBy, url } = await exchangeAt(gitlab);
  assert.equal(account, { subject: '50001', name: 'Alice at GitLab', email: 'alice@gitlab.example' });
  assert.equal(obtainedBy, registration);
  assert.ok(gitlab.tokens.has(tokens.accessToken.reveal()));
  assert.ok(gitlab.tokens.has(tokens.refreshToken!.reveal()));
  assert.ok(Math.abs(tokens.expiresAt! - Date.now() - 300_000) < 5000);
  assert.is(url.searchParams.get('code_challenge_method'), 'S256');
  assert.ok(url.searchParams.get('state'));
  assert.is(url.searchParams.get('nonce'), null);
  assert.is(url.searchParams.get('scope'), 'read_user');

  async function exchangeAt(at: typeof gitlab) {
    const provider = createOAuth2Provider(oauth2Settings(at), createDependencies());
    const { leg, parameters, authorizationUrl } = await signIn(provider);
    return { ...(await provider.exchange({ leg, parameters })), url: authorizationUrl };
  }
});

test('further parameters are sent, and cannot replace those of the protocol', async () => {
  await using odd = await openOddProvider(() => 'cut');
  const settings = {
    ...oauth2Settings({
      authorizationEndpoint: `${odd.server.origin}/authorize?tenant=1`,
      tokenEndpoint: `${odd.server.origin}/token`,
      userinfoEndpoint: `${odd.server.origin}/user`,
    }),
    authorizationParams: {
      prompt: 'consent',
      state: 'x',
      response_type: 'token',
      code_challenge_method: 'plain',
    },
  };
  const provider = createOAuth2Provider(settings, createDependencies());
  const { authorizationUrl, leg } = await provider.authorize();
  const { searchParams } = new URL(authorizationUrl);
  assert.is(searchParams.get('tenant'), '1');
  assert.is(searchParams.get('prompt'), 'consent');
  assert.equal(searchParams.getAll('state'), [leg.state.reveal()]);
  assert.equal(searchParams.getAll('response_type'), ['code']);
  assert.equal(searchParams.getAll('code_challenge_method'), ['S256']);
});

test('what the person or the provider refuses keeps its code', async () => {
  await using odd = await openOddProvider(() => ({ status: 400, body: '{"error":"invalid_grant"}' }));
  const { leg } = await odd.provider.authorize();
  const state = leg.state;
  const denied = await refusal(
    odd.provider.exchange({ leg, parameters: { state, error: new Secret('access_denied') } }),
  );
  assert.is(denied.code, 'upstream-refused');
  assert.match(denied.message, /access_denied$/);
  const unknown = await refusal(
    odd.provider.exchange({ leg, parameters: { state, error: new Secret('s3cret text') } }),
  );
  assert.not.match(unknown.message, /s3cret/);
  assert.is(odd.server.received.length, 0);
  const spent = await refusal(odd.provider.exchange({ leg, parameters: { state, code: new Secret('c') } }));
  assert.is(spent.code, 'upstream-refused');
  assert.match(spent.message, /invalid_grant$/);
});

test('a foreign iss is refused before anything is sent, on an error as well, where the issuer is known (RFC 9207)', async () => {
  await using odd = await openOddProvider(() => ({
    body: '{"access_token":"a","token_type":"bearer"}',
  }));
  const { origin } = odd.server;
  const settings = oauth2Settings({
    authorizationEndpoint: `${origin}/authorize`,
    tokenEndpoint: `${origin}/token`,
    userinfoEndpoint: `${origin}/user`,
  });
  const provider = createOAuth2Provider({ ...settings, issuer: `${origin}/oauth` }, createDependencies());
  const { leg } = await provider.authorize();
  const code = { state: leg.state, code: new Secret('c') };
  const error = { state: leg.state, error: new Secret('access_denied') };
  for (const answer of [code, error]) {
    const parameters = { ...answer, iss: new Secret(origin) };
    assert.is((await refusal(provider.exchange({ leg, parameters }))).code, 'invalid-request');
  }
  assert.is(odd.server.received.length, 0);
  const iss = new Secret(`${origin}/oauth`);
  const denied = await refusal(provider.exchange({ leg, parameters: { ...error, iss } }));
  assert.is(denied.code, 'upstream-refused');
  for (const parameters of [{ ...code, iss }, code])
    assert.is((await provider.exchange({ leg, parameters })).account.subject, '1');
});

test('a foreign state never reaches the token endpoint', async () => {
  await using odd = await openOddProvider(() => ({ body: '{"access_token":"a"}' }));
  const { leg } = await odd.provider.authorize();
  const parameters = { state: new Secret('another'), code: new Secret('c') };
  assert.is((await refusal(odd.provider.exchange({ leg, parameters }))).code, 'invalid-request');
  assert.is((await refusal(odd.provider.exchange({ leg, parameters: {} }))).code, 'invalid-request');
  assert.is(odd.server.received.length, 0);
});

test('a code that cannot be redeemed now is upstream-unavailable, and not tried again', async () => {
  for (const answer of ['cut', 'hang', { status: 502 }, { body: '<html>' }] as const) {
    await using odd = await openOddProvider(() => answer);
    const { leg } = await odd.provider.authorize();
    const parameters = { state: leg.state, code: new Secret('c') };
    const { code, retryable } = await refusal(odd.provider.exchange({ leg, parameters }));
    assert.equal({ code, retryable }, { code: 'upstream-unavailable', retryable: false });
    assert.is(odd.server.received.length, 1);
  }
});

test('without a usable subject nobody is signed in', async () => {
  for (const body of ['{}', '{"id":""}', '{"id":9007199254740993}', '{"id":{"a":1}}', '[]', 'x']) {
    await using server = await openAnsweringServer(({ path }) =>
      path === '/user' ? { body } : { body: '{"access_token":"a"}' },
    );
    const settings = oauth2Settings({
      authorizationEndpoint: `${server.origin}/authorize`,
      tokenEndpoint: `${server.origin}/token`,
      userinfoEndpoint: `${server.origin}/user`,
    });
    const provider = createOAuth2Provider(settings, createDependencies());
    const { leg } = await provider.authorize();
    const parameters = { state: leg.state, code: new Secret('c') };
    assert.is((await refusal(provider.exchange({ leg, parameters }))).code, 'upstream-unavailable', body);
    assert.is(server.received.at(-1)?.headers.authorization, 'Bearer a');
    assert.is(server.received.at(-1)?.headers['x-test'], 'yes');
  }
});

test('a refresh gives the rotated tokens; the old one is final', async () => {
  await using gitlab = await openGitlabProvider(options);
  const provider = createOAuth2Provider(oauth2Settings(gitlab), createDependencies());
  const { leg, parameters } = await signIn(provider, 'bob');
  const { tokens: first } = await provider.exchange({ leg, parameters });
  const second = refreshed(await refreshWith(provider, first.refreshToken));
  assert.is.not(second.refreshToken!.reveal(), first.refreshToken!.reveal());
  assert.ok(gitlab.tokens.has(second.accessToken.reveal()));
  const reused = await refreshWith(provider, first.refreshToken);
  assert.equal(reused, { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null });
});

test('a grant of a registration that is not configured any more is not sent', async () => {
  await using odd = await openOddProvider(() => ({ body: '{"access_token":"a"}' }));
  for (const other of [
    { clientId: 'former', generation: 0 },
    { clientId: 'latchkey', generation: 1 },
  ]) {
    const outcome = await odd.provider.refresh({
      refreshToken: new Secret('r'),
      registration: other,
      ...unhurried(),
    });
    assert.equal(outcome, { status: 'failed', reason: 'registration-gone', retryAfterSeconds: null });
    const token = { token: new Secret('r'), tokenTypeHint: 'refresh_token', registration: other } as const;
    assert.equal(await odd.provider.revoke(token), { revoked: false });
  }
  assert.is(odd.server.received.length, 0);
});

test('each failure of a refresh has its reason', async () => {
  const cases: [Answer, string, number | null][] = [
    [{ status: 400, body: '{"error":"invalid_grant"}' }, 'invalid-grant', null],
    [{ status: 200, body: '{"error":"invalid_grant","error_description":"s3cret"}' }, 'invalid-grant', null],
    [{ status: 401, body: '{"error":"invalid_client"}' }, 'provider-configuration', null],
    [
      {
        status: 401,
        body: '{"error":"invalid_client"}',
        headers: { 'www-authenticate': 'Basic realm="s3cret"' },
      },
      'provider-configuration',
      null,
    ],
    [{ status: 400, body: '{"error":"unauthorized_client"}' }, 'provider-configuration', null],
    [{ status: 404, body: 's3cret' }, 'provider-configuration', null],
    [{ status: 429, headers: { 'retry-after': '17' } }, 'provider-unavailable', 17],
    [{ status: 503, headers: { 'retry-after': '3' }, body: 's3cret' }, 'provider-unavailable', 3],
    [{ status: 500 }, 'provider-unavailable', null],
    [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'provider-unavailable', null],
    [{ body: '{"s3cret":' }, 'provider-unavailable', null],
    [{ body: '{}' }, 'provider-unavailable', null],
    [{ body: `{"access_token":"${'x'.repeat(1024 * 1024)}"}` }, 'provider-unavailable', null],
    ['cut', 'provider-unavailable', null],
    ['hang', 'provider-unavailable', null],
  ];
  for (const [answer, reason, retryAfterSeconds] of cases) {
    await using odd = await openOddProvider(() => answer);
    const outcome = await refreshWith(odd.provider, new Secret('s3cret'));
    assert.equal(
      outcome,
      { status: 'failed', reason, retryAfterSeconds },
      JSON.stringify(answer).slice(0, 200),
    );
    assert.is(odd.server.received.length, 1);
    assert.not.match(odd.lines.join(''), /s3cret/);
  }
});

test('the request is the one of RFC 6749 section 6, with the client authenticated by Basic', async () => {
  await using odd = await openOddProvider(() => ({ body: '{"access_token":"a"}' }));
  refreshed(await refreshWith(odd.provider, new Secret('r')));
  const [request] = odd.server.received;
  assert.equal(Object.fromEntries(new URLSearchParams(request!.body)), {
    grant_type: 'refresh_token',
    refresh_token: 'r',
  });
  const expected = Buffer.from(`latchkey:${encodeURIComponent(clientSecret).replaceAll('-', '%2D')}`);
  assert.is(request!.headers.authorization, `Basic ${expected.toString('base64')}`);
});

test('a late answer to a refresh is waited for as long as the claim lives, and no longer', async () => {
  // The usual limit of these tests is 500 ms.
  const late = { body: '{"access_token":"a","refresh_token":"r2"}', delayMs: 900 };
  await using odd = await openOddProvider(() => late);
  const refresh = (ms: number) =>
    odd.provider.refresh({
      refreshToken: new Secret('r'),
      registration,
      ...unhurried(),
      answerBefore: Date.now() + ms,
    });
  assert.is(refreshed(await refresh(20_000)).refreshToken?.reveal(), 'r2');
  const outcome = await refresh(100);
  assert.is(outcome.status === 'failed' && outcome.reason, 'provider-unavailable');
});

test('tokens of nobody are revoked, those that cannot be only forgotten', async () => {
  await using server = await openAnsweringServer(({ path }) =>
    path === '/token' ? { body: '{"access_token":"a1","refresh_token":"r1"}' } : { status: 500 },
  );
  const dependencies = createDependencies();
  const settings = oauth2Settings({
    authorizationEndpoint: `${server.origin}/authorize`,
    tokenEndpoint: `${server.origin}/token`,
    revocationEndpoint: `${server.origin}/revoke`,
    userinfoEndpoint: `${server.origin}/user`,
  });
  const provider = createOAuth2Provider(settings, dependencies);
  const { leg } = await provider.authorize();
  const parameters = { state: leg.state, code: new Secret('c') };
  assert.is((await refusal(provider.exchange({ leg, parameters }))).code, 'upstream-unavailable');
  const revocations = () => server.received.filter(({ path }) => path === '/revoke');
  const told = () => dependencies.lines.filter((line) => line.includes('nobody will use'));
  while (told().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(
    revocations()
      .map(({ body }) => new URLSearchParams(body))
      .map((form) => `${form.get('token_type_hint')} ${form.get('token')}`)
      .sort(),
    ['access_token a1', 'refresh_token r1'],
  );
});

test('nothing is sent after the deadline of the claim', async () => {
  await using odd = await openOddProvider(() => ({ body: '{"access_token":"a"}' }));
  const outcome = await odd.provider.refresh({
    refreshToken: new Secret('r'),
    registration,
    ...unhurried(),
    sendBefore: AbortSignal.abort(),
  });
  assert.is(outcome.status === 'failed' && outcome.reason, 'provider-unavailable');
  assert.is(odd.server.received.length, 0);
});

test('a token that came with an ID token for nobody is kept', async () => {
  await using odd = await openOddProvider(() => ({
    body: '{"access_token":"a","refresh_token":"r2","id_token":"not.a.jwt","token_type":"mac","expires_in":"60"}',
  }));
  const tokens = refreshed(await refreshWith(odd.provider, new Secret('r')));
  assert.is(tokens.refreshToken?.reveal(), 'r2');
  assert.is(tokens.tokenType, 'mac');
});

test('revocation ends the token; without an endpoint it says so', async () => {
  await using gitlab = await openGitlabProvider(options);
  const provider = createOAuth2Provider(oauth2Settings(gitlab), createDependencies());
  const { tokens } = await provider.exchange(await signIn(provider));
  const token = { token: tokens.refreshToken!, tokenTypeHint: 'refresh_token', registration } as const;
  assert.equal(await provider.revoke(token), { revoked: true });
  assert.is((await refreshWith(provider, tokens.refreshToken)).status, 'failed');
  const settings = { ...oauth2Settings(gitlab), revocationEndpoint: null };
  assert.equal(await createOAuth2Provider(settings, createDependencies()).revoke(token), { revoked: false });
});

test('a revocation that fails is told by its kind', async () => {
  const token = { token: new Secret('r'), tokenTypeHint: 'refresh_token', registration } as const;
  await using refusing = await openOddProvider(() => ({ status: 400, body: '{"error":"invalid_request"}' }));
  assert.is((await refusal(refusing.provider.revoke(token))).code, 'upstream-refused');
  await using broken = await openOddProvider(() => ({ status: 500 }));
  assert.is((await refusal(broken.provider.revoke(token))).code, 'upstream-unavailable');
});

test.run();
