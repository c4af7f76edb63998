/**
 * One refresh token is sent once, whoever asks: gateways, vault workers and the provider worker are processes, and the
 * provider takes each refresh token once and revokes the family on reuse.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { oauth2Settings, parametersOf, redirectUri } from '../workers/providers/provider-settings.ts';
import { Browser } from '../world/browser.ts';
import type { LookUpsOrder, LookUpsReport } from '../world/gateway-process.ts';
import { openGitlabProvider } from '../world/identity-providers/gitlab.ts';
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { openVaultCluster, type SignedInPerson, type VaultCluster } from '../world/vault-cluster.ts';

const test = suite('refresh-storm');
const clientSecret = 'a-secret-of-the-test-client-0123456789';
const latencyMs = 300;

/** The same people looked up by four gateways at the same time. */
async function storm(cluster: VaultCluster, people: readonly SignedInPerson[], times: number) {
  const gateways = await Promise.all(Array.from({ length: 4 }, () => cluster.addGateway()));
  const order: LookUpsOrder = {
    people: people.map(({ principal, accessToken }) => ({ principal, accessToken: accessToken.reveal() })),
    times,
    at: Date.now() + 200,
  };
  const reports = await Promise.all(gateways.map((gateway) => gateway.lookUp(order)));
  return { answers: sum(reports), tookMs: Math.max(...reports.map(({ lastAt }) => lastAt)) - order.at };
}

function sum(reports: readonly LookUpsReport[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const { answers } of reports)
    for (const [answer, count] of Object.entries(answers)) total[answer] = (total[answer] ?? 0) + count;
  return total;
}

function printed(what: string, tookMs: number): void {
  console.log(
    `${what}: the last answer ${(tookMs - latencyMs).toFixed(0)} ms after the provider's ${latencyMs} ms`,
  );
  // Far above the aim of 50 ms: the machine is shared. It is there to tell a refresh from a wait for a deadline.
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
}

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
  const { answers, tookMs } = await storm(cluster, [alice], 250);
  const refreshes = gitlab.tokenRequests.filter(({ grantType }) => grantType === 'refresh_token');
  assert.equal(
    refreshes.map(({ outcome }) => outcome),
    ['ok'],
  );
  assert.equal(answers, { [refreshes[0]!.issued.accessToken!]: 1000 });
  printed('1,000 look-ups of one grant', tookMs);
});

test('60 grants that expired in the same second are refreshed once each', async () => {
  await using nats = await openNatsServer();
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({ url: nats.url, chain: ['gitlab'], providers: 'refreshed' });
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  await cluster.addWorker();
  await Promise.all([cluster.addWorker(), cluster.addWorker()]);
  const names = Array.from({ length: 60 }, (_, index) => `person-${index}`);
  const expired = Date.now() - 1000;
  const people = await Promise.all(names.map((name) => cluster.signIn(name, expired)));
  provider.latencyMs = latencyMs;
  const { answers, tookMs } = await storm(cluster, people, 4);
  assert.equal(
    names.map((name) => provider.calls(name)),
    names.map(() => 1),
  );
  assert.equal(answers, Object.fromEntries(names.map((name) => [provider.current(name)!, 16])));
  printed('960 look-ups of 60 grants', tookMs);
});

test.run();
