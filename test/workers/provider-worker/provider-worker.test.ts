import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBus } from '../../../schemas/bus.ts';
import {
  type DeadlineExceededError,
  type NoRespondersError,
  RefusedError,
} from '../../../schemas/failure.ts';
import { createBootId, createClaimId, createCommandId } from '../../../schemas/ids.ts';
import { authorizeAtProvider, revokeAtProvider } from '../../../schemas/messages/provider-requests.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import { Secret } from '../../../schemas/secret.ts';
import { providerSubject } from '../../../schemas/subjects.ts';
import { Browser } from '../../world/browser.ts';
import { type GitlabProvider, openGitlabProvider } from '../../world/identity-providers/gitlab.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { clientSecret, oauth2Settings, parametersOf, redirectUri } from '../providers/provider-settings.ts';
import { createProviderWorld, pair, type TestVault } from './provider-world.ts';

const test = suite('provider-worker');
const options = { clientSecret, redirectUris: [redirectUri] };
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition: () => boolean) => {
  while (!condition()) await sleep(5);
};

async function beginLeg(vault: TestVault, username = 'alice') {
  const target = { subject: providerSubject('test', 'authorize'), pair };
  const { authorizationUrl, leg } = await vault.bus.request(
    authorizeAtProvider,
    target,
    {},
    { timeoutMs: 3000 },
  );
  const browser = new Browser();
  await browser.goto(authorizationUrl, { stopAt: redirectUri });
  const page = await browser.submit({ username, password: `${username}-demo` }, { stopAt: redirectUri });
  return { leg, parameters: parametersOf(page.url) };
}

const refreshesOf = (gitlab: GitlabProvider) =>
  gitlab.tokenRequests.filter(({ grantType }) => grantType === 'refresh_token').length;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'answered',
    (error: RefusedError | NoRespondersError | DeadlineExceededError) => error.code,
  );
}

test('authorize, exchange, refresh, revoke over the bus', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  vault.serveOutcomes();

  const bootId = await vault.findWorker();
  assert.is(bootId, worker.bootId);
  const { tokens, account, registration } = await vault.exchange(bootId, await beginLeg(vault));
  assert.is(account.subject, '50001');
  assert.equal(await vault.refresh(bootId, tokens.refreshToken!), {});
  await until(() => vault.delivered.length > 0 && worker.worker.running() === 0);
  const [delivery] = vault.delivered;
  assert.is(delivery?.provider, 'test');
  if (delivery?.outcome.status !== 'refreshed') return assert.unreachable();
  const rotated = delivery.outcome.tokens.refreshToken!;
  assert.ok(gitlab.tokens.has(rotated.reveal()));

  const target = { subject: providerSubject('test', 'revoke'), pair };
  const request = { token: rotated, tokenTypeHint: 'refresh_token', registration } as const;
  assert.equal(await vault.bus.request(revokeAtProvider, target, request, { timeoutMs: 2000 }), {
    revoked: true,
  });
  assert.not.match(worker.lines.join(''), new RegExp([...gitlab.tokens].join('|')));
});

test('the same claim twice is one call to the provider', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  vault.serveOutcomes();
  const { tokens } = await vault.exchange(worker.bootId, await beginLeg(vault));
  const claimId = createClaimId();
  gitlab.setTokenEndpointFault({ delayMs: 50 });
  await Promise.all([1, 2].map(() => vault.refresh(worker.bootId, tokens.refreshToken!, { claimId })));
  await until(() => vault.delivered.length > 0 && worker.worker.running() === 0);
  await vault.refresh(worker.bootId, tokens.refreshToken!, { claimId });
  await sleep(100);
  assert.is(refreshesOf(gitlab), 1);
  assert.is(vault.delivered.length, 1);
  assert.is(vault.delivered[0]?.outcome.status, 'refreshed');
});

test('a repeated exchange redeems its code once, also while the provider is slow', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using other = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  const leg = await beginLeg(vault);
  gitlab.setTokenEndpointFault({ delayMs: 400 });
  const commandId = createCommandId();
  const [first, second] = await Promise.all([
    vault.exchange(worker.bootId, leg, commandId),
    vault.exchange(worker.bootId, leg, commandId),
  ]);
  assert.is(first.tokens.accessToken.reveal(), second.tokens.accessToken.reveal());
  assert.is(gitlab.tokenRequests.length, 1);
  assert.is(await codeOf(vault.exchange(other.bootId, leg)), 'upstream-refused');
});

