/**
 * The main job: a person signs in once, and every tool call reaches its backend as that person. Two gateways, two
 * vault workers and two provider workers as processes of their own, the MCP SDK's client, a real OAuth flow.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson, connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';

const test = suite('sign in once');

async function whoAmI(client: unknown, backend: string): Promise<Record<string, unknown>> {
  const caller = client as {
    callTool(call: { name: string; arguments: object }): Promise<Record<string, unknown>>;
  };
  const result = await caller.callTool({ name: `${backend}_whoami`, arguments: {} });
  assert.is(result.isError ?? false, false, JSON.stringify(result.content));
  return result.structuredContent as Record<string, unknown>;
}

test('two people through two gateways: each backend is reached as the one who calls', async () => {
  await using installation = await openInstallation({ gateways: 2, providerWorkers: 2, vaultWorkers: 2 });
  const { mcpUrl, gitlab, corporate, corporateTools, gitlabTools } = installation;
  const [ofAlice, ofBob] = await Promise.all([
    connectAsPerson({ mcpUrl, person: alice }),
    connectAsPerson({ mcpUrl, person: bob }),
  ]);
  await using _alice = ofAlice;
  await using _bob = ofBob;
  assert.is(ofAlice.oauth.signIns, 1);

  const { tools } = await ofAlice.client.listTools();
  const names = tools.map(({ name }) => name);
  assert.ok(names.includes('corporate-tools_whoami'), names.join(' '));
  assert.ok(names.includes('gitlab-tools_whoami'), names.join(' '));

  const rounds = Array.from({ length: 10 }, async () => {
    assert.is((await whoAmI(ofAlice.client, 'gitlab-tools')).email, 'alice@gitlab.example');
    assert.is((await whoAmI(ofBob.client, 'gitlab-tools')).email, 'bob@gitlab.example');
    assert.is((await whoAmI(ofAlice.client, 'corporate-tools')).sub, 'corp-7f21');
    assert.is((await whoAmI(ofBob.client, 'corporate-tools')).sub, 'corp-93c4');
  });
  await Promise.all(rounds);
  assert.ok(
    installation.requestsByGateway.every((count) => count > 10),
    `both gateways served: ${installation.requestsByGateway}`,
  );

  // A backend sees the tokens of its own provider and never Latchkey's; a client sees no upstream token.
  const jwts = [ofAlice.accessToken(), ofBob.accessToken()];
  for (const [backend, provider] of [[corporateTools, corporate] as const, [gitlabTools, gitlab] as const]) {
    assert.ok(backend.authorizations.length > 0);
    for (const header of backend.authorizations) {
      assert.ok(provider.tokens.has(header!.replace('Bearer ', '')), 'a token of the provider it belongs to');
    }
    const received = JSON.stringify(backend.requests);
    for (const jwt of jwts) assert.not.ok(received.includes(jwt));
  }
  const kept = JSON.stringify([ofAlice.kept, ofBob.kept]);
  for (const token of [...corporate.tokens, ...gitlab.tokens]) assert.not.ok(kept.includes(token));
});

test('a client of the older protocol works too, in one session with one gateway', async () => {
  await using installation = await openInstallation();
  await using connection = await connectAsPersonV1({ mcpUrl: installation.mcpUrl, person: alice });
  assert.is((await whoAmI(connection.client, 'gitlab-tools')).username, 'alice');
  assert.is((await whoAmI(connection.client, 'corporate-tools')).name, 'Alice Adams');
});

test('after the access token has expired, the very next call in the same session carries a refreshed one', async () => {
  await using installation = await openInstallation({ providerWorkers: 2, gitlabAccessTokenSeconds: 2 });
  const { mcpUrl, gitlab, gitlabTools } = installation;
  await using connection = await connectAsPersonV1({ mcpUrl, person: alice });
  await whoAmI(connection.client, 'gitlab-tools');
  const refreshesBefore = gitlab.tokenRequests.filter(
    ({ grantType }) => grantType === 'refresh_token',
  ).length;
  await sleep(2500);
  const before = gitlabTools.authorizations.at(-1);
  assert.is((await whoAmI(connection.client, 'gitlab-tools')).username, 'alice');
  assert.is.not(gitlabTools.authorizations.at(-1), before);
  const refreshes = gitlab.tokenRequests.filter(({ grantType }) => grantType === 'refresh_token');
  assert.ok(refreshes.length > refreshesBefore);
  // One-time refresh tokens: each was sent once, or the provider would have revoked the family.
  const sent = refreshes.map(({ sent: { refreshToken } }) => refreshToken);
  assert.is(new Set(sent).size, sent.length);
  assert.ok(refreshes.every(({ outcome }) => outcome === 'ok'));
});

test('everything is killed and started again: nobody signs in again', async () => {
  await using installation = await openInstallation();
  const { mcpUrl, gitlab, gitlabTools } = installation;
  const first = await connectAsPerson({ mcpUrl, person: alice });
  assert.is((await whoAmI(first.client, 'gitlab-tools')).username, 'alice');
  const { kept } = first;
  await first.close();

  await installation.killAll();
  // The token ends while nothing runs, and long before a refresh of it could be under way at the kill.
  const before = gitlabTools.authorizations.at(-1)!;
  gitlabTools.rejects.add(before.replace('Bearer ', ''));
  await installation.nats.start();
  await installation.startAll();

  const codesBefore = gitlab.tokenRequests.filter(
    ({ grantType }) => grantType === 'authorization_code',
  ).length;
  await using again = await connectAsPerson({ mcpUrl, person: alice, kept });
  assert.is((await whoAmI(again.client, 'gitlab-tools')).username, 'alice');
  assert.is.not(gitlabTools.authorizations.at(-1), before, 'refreshed, for the backend rejected the old one');
  assert.is((await whoAmI(again.client, 'corporate-tools')).name, 'Alice Adams');
  assert.is(again.oauth.signIns, 0);

  // The client's refresh token lives on as well.
  kept.tokens = { ...kept.tokens!, access_token: 'expired' };
  await using refreshed = await connectAsPerson({ mcpUrl, person: alice, kept });
  assert.is((await whoAmI(refreshed.client, 'gitlab-tools')).username, 'alice');
  assert.is(refreshed.oauth.signIns, 0);
  const codesAfter = gitlab.tokenRequests.filter(
    ({ grantType }) => grantType === 'authorization_code',
  ).length;
  assert.is(codesAfter, codesBefore);
});

test.run();
