/**
 * Clients that register themselves with a secret (RFC 7591), where the operator allows it, by `openid-client` and over a
 * whole installation: the secret comes once, is asked for at every step, and is good after everything was started again.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as oauth from 'openid-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../world/browser.ts';
import { type Installation, openInstallation } from '../world/installation.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';

const test = suite('registered secrets');
const redirectUri = 'https://app.example/callback';
const plain: oauth.DynamicClientRegistrationRequestOptions = {
  execute: [oauth.allowInsecureRequests],
  algorithm: 'oauth2',
};
const ways = { client_secret_post: oauth.ClientSecretPost, client_secret_basic: oauth.ClientSecretBasic };

const openAllowing = () =>
  openInstallation({
    configure: async ({ text }) =>
      text.replace('  runConfig:\n', '  runConfig:\n    allow_confidential_client_registration: true\n'),
  });

async function register({ issuer }: Installation, method: keyof typeof ways) {
  const metadata = {
    client_name: 'An application on a server',
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: method,
  };
  return oauth.dynamicClientRegistration(new URL(issuer), metadata, ways[method](), plain);
}

/** What the server made of a client that asked for this method. */
async function registeredBy({ issuer }: Installation, method: string) {
  const answer = await fetch(`${issuer}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [redirectUri], token_endpoint_auth_method: method }),
  });
  const told = (await answer.json()) as Record<string, unknown>;
  return { method: told.token_endpoint_auth_method, secret: told.client_secret };
}

async function signIn(config: oauth.Configuration, { mcpUrl: resource }: Installation) {
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  const url = oauth.buildAuthorizationUrl(config, {
    ...{ redirect_uri: redirectUri, resource, scope: 'mcp', state: 'a state' },
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const page = await walkThroughSignIn(new Browser(), url, { person: alice, stopAt: redirectUri });
  return { url: page.url, checks: { pkceCodeVerifier, expectedState: 'a state' } };
}

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error) => error.error ?? error.cause?.[0]?.parameters?.error ?? String(error),
  );

for (const method of ['client_secret_post', 'client_secret_basic'] as const)
  test(`${method}: registered, signed in, everything killed, refreshed, revoked`, async () => {
    await using installation = await openAllowing();
    const config = await register(installation, method);
    const { client_id, client_secret, ...told } = config.clientMetadata();
    assert.ok(String(client_secret).length >= 43, 'nobody guesses it');
    assert.equal(
      [told.token_endpoint_auth_method, told.client_secret_expires_at],
      [method, 0],
      'it lives as long as the client',
    );
    const offered = config.serverMetadata();
    for (const methods of [
      offered.token_endpoint_auth_methods_supported,
      offered.revocation_endpoint_auth_methods_supported,
    ])
      assert.equal(methods, ['none', 'client_secret_basic', 'client_secret_post']);

    const { url, checks } = await signIn(config, installation);
    const metadata = { client_id, token_endpoint_auth_method: method };
    for (const wrong of [oauth.None(), ways[method]('another secret')]) {
      const stranger = new oauth.Configuration(offered, client_id, metadata, wrong);
      oauth.allowInsecureRequests(stranger);
      assert.is(await refusalOf(oauth.authorizationCodeGrant(stranger, url, checks)), 'invalid_client');
    }
    const first = await oauth.authorizationCodeGrant(config, url, checks);
    const stolen = new oauth.Configuration(offered, client_id, metadata, oauth.None());
    oauth.allowInsecureRequests(stolen);
    assert.is(await refusalOf(oauth.refreshTokenGrant(stolen, first.refresh_token!)), 'invalid_client');

    await installation.killAll();
    await installation.nats.start();
    await installation.startAll();
    const second = await oauth.refreshTokenGrant(config, first.refresh_token!);
    assert.is.not(second.access_token, first.access_token);
    await oauth.tokenRevocation(config, second.access_token);
    assert.is(await refusalOf(oauth.refreshTokenGrant(config, second.refresh_token!)), 'invalid_grant');

    assert.not.match(installation.output(), String(client_secret));
    const written = [installation.nats.folder, join(installation.folder, 'vault')].flatMap((folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name))),
    );
    assert.ok(written.length > 3);
    for (const file of written) assert.not(file.includes(String(client_secret)), 'it lies nowhere in clear');
  });

test('where it is not allowed a client is public, is told so, and the metadata do not offer it', async () => {
  await using installation = await openInstallation();
  for (const method of ['client_secret_post', 'client_secret_basic'] as const)
    assert.equal(await registeredBy(installation, method), { method: 'none', secret: undefined });
  const answer = await fetch(`${installation.issuer}/.well-known/oauth-authorization-server`);
  const offered = (await answer.json()) as oauth.ServerMetadata;
  assert.equal(offered.token_endpoint_auth_methods_supported, ['none']);
});

test.run();