test('an outcome is delivered again until the owner acknowledges it', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  const { tokens } = await vault.exchange(worker.bootId, await beginLeg(vault));
  await vault.refresh(worker.bootId, tokens.refreshToken!);
  await until(() => refreshesOf(gitlab) === 1);
  await sleep(300); // nobody owns the partition
  assert.is(worker.worker.running(), 1);
  vault.serveOutcomes(async (attempt) => {
    if (attempt === 1) throw new RefusedError('not-owner', 'handing over');
    if (attempt === 2) throw new Error('broken');
    if (attempt === 3) await sleep(600); // later than any attempt waits
  });
  await until(() => worker.worker.running() === 0);
  assert.ok(vault.delivered.length >= 4);
  const contents = vault.delivered.map(({ outcome }) =>
    outcome.status === 'refreshed' ? outcome.tokens.refreshToken!.reveal() : 'failed',
  );
  assert.is(new Set(contents).size, 1);
  assert.is(refreshesOf(gitlab), 1);
});

test('NATS dies between the acceptance and the delivery, and comes back', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  const { tokens } = await vault.exchange(worker.bootId, await beginLeg(vault));
  gitlab.setTokenEndpointFault({ delayMs: 300 });
  await vault.refresh(worker.bootId, tokens.refreshToken!);
  await nats.kill();
  await until(() => refreshesOf(gitlab) === 1);
  await sleep(1700);
  assert.is(worker.worker.running(), 1);
  vault.serveOutcomes();
  await nats.start();
  await until(() => worker.worker.running() === 0);
  assert.is(vault.delivered[0]?.outcome.status, 'refreshed');
  assert.is(refreshesOf(gitlab), 1);
});

test('a stop takes nothing new, and ends only after the delivery', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  const { tokens } = await vault.exchange(worker.bootId, await beginLeg(vault));
  const leg = await beginLeg(vault, 'bob');
  gitlab.setTokenEndpointFault({ delayMs: 300 });
  await vault.refresh(worker.bootId, tokens.refreshToken!);
  const exchange = vault.exchange(worker.bootId, leg);
  await until(() => gitlab.tokenRequests.length === 1);
  await sleep(20);

  let stopped = false;
  const stopping = worker.worker.stop().then(() => {
    stopped = true;
  });
  await sleep(50);
  assert.is(await codeOf(vault.findWorker()), 'no-responders');
  await until(() => refreshesOf(gitlab) === 1);
  assert.is((await exchange).account.subject, '50002');
  await sleep(200);
  assert.not(stopped);
  vault.serveOutcomes();
  await stopping;
  assert.is(vault.delivered[0]?.outcome.status, 'refreshed');
});

test('with another role the requests and the tokens of a provider cannot be read', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  const bootId = createBootId();
  const foreign = createSealedEnvelopes({
    keys: world.keys('provider:other'),
    bootId,
    now: () => Date.now(),
  });
  const bus = createBus({ connection: vault.connection, envelopes: foreign });
  const target = { subject: providerSubject('test', 'authorize'), pair: 'vault-provider:other' as const };
  assert.is(
    await codeOf(bus.request(authorizeAtProvider, target, {}, { timeoutMs: 400 })),
    'deadline-exceeded',
  );

  const seen: Buffer[] = [];
  vault.connection.subscribe('latchkey.>', { callback: (_, { data }) => seen.push(Buffer.from(data)) });
  vault.connection.subscribe('_INBOX_vault.>', { callback: (_, { data }) => seen.push(Buffer.from(data)) });
  vault.serveOutcomes();
  const { tokens } = await vault.exchange(worker.bootId, await beginLeg(vault));
  await vault.refresh(worker.bootId, tokens.refreshToken!);
  await until(() => vault.delivered.length > 0 && worker.worker.running() === 0);
  const traffic = Buffer.concat(seen);
  assert.ok(traffic.length > 500);
  for (const token of gitlab.tokens) assert.not.ok(traffic.includes(token));
});

test('a refresh that is refused is delivered as such, with the wait that the provider asks for', async () => {
  await using nats = await openNatsServer();
  await using gitlab = await openGitlabProvider(options);
  const world = createProviderWorld(nats.url);
  await using worker = await world.openWorker(oauth2Settings(gitlab));
  await using vault = await world.openVault();
  vault.serveOutcomes();
  gitlab.setTokenEndpointFault({ status: 429, headers: { 'retry-after': '9' }, times: 1 });
  await vault.refresh(worker.bootId, new Secret('unknown'));
  await until(() => vault.delivered.length === 1);
  await vault.refresh(worker.bootId, new Secret('unknown'));
  await until(() => vault.delivered.length === 2 && worker.worker.running() === 0);
  assert.equal(
    vault.delivered.map(({ outcome }) => outcome),
    [
      { status: 'failed', reason: 'provider-unavailable', retryAfterSeconds: 9 },
      { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null },
    ],
  );
});

test.run();
