/**
 * One refresh token is sent once, whoever asks: gateways, vault workers and the provider worker are processes, and the
 * provider takes each refresh token once and revokes the family on reuse.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { oauth2Settings, parametersOf, redirectUri } from '../workers/providers/provider-settings.ts';
import { Browser } from '../world/browser.ts';
import { openGitlabProvider } from '../world/identity-providers/gitlab.ts';
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { fourGateways, storm } from '../world/storm.ts';
import { openVaultCluster, type SignedInPerson } from '../world/vault-cluster.ts';

const test = suite('refresh-storm');
const clientSecret = 'a-secret-of-the-test-client-0123456789';
const latencyMs = 300;

test('1,000 look-ups of one expired grant over 4 gateways and 3 vault workers are one refresh', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider({
    clientSecret,
    redirectUris: [redirectUri],
    accessTokenSeconds: 1,
  });
  await using cluster = await openVaultCluster({
    url: nats.url,
    chain: ['gitlab'],
    providers: 'real',
    async authorize(authorizationUrl, username) {
      const browser = new Browser();
      await browser.goto(authorizationUrl, { stopAt: redirectUri });
      const page = await browser.submit({ username, password: `${username}-demo` }, { stopAt: redirectUri });
      return parametersOf(page.url);
    },
  });
  await cluster.addProviderWorker({ ...oauth2Settings(gitlab), name: 'gitlab' }, clientSecret);
  await cluster.addWorker();
  await Promise.all([cluster.addWorker(), cluster.addWorker()]);
  const alice = await cluster.signIn('alice');
  gitlab.setAccessTokenSeconds(300);
  gitlab.setTokenEndpointFault({ delayMs: latencyMs });
  await sleep(1100);
  const gateways = await fourGateways(cluster);
  // Some come to the vault by themselves, for what gateways share among theirs is not all that is shown here.
  const [asked, shared] = await Promise.all([
    storm(gateways.slice(0, 1), { people: [alice], times: 100, shared: false }),
    storm(gateways.slice(1), { people: [alice], times: 300, shared: true }),
  ]);
  const refreshes = gitlab.tokenRequests.filter(({ grantType }) => grantType === 'refresh_token');
  assert.equal(
    refreshes.map(({ outcome }) => outcome),
    ['ok'],
  );
  const token = refreshes[0]!.issued.accessToken!;
  assert.equal([asked.answers, shared.answers], [{ [token]: 100 }, { [token]: 900 }]);
});

test('200 grants that expired in the same second are refreshed once each', async () => {
  await using nats = await openNatsServer();
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({ url: nats.url, chain: ['gitlab'], providers: 'refreshed' });
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  await cluster.addWorker();
  await Promise.all([cluster.addWorker(), cluster.addWorker()]);
  const names = Array.from({ length: 200 }, (_, index) => `person-${index}`);
  const expired = Date.now() - 1000;
  const people: SignedInPerson[] = [];
  for (const name of names) people.push(await cluster.signIn(name, expired));
  provider.latencyMs = latencyMs;
  const { answers } = await storm(await fourGateways(cluster), { people, times: 2, shared: true });
  assert.equal(
    names.map((name) => provider.calls(name)),
    names.map(() => 1),
  );
  assert.equal(answers, Object.fromEntries(names.map((name) => [provider.current(name)!, 8])));
});

test.run();
