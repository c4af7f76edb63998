/**
 * Every way in which a refresh fails, from what the provider does on its socket to what the operator and the caller are
 * told: a vault worker and a provider worker as processes, and a token endpoint that behaves as told. The living token is
 * served meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { VaultFact } from '../../schemas/events/facts.ts';
import { type Answer, openAnsweringServer } from '../workers/providers/answering-server.ts';
import { clientSecret, oauth2Settings } from '../workers/providers/provider-settings.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { openVaultCluster, type SignedInPerson, type VaultCluster } from '../world/vault-cluster.ts';

const test = suite('refresh failures');

/** Longer than a refresh that is answered takes here, and the time after which one that hangs is given up. */
const claimMs = 4000;
const json = (status: number, body: object, headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  body: JSON.stringify(body),
});

/** What is told by the fact, and for how long nothing is sent to the provider, seconds. */
const kinds: Record<string, { answer: Answer; reason: string; waitSeconds?: number }> = {
  'invalid-grant': { answer: json(400, { error: 'invalid_grant' }), reason: 'invalid-grant' },
  'error-with-200': { answer: json(200, { error: 'bad_refresh_token' }), reason: 'invalid-grant' },
  'invalid-client': { answer: json(401, { error: 'invalid_client' }), reason: 'provider-configuration' },
  'invalid-scope': { answer: json(400, { error: 'invalid_scope' }), reason: 'provider-configuration' },
  'not-found': { answer: { status: 404, body: '<html>' }, reason: 'provider-configuration' },
  html: { answer: { body: '<html>maintenance</html>' }, reason: 'provider-unavailable' },
  'server-error': { answer: { status: 500 }, reason: 'provider-unavailable' },
  cut: { answer: 'cut', reason: 'provider-unavailable' },
  hang: { answer: 'hang', reason: 'provider-unavailable' },
  // Last: what the provider says so is meant for every grant, and holds back what is refreshed in the background.
  'too-many': {
    answer: json(429, {}, { 'retry-after': '40' }),
    reason: 'provider-unavailable',
    waitSeconds: 40,
  },
  'too-many-until': {
    answer: json(429, {}, { 'retry-after': new Date(Date.now() + 900_000).toUTCString() }),
    reason: 'provider-unavailable',
    waitSeconds: 600,
  },
};

async function lookUp({ client }: VaultCluster, { principal, accessToken }: SignedInPerson) {
  const request = { accessToken, providers: ['gitlab'], minValidSeconds: 60 };
  return (await client.findUpstreamTokens(principal, request, 20_000)).get('gitlab')!;
}

async function openWorld() {
  const nats = await openNatsServer();
  const tap = await connect({ servers: nats.url });
  const facts: VaultFact[] = [];
  tap.subscribe('latchkey.fact.>', { callback: (_, message) => void facts.push(message.json()) });
  await tap.flush();
  const server = await openAnsweringServer(({ body }) => {
    const name = new URLSearchParams(body).get('refresh_token')?.split('.')[0] ?? '';
    return kinds[name]?.answer ?? json(200, { access_token: `fresh-${name}`, expires_in: 3600 });
  });
  const cluster = await openVaultCluster({
    ...{ url: nats.url, chain: ['gitlab'], providers: 'refreshed', claimMs },
  });
  const settings = oauth2Settings({
    authorizationEndpoint: `${server.origin}/authorize`,
    tokenEndpoint: `${server.origin}/token`,
    userinfoEndpoint: `${server.origin}/user`,
  });
  return {
    ...{ cluster, server, settings: { ...settings, name: 'gitlab' } },
    /** How the refresh of this one came out, by the fact alone. */
    async failureOf(from: number): Promise<VaultFact> {
      for (;;) {
        const found = facts
          .slice(from)
          .find(({ fact }) => fact === 'refresh-failed' || fact === 'reauth-required');
        if (found) return found;
        await sleep(20);
      }
    },
    facts,
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await tap.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

test('each kind of failure has its fact, keeps what lives, and none touches another grant', async () => {
  await using world = await openWorld();
  const { cluster, server, facts } = world;
  await cluster.addWorker();
  await cluster.addProviderWorker(world.settings, clientSecret);
  const soon = () => Date.now() + 50_000;

  // One that hangs goes first, and has its answer last: the others do not wait for it.
  const hanging = await cluster.signIn('hang', soon());
  assert.is((await lookUp(cluster, hanging)).status, 'ok');
  while (server.received.length === 0) await sleep(10);
  const healthy = await cluster.signIn('healthy', Date.now() - 1000);
  for (let status = 'pending'; status !== 'ok'; ) ({ status } = await lookUp(cluster, healthy));
  assert.not.ok(
    facts.some(({ fact }) => fact === 'refresh-failed'),
    'the one that hangs still does',
  );
  const last = await world.failureOf(0);
  assert.equal([last.fact, last.reason, last.provider], ['refresh-failed', 'provider-unavailable', 'gitlab']);
  assert.is((await lookUp(cluster, hanging)).status, 'ok');

  for (const [name, { reason, waitSeconds }] of Object.entries(kinds)) {
    if (name === 'hang') continue;
    const person = await cluster.signIn(name, waitSeconds === undefined ? soon() : Date.now() - 1000);
    const from = facts.length;
    const before = await lookUp(cluster, person);
    const { fact, reason: told } = await world.failureOf(from);
    assert.equal(
      [fact, told],
      [reason === 'invalid-grant' ? 'reauth-required' : 'refresh-failed', reason],
      name,
    );
    const after = await lookUp(cluster, person);
    if (waitSeconds === undefined) {
      assert.is(before.status, 'ok', name);
      assert.is(after.status === 'ok' && after.accessToken.reveal(), `access-${name}.0`, name);
    } else {
      const seconds = after.status === 'refresh-failed' ? after.retryAfterSeconds : 0;
      assert.ok(seconds > waitSeconds - 20, `${name}: ${JSON.stringify(after)}`);
    }
  }
  const again = await lookUp(cluster, healthy);
  assert.is(again.status === 'ok' && again.accessToken.reveal(), 'fresh-healthy');
});

test('a provider that refuses connections, and a client registration that is gone', async () => {
  await using world = await openWorld();
  const { cluster, server, facts } = world;
  await cluster.addWorker();
  const away = { ...world.settings, tokenEndpoint: 'http://127.0.0.1:1/token' };
  const refused = await cluster.addProviderWorker(away, clientSecret);
  const first = await cluster.signIn('refused', Date.now() + 50_000);
  assert.is((await lookUp(cluster, first)).status, 'ok');
  const { fact, reason } = await world.failureOf(0);
  assert.equal([fact, reason], ['refresh-failed', 'provider-unavailable']);
  assert.is((await lookUp(cluster, first)).status, 'ok');
  await refused.kill();

  await cluster.addProviderWorker({ ...world.settings, clientId: 'another-client' }, clientSecret);
  const second = await cluster.signIn('gone', Date.now() - 1000);
  const from = facts.length;
  await lookUp(cluster, second);
  const gone = await world.failureOf(from);
  assert.equal([gone.fact, gone.reason], ['reauth-required', 'registration-gone']);
  assert.is((await lookUp(cluster, second)).status, 'reauth-required');
  assert.is(server.received.length, 0, 'nothing was sent with another registration');
});

test.run();
