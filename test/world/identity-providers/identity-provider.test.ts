import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as client from 'openid-client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../browser.ts';
import { openCorporateProvider } from './corporate.ts';
import { type GitlabProvider, openGitlabProvider } from './gitlab.ts';

const redirectUri = 'http://localhost:4483/oauth/callback/test';
const clientSecret = 'a-secret-of-the-test-client-0123456789';
const options = { clientSecret, redirectUris: [redirectUri] };

function configureGitlab(gitlab: GitlabProvider): client.Configuration {
  const server = {
    issuer: gitlab.issuer,
    authorization_endpoint: gitlab.authorizationEndpoint,
    token_endpoint: gitlab.tokenEndpoint,
    revocation_endpoint: gitlab.revocationEndpoint,
  };
  const configuration = new client.Configuration(server, 'latchkey', clientSecret);
  client.allowInsecureRequests(configuration);
  return configuration;
}

async function signIn(
  configuration: client.Configuration,
  { scope, username, browser = new Browser() }: { scope: string; username: string; browser?: Browser },
) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const start = client.buildAuthorizationUrl(configuration, {
    redirect_uri: redirectUri,
    scope,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const page = await browser.goto(start, { stopAt: redirectUri });
  if (page.status === 200)
    await browser.submit({ username, password: `${username}-demo` }, { stopAt: redirectUri });
  const callback = browser.page.url;
  const tokens = await client.authorizationCodeGrant(configuration, callback, {
    pkceCodeVerifier: verifier,
    expectedState: state,
  });
  return { callback, tokens, browser };
}

const askUser = async (gitlab: GitlabProvider, accessToken: string) => {
  const response = await fetch(gitlab.userinfoEndpoint, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('expected a failure'),
    (error: { error?: string }) => error.error,
  );

test('corporate signs a person in by OpenID Connect', async () => {
  await using corporate = await openCorporateProvider(options);
  const configuration = await client.discovery(
    new URL(corporate.issuer),
    'latchkey',
    clientSecret,
    undefined,
    {
      execute: [client.allowInsecureRequests],
    },
  );
  const { tokens, callback } = await signIn(configuration, {
    scope: 'openid profile email',
    username: 'alice',
  });
  assert.is(callback.searchParams.get('iss'), corporate.issuer);
  const claims = tokens.claims();
  assert.is(claims?.email, 'alice.adams@corporate.example');
  const userinfo = await client.fetchUserInfo(configuration, tokens.access_token, claims?.sub ?? '');
  assert.is(userinfo.name, 'Alice Adams');
  assert.is(userinfo.preferred_username, 'alice');
  assert.ok(tokens.refresh_token);
});

test('gitlab signs a person in by plain OAuth 2.0', async () => {
  await using gitlab = await openGitlabProvider(options);
  const { tokens, callback } = await signIn(configureGitlab(gitlab), { scope: 'read_user', username: 'bob' });
  assert.not(callback.searchParams.has('iss'));
  assert.is(tokens.id_token, undefined);
  assert.equal(await askUser(gitlab, tokens.access_token), {
    status: 200,
    body: { id: 50002, username: 'bob', name: 'Bob at GitLab', email: 'bob@gitlab.example' },
  });
  assert.is((await askUser(gitlab, 'no-such-token')).status, 401);
});

test('a wrong password shows the form again', async () => {
  await using gitlab = await openGitlabProvider(options);
  const browser = new Browser();
  await browser.goto(
    client.buildAuthorizationUrl(configureGitlab(gitlab), { redirect_uri: redirectUri, scope: 'read_user' }),
  );
  const page = await browser.submit({ username: 'alice', password: 'wrong' });
  assert.is(page.status, 401);
  assert.match(page.body, 'User name or password is wrong');
  assert.is(browser.forms().length, 1);
});

test('the browser session remembers the person until they sign out', async () => {
  await using gitlab = await openGitlabProvider(options);
  const configuration = configureGitlab(gitlab);
  const { browser } = await signIn(configuration, { scope: 'read_user', username: 'alice' });
  browser.trace.length = 0;
  const again = await signIn(configuration, { scope: 'read_user', username: 'bob', browser });
  assert.is((await askUser(gitlab, again.tokens.access_token)).body.username, 'alice');
  assert.not(browser.trace.some(({ method }) => method === 'POST'));
  await browser.goto(gitlab.issuer);
  await browser.goto(browser.links()[0]!);
  await browser.submit();
  const other = await signIn(configuration, { scope: 'read_user', username: 'bob', browser });
  assert.is((await askUser(gitlab, other.tokens.access_token)).body.username, 'bob');
});

test('two providers on one host keep their browser sessions apart', async () => {
  await using corporate = await openCorporateProvider(options);
  await using gitlab = await openGitlabProvider(options);
  const browser = new Browser();
  const corporateConfiguration = await client.discovery(
    new URL(corporate.issuer),
    'latchkey',
    clientSecret,
    undefined,
    {
      execute: [client.allowInsecureRequests],
    },
  );
  await signIn(corporateConfiguration, { scope: 'openid', username: 'alice', browser });
  const { tokens } = await signIn(configureGitlab(gitlab), { scope: 'read_user', username: 'bob', browser });
  assert.is((await askUser(gitlab, tokens.access_token)).body.username, 'bob');
  const again = await signIn(corporateConfiguration, { scope: 'openid', username: 'bob', browser });
  assert.is(again.tokens.claims()?.sub, 'corp-7f21');
});

test('prompt=consent is passed without a page', async () => {
  await using corporate = await openCorporateProvider(options);
  const configuration = await client.discovery(
    new URL(corporate.issuer),
    'latchkey',
    clientSecret,
    undefined,
    {
      execute: [client.allowInsecureRequests],
    },
  );
  const browser = new Browser();
  await browser.goto(
    client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: 'openid offline_access',
      prompt: 'consent',
    }),
  );
  const page = await browser.submit({ username: 'alice', password: 'alice-demo' }, { stopAt: redirectUri });
  assert.ok(page.url.searchParams.get('code'), page.url.href);
});

