import { randomUUID } from 'node:crypto';
import * as oauth from 'openid-client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../browser.ts';
import { type GitlabProvider, openGitlabProvider } from '../identity-providers/gitlab.ts';
import { connectAsPerson, connectAsPersonV1 } from '../mcp-client.ts';
import { alice, bob, type Person, walkThroughSignIn } from '../person.ts';
import { openEverythingBackend } from './everything.ts';
import { openWhoamiBackend } from './whoami.ts';

const redirectUri = 'http://127.0.0.1:41874/callback';
const clientSecret = randomUUID();

async function getAccessToken(gitlab: GitlabProvider, person: Person): Promise<string> {
  const configuration = new oauth.Configuration(
    {
      issuer: gitlab.issuer,
      authorization_endpoint: gitlab.authorizationEndpoint,
      token_endpoint: gitlab.tokenEndpoint,
    },
    'latchkey',
    clientSecret,
  );
  oauth.allowInsecureRequests(configuration);
  const start = oauth.buildAuthorizationUrl(configuration, { redirect_uri: redirectUri, scope: 'read_user' });
  const { url } = await walkThroughSignIn(new Browser(), start, { person, stopAt: redirectUri });
  return (await oauth.authorizationCodeGrant(configuration, url)).access_token;
}

const openWorld = async () => {
  const gitlab = await openGitlabProvider({ clientSecret, redirectUris: [redirectUri] });
  const backend = await openWhoamiBackend({ name: 'gitlab-tools', userinfoUrl: gitlab.userinfoEndpoint });
  return {
    gitlab,
    backend,
    async [Symbol.asyncDispose]() {
      await backend.close();
      await gitlab.close();
    },
  };
};

const bearer = (access_token: string) => ({ tokens: { access_token, token_type: 'Bearer' } });

for (const [name, connect] of [
  ['SDK v2, 2026-07-28', (options) => connectAsPerson({ ...options, protocol: 'auto' })],
  ['SDK v2, 2025-11-25', (options) => connectAsPerson({ ...options, protocol: 'legacy' })],
  ['SDK v1', connectAsPersonV1],
] as [string, typeof connectAsPerson][]) {
  test(`whoami answers with the owner of the token it was sent (${name})`, async () => {
    await using world = await openWorld();
    for (const [person, email] of [
      [alice, 'alice@gitlab.example'],
      [bob, 'bob@gitlab.example'],
    ] as const) {
      const token = await getAccessToken(world.gitlab, person);
      await using connection = await connect({ mcpUrl: world.backend.url, person, kept: bearer(token) });
      const { tools } = await connection.client.listTools();
      assert.equal(
        tools.map((tool) => tool.name),
        ['whoami'],
      );
      const result = await connection.client.callTool({ name: 'whoami', arguments: {} });
      assert.is((result.structuredContent as { email: string }).email, email);
      assert.is(JSON.parse((result.content as { text: string }[])[0]!.text).email, email);
      assert.is(world.backend.authorizations.at(-1), `Bearer ${token}`);
    }
    assert.is(world.backend.requests.length, world.backend.authorizations.length);
  });
}

test('without a token, or with one the provider refuses, the answer is 401', async () => {
  await using world = await openWorld();
  const post = (headers: Record<string, string>) =>
    fetch(world.backend.url, { method: 'POST', headers, body: '{}' });
  const none = await post({});
  assert.is(none.status, 401);
  assert.not.match(none.headers.get('www-authenticate') ?? '', /error=/);
  const refused = await post({ authorization: 'Bearer no-such-token' });
  assert.is(refused.status, 401);
  assert.match(refused.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  assert.is(world.backend.refused, 1);
});

test('server-everything answers on loopback and ends when closed', async () => {
  await using everything = await openEverythingBackend();
  await using connection = await connectAsPersonV1({ mcpUrl: everything.url, person: alice });
  const result = await connection.client.callTool({ name: 'echo', arguments: { message: 'hello' } });
  assert.match((result.content as { text: string }[])[0]!.text, 'hello');
  await connection.close();
  await everything.close();
  assert.throws(() => process.kill(everything.pid, 0));
});

test.run();
