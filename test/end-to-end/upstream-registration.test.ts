/**
 * Latchkey registers itself at a provider (RFC 7591) in place of a client that is configured, over a whole installation: two
 * vault workers and two provider workers register once, people sign in and are refreshed with that client, and everything
 * can be killed and started again.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DeployedNats, openDeployedNats } from '../world/deployed-nats.ts';
import { openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { discovered, restart, usernameOf } from '../world/registering-installation.ts';

const test = suite('upstream registration');

test('registered once by all workers; signed in, refreshed, everything killed, refreshed again', async () => {
  let nats: DeployedNats | undefined;
  await using installation = await openInstallation({
    ...{ vaultWorkers: 2, providerWorkers: 2, gitlabAccessTokenSeconds: 2 },
    ...{ gitlabRegistration: {}, configure: discovered },
    async openNats() {
      nats = await openDeployedNats();
      return nats;
    },
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

  await restart(installation, () => {
    // What the workers can make again from NATS they have to.
    for (const file of readdirSync(installation.folder, { recursive: true, encoding: 'utf8' }))
      if (/(projection|keys)\.sqlite/.test(file)) rmSync(join(installation.folder, file));
  });
  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  assert.is(gitlab.registrations.length, 1, 'it is kept');
  assert.not.match(nats!.log(), /Permissions Violation/, 'each process does what its NATS user may');
});

test.run();
