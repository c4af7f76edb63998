/**
 * An identity provider that is down stops nothing but its own legs: everything starts, the client is told in the
 * words of OAuth, what a broken sign-in had collected is revoked, and nothing needs a restart when it comes back.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  redirectUri,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { type Installation, openInstallation } from '../world/installation.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';

const test = suite('provider down');

const serverOf = ({ issuer, mcpUrl }: Installation) => ({ issuer, resource: mcpUrl });

async function signIn(installation: Installation, client: Client, stopAt = redirectUri) {
  const browser = new Browser();
  const verifier = createVerifier();
  const url = authorizationUrl(serverOf(installation), client, verifier);
  const page = await walkThroughSignIn(browser, url, { person: alice, stopAt });
  return { browser, verifier, told: page.url.searchParams };
}

/** Nothing but what OAuth has for it: no host, no port and no text of a provider. */
function assertToldUnavailable(told: URLSearchParams, provider: string): void {
  assert.is(told.get('error'), 'temporarily_unavailable');
  assert.is(told.get('state'), 'state-of-the-client');
  assert.is(told.get('code'), null);
  const description = told.get('error_description') ?? '';
  assert.match(description, /^(a sign-in provider|corporate|gitlab) cannot be reached$/);
  assert.not.match(description, /ECONN|localhost|\d/, provider);
}

test('both are down at start: all is ready, sign-in is refused, and works once they are there', async () => {
  await using installation = await openInstallation({ providersDown: ['corporate', 'gitlab'] });
  const { issuer } = installation;
  const server = serverOf(installation);
  assert.is((await fetch(`${issuer}/readyz`)).status, 200);
  const client = await registerClient(server);
  assertToldUnavailable((await signIn(installation, client)).told, 'corporate');
  // A word for all of them: which one it is, a stranger is not told.
  assert.is(
    ((await (await fetch(`${issuer}/status`)).json()) as { providers: unknown }).providers,
    'failing',
  );

  await installation.openProvider('corporate');
  // A plain OAuth 2.0 provider is not asked before the browser is sent to it, so the browser finds it away.
  const browser = new Browser();
  const verifier = createVerifier();
  const walk = (start: URL) => walkThroughSignIn(browser, start, { person: alice, stopAt: redirectUri });
  await walk(authorizationUrl(server, client, verifier, { state: null })).then(
    () => assert.unreachable('gitlab is down'),
    () => undefined,
  );
  const consent = browser.trace.find(({ url }) => url.includes('/oauth/interaction/'))!.url;
  await installation.openProvider('gitlab');
  const page = await walk(new URL(`${consent}/done`));
  const { status } = await redeem(server, client, page.url.searchParams.get('code') ?? '', verifier);
  assert.is(status, 200);
});

test('one goes away in mid-chain: the client is told, and what was collected is revoked', async () => {
  await using installation = await openInstallation();
  const server = serverOf(installation);
  const client = await registerClient(server);
  const { browser } = await signIn(installation, client, `${server.issuer}/oauth/callback/gitlab`);
  const { corporate } = installation;
  const { accessToken = '', refreshToken = '' } = corporate.tokenRequests[0]!.issued;
  const userinfo = () =>
    fetch(`${corporate.issuer}/userinfo`, { headers: { authorization: `Bearer ${accessToken}` } });
  assert.is((await userinfo()).status, 200);

  await installation.gitlab.close();
  const { url } = await browser.goto(browser.page.url, { stopAt: redirectUri });
  assertToldUnavailable(url.searchParams, 'gitlab');
  for (let wait = 0; wait < 100 && (await userinfo()).status === 200; wait++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is((await userinfo()).status, 401);
  const secret = readFileSync(join(installation.folder, 'demo', 'corporate-client-secret'), 'utf8');
  const refused = await fetch(corporate.tokenEndpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`latchkey:${secret}`)}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  });
  assert.is(((await refused.json()) as { error: string }).error, 'invalid_grant');

  await installation.openProvider('gitlab');
  const { told, verifier } = await signIn(installation, client);
  assert.is((await redeem(server, client, told.get('code') ?? '', verifier)).status, 200);
});

test.run();
