/**
 * Latchkey registers itself at a provider (RFC 7591) in place of a client that is configured, over a whole installation: two
 * vault workers and two provider workers register once, people sign in and are refreshed with that client, and everything
 * can be killed and started again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type InstallationOptions, openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';

const test = suite('upstream registration');

/** Latchkey registers itself at the second provider, in place of its client there. */
function registering(
  registration: (origin: string) => string,
): NonNullable<InstallationOptions['configure']> {
  return async ({ text, origins }) => {
    const client = /client_id: latchkey\n( +)client_secret_file: .*gitlab-client-secret.*\n/;
    return text.replace(client, (_, indent: string) => {
      return `dcr_config: ${registration(origins.gitlab)}\n${indent}issuer: ${origins.gitlab}\n`;
    });
  };
}

const discovered = registering((origin) => `{discovery_url: ${origin}/.well-known/openid-configuration}`);

type Client = Awaited<ReturnType<typeof connectAsPersonV1>>['client'];

async function usernameOf(client: Client): Promise<unknown> {
  const result = await client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(result.isError ?? false, false, JSON.stringify(result.content));
  return (result.structuredContent as { username: unknown }).username;
}

test('registered once by all workers; signed in, refreshed, everything killed, refreshed again', async () => {
  await using installation = await openInstallation({
    ...{ vaultWorkers: 2, providerWorkers: 2, gitlabAccessTokenSeconds: 2 },
    ...{ gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab, issuer } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  assert.is(gitlab.registrations.length, 1);
  const [{ clientId, metadata }] = gitlab.registrations as [(typeof gitlab.registrations)[number]];
  assert.equal(metadata.redirect_uris, [`${issuer}/oauth/callback/gitlab`]);
  assert.is(metadata.scope, 'read_user');
  assert.ok(gitlab.tokenRequests.every((request) => request.clientId === clientId));

  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.ok(gitlab.tokenRequests.some(({ grantType }) => grantType === 'refresh_token'));

  await installation.killAll();
  await installation.nats.start();
  await installation.startAll();
  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  assert.is(gitlab.registrations.length, 1, 'it is kept');
});

test.run();