test('a refresh token is used once, and its reuse ends the family but no other', async () => {
  await using gitlab = await openGitlabProvider(options);
  const configuration = configureGitlab(gitlab);
  const { tokens: other, browser } = await signIn(configuration, { scope: 'read_user', username: 'alice' });
  const { tokens: first } = await signIn(configuration, { scope: 'read_user', username: 'alice', browser });
  const second = await client.refreshTokenGrant(configuration, first.refresh_token!);
  assert.is.not(second.refresh_token, first.refresh_token);
  assert.is((await askUser(gitlab, second.access_token)).status, 200);

  assert.is(await failure(client.refreshTokenGrant(configuration, first.refresh_token!)), 'invalid_grant');
  assert.is((await askUser(gitlab, second.access_token)).status, 401);
  assert.is(await failure(client.refreshTokenGrant(configuration, second.refresh_token!)), 'invalid_grant');
  assert.is((await askUser(gitlab, other.access_token)).status, 200);
  await client.refreshTokenGrant(configuration, other.refresh_token!);
});

test('of two refreshes at the same time at most one succeeds, and the family ends', async () => {
  await using gitlab = await openGitlabProvider(options);
  const configuration = configureGitlab(gitlab);
  const { tokens } = await signIn(configuration, { scope: 'read_user', username: 'alice' });
  const results = await Promise.allSettled(
    [1, 2].map(() => client.refreshTokenGrant(configuration, tokens.refresh_token!)),
  );
  const fulfilled = results.filter(({ status }) => status === 'fulfilled');
  assert.ok(fulfilled.length <= 1);
  for (const result of results) {
    if (result.status === 'fulfilled')
      assert.is(
        await failure(client.refreshTokenGrant(configuration, result.value.refresh_token!)),
        'invalid_grant',
      );
  }
});

