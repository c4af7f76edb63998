/**
 * When Latchkey registers itself again (RFC 7591): it would register something else, or the provider has lost the client. The
 * grants of the client before stay with it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import {
  changeConfiguration,
  discovered,
  registeredAt,
  restart,
  signIn,
  usernameOf,
} from '../world/registering-installation.ts';

const test = suite('upstream registration changes');

test('another redirect URI is another registration; who signed in before it is refreshed with the one before', async () => {
  await using installation = await openInstallation({
    ...{ gitlabAccessTokenSeconds: 2, gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab, issuer } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  const former = registeredAt(installation).clientId;
  await restart(installation, () =>
    changeConfiguration(installation, (text) =>
      text.replace('dcr_config:', `redirect_uri: ${issuer}/oauth/callback\n          dcr_config:`),
    ),
  );
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(gitlab.registrations.length, 2);
  const { clientId, metadata } = registeredAt(installation);
  assert.equal(metadata.redirect_uris, [`${issuer}/oauth/callback`]);

  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  const refreshedBy = gitlab.tokenRequests
    .filter(({ grantType, outcome }) => grantType === 'refresh_token' && outcome === 'ok')
    .map((request) => request.clientId);
  assert.equal([...new Set(refreshedBy)].sort(), [former, clientId].sort());
});

test('a provider that has lost the client gets one new one; the grants of the old one stay', async () => {
  await using installation = await openInstallation({
    ...{ providerWorkers: 2, gitlabAccessTokenSeconds: 2 },
    ...{ gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await gitlab.forgetClient(registeredAt(installation).clientId);
  await sleep(2500);
  const failed = await ofAlice.client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(failed.isError, true);
  assert.ok(gitlab.tokenRequests.some(({ outcome }) => outcome === 'invalid_client'));

  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(await usernameOf(ofBob.client), 'bob');
  await gitlab.forgetClient(registeredAt(installation).clientId);
  await sleep(2500);
  await ofBob.client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  await signIn(installation);
  assert.is(gitlab.registrations.length, 2, 'not again and again');
});

test.run();
