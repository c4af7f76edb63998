/**
 * Whoever leaves the company leaves Latchkey: once the first provider has disabled a person, no backend is reached in
 * their name after the token that it gave last has expired, be it with a token of the session or of a linked account.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openGatewaySide } from '../world/gateway-side.ts';
import { natsToken, openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { assertEnded, factsOf, initialize } from '../world/session-watch.ts';

const test = suite('offboarding');

test('a person who is disabled at the first provider reaches no backend any more, and others go on', async () => {
  await using installation = await openInstallation({ gateways: 2 });
  const { mcpUrl, issuer, corporate, corporateTools, gitlabTools } = installation;
  corporate.setAccessTokenSeconds(3);
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  const token = ofAlice.accessToken();
  await using side = await openGatewaySide(installation, alice, token, { token: natsToken });
  await side.link(`${issuer}/oauth/callback/`);
  const whoAmI = ({ client }: typeof ofAlice, backend: string) =>
    client.callTool({ name: `${backend}_whoami`, arguments: {} });
  for (const backend of ['gitlab-tools', 'corporate-tools']) {
    assert.not((await whoAmI(ofAlice, backend)).isError);
    assert.not((await whoAmI(ofBob, backend)).isError);
  }

  corporate.disable('alice');
  const granted = corporate.tokenRequests.filter(({ outcome }) => outcome === 'ok');
  const lastExpiry = Math.max(...granted.map(({ at, expiresInSeconds = 0 }) => at + expiresInSeconds * 1000));
  await sleep(Math.max(0, lastExpiry - Date.now()) + 50);
  const reached = () => corporateTools.requests.length + gitlabTools.requests.length;
  const before = reached();
  await assertEnded(installation, token);
  for (const backend of ['gitlab-tools', 'corporate-tools'])
    await whoAmI(ofAlice, backend).then(
      () => assert.unreachable(`${backend} was reached`),
      () => undefined,
    );
  assert.is(reached(), before);
  const facts = await factsOf(installation, String(decodeJwt(token).tsid));
  assert.ok(facts.some(({ fact, reason }) => fact === 'session-ended' && reason === 'identity-refused'));

  assert.is((await initialize(installation, ofBob.accessToken())).status, 200);
  assert.not((await whoAmI(ofBob, 'gitlab-tools')).isError);
});

test.run();