test('an access token lives as long as it is told to', async () => {
  await using gitlab = await openGitlabProvider({ ...options, accessTokenSeconds: 1 });
  const { tokens } = await signIn(configureGitlab(gitlab), { scope: 'read_user', username: 'alice' });
  assert.is(tokens.expires_in, 1);
  await sleep(2100);
  assert.is((await askUser(gitlab, tokens.access_token)).status, 401);
  gitlab.setAccessTokenSeconds(90);
  const refreshed = await client.refreshTokenGrant(configureGitlab(gitlab), tokens.refresh_token!);
  assert.is(refreshed.expires_in, 90);
});

test('revocation (RFC 7009) ends the refresh token and its access tokens', async () => {
  await using gitlab = await openGitlabProvider(options);
  const configuration = configureGitlab(gitlab);
  const { tokens } = await signIn(configuration, { scope: 'read_user', username: 'alice' });
  await client.tokenRevocation(configuration, tokens.refresh_token!);
  assert.is(await failure(client.refreshTokenGrant(configuration, tokens.refresh_token!)), 'invalid_grant');
  assert.is((await askUser(gitlab, tokens.access_token)).status, 401);
});

test('the token endpoint is watched and can be made to fail', async () => {
  await using gitlab = await openGitlabProvider(options);
  const configuration = configureGitlab(gitlab);
  const { tokens } = await signIn(configuration, { scope: 'read_user', username: 'alice' });
  assert.equal(
    gitlab.tokenRequests.map(({ grantType, outcome }) => [grantType, outcome]),
    [['authorization_code', 'ok']],
  );
  assert.ok(gitlab.tokens.has(tokens.access_token));
  assert.ok(gitlab.tokens.has(tokens.refresh_token!));

  const refresh = () => client.refreshTokenGrant(configuration, tokens.refresh_token!);
  gitlab.setTokenEndpointFault({ status: 503, times: 1 });
  await failure(refresh());
  gitlab.setTokenEndpointFault({ cut: true, times: 1 });
  await failure(refresh());
  gitlab.setTokenEndpointFault({ delayMs: 50 });
  const { refresh_token: rotated } = await refresh();
  gitlab.setTokenEndpointFault({ when: 'after', status: 502, times: 1 });
  await failure(client.refreshTokenGrant(configuration, rotated!));
  assert.equal(
    gitlab.tokenRequests.map(({ outcome }) => outcome),
    ['ok', 'fault', 'fault', 'ok', 'ok'],
  );
  assert.is(await failure(client.refreshTokenGrant(configuration, rotated!)), 'invalid_grant');
});

test('with a state folder everything survives: session, tokens, reuse detection, signing key', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'latchkey-idp-'));
  try {
    await using first = await openGitlabProvider({ ...options, stateDir });
    const signedIn = await signIn(configureGitlab(first), { scope: 'read_user', username: 'alice' });
    const rotated = await client.refreshTokenGrant(configureGitlab(first), signedIn.tokens.refresh_token!);
    const keysOf = async (issuer: string) => (await fetch(`${issuer}/jwks`)).text();
    const keys = await keysOf(first.issuer);
    await first.close();
    // fetch must see the end of its kept-alive connection before the port answers again.
    await sleep(100);

    await using second = await openGitlabProvider({ ...options, stateDir, port: first.port });
    assert.is(await keysOf(second.issuer), keys);
    assert.is((await askUser(second, rotated.access_token)).body.username, 'alice');
    const refreshed = await client.refreshTokenGrant(configureGitlab(second), rotated.refresh_token!);
    signedIn.browser.trace.length = 0;
    await signIn(configureGitlab(second), { scope: 'read_user', username: 'bob', browser: signedIn.browser });
    assert.not(
      signedIn.browser.trace.some(({ method }) => method === 'POST'),
      'the browser is still signed in',
    );
    await failure(client.refreshTokenGrant(configureGitlab(second), rotated.refresh_token!));
    assert.is((await askUser(second, refreshed.access_token)).status, 401);
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});

test.run();
