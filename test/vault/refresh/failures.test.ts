/** Failures of providers told apart, on a real vault: what is served meanwhile, when it is tried again, and who suffers. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UpstreamTokenAnswer } from '../../../schemas/messages/find-upstream-tokens.ts';
import type { RefreshOutcome } from '../../../schemas/messages/refresh-outcome.ts';
import type { RefreshOrder } from '../../../vault/refresh/refresher.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import {
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signIn,
  type TestVault,
  type TestVaultOptions,
  tokenSet,
} from '../../world/vault.ts';

const test = suite('refresh-failures');

const minute = 60_000;

async function openWorld(url: string, options: Partial<TestVaultOptions> = {}) {
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  const providers = createPlayedProviders();
  const world = await openTestVault({ url, providers, now: clock.now, ...options });
  return { world, clock, providers };
}

async function lookUp(
  { vault }: TestVault,
  { partition, accessToken }: SignedIn,
  provider: string,
  rejectedVersion?: number,
): Promise<UpstreamTokenAnswer> {
  const rejected = rejectedVersion === undefined ? {} : { rejected: { [provider]: rejectedVersion } };
  const request = { accessToken, providers: [provider], minValidSeconds: 30, ...rejected };
  return (await vault.findUpstreamTokens(partition, request)).answers[provider]!;
}

/** As a gateway does it. */
async function lookUpUntilAnswered(world: TestVault, person: SignedIn, provider: string) {
  for (;;) {
    const answer = await lookUp(world, person, provider);
    if (answer.status !== 'pending') return answer;
  }
}

async function deliver(
  { vault }: TestVault,
  { partition, grant, claimId }: RefreshOrder,
  outcome: RefreshOutcome,
) {
  const { provider, grantId } = grant;
  await vault.recordRefreshOutcome(partition, provider, { provider, grantId, claimId, outcome });
}

const failed = (
  reason: 'invalid-grant' | 'provider-configuration' | 'provider-unavailable',
  retryAfterSeconds: number | null,
) => ({ status: 'failed', reason, retryAfterSeconds }) as const;

/** Waits for what happens in the background. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500 && !holds(); turn++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(holds());
}

test('one provider that hangs: its hundred grants wait, and nobody else does', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url);
  await using _world = world;
  providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 2 * minute));
  providers.tokens.set('gitlab', tokenSet('gitlab', Date.now() + 2 * minute));
  const names = Array.from({ length: 100 }, (_, index) => `person-${index}`);
  const people = await Promise.all(names.map((name) => signIn(world, `interaction-of-${name}`, name)));
  // What hangs is even the giving of the order: the vault's own wait for it must hold up nobody.
  const hanging = Promise.withResolvers<'unknown'>();
  providers.onStart = async (order) => {
    if (order.grant.provider === 'corporate') return hanging.promise;
    await deliver(world, order, {
      status: 'refreshed',
      tokens: tokenSet('gitlab-2', Date.now() + 60 * minute),
    });
    return 'accepted';
  };
  clock.ahead = 3 * minute;
  const waiting = people.map((person) => lookUp(world, person, 'corporate'));
  const others = await Promise.all(people.map((person) => lookUpUntilAnswered(world, person, 'gitlab')));
  assert.ok(
    others.every((answer) => answer.status === 'ok' && answer.version === 2),
    'the other provider answers all',
  );
  const answers = await Promise.all(waiting);
  assert.ok(
    answers.every(({ status }) => status === 'pending'),
    'those of the hanging one are told to ask again',
  );
  assert.is(providers.refreshes.filter(({ grant }) => grant.provider === 'corporate').length, 100);
  assert.is(providers.refreshes.filter(({ grant }) => grant.provider === 'gitlab').length, 100);
  hanging.resolve('unknown');
  // A lease that a busy machine renews late is no matter of providers.
  assert.equal(
    world.problems.filter((problem) => (problem as { code?: string }).code !== 'TIMEOUT'),
    [],
  );
});

test('Retry-After is kept to: until then nothing is sent, the living token is served, then it is tried again', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url, { chain: ['corporate'] });
  await using _world = world;
  const expiresAt = Date.now() + 5 * minute;
  providers.tokens.set('corporate', tokenSet('corporate', expiresAt));
  const alice = await signIn(world, 'interaction-of-alice');
  clock.ahead = 4 * minute + 10_000;
  const first = await lookUp(world, alice, 'corporate');
  assert.is(first.status, 'ok', 'what still lives is served while its refresh runs');
  await until(() => providers.refreshes.length === 1);
  await deliver(world, providers.refreshes[0]!, failed('provider-unavailable', 45));
  assert.is((await lookUp(world, alice, 'corporate')).status, 'ok', 'and after it failed');
  clock.ahead = 4 * minute + 40_000;
  assert.is((await lookUp(world, alice, 'corporate')).status, 'ok');
  clock.ahead = 4 * minute + 54_000;
  assert.is((await lookUp(world, alice, 'corporate')).status, 'ok');
  assert.is(providers.refreshes.length, 1, 'nothing was sent before the time');
  // 45 s, and the jitter of at most one second.
  clock.ahead = 4 * minute + 57_000;
  await lookUp(world, alice, 'corporate');
  clock.ahead = 5 * minute + 5000;
  const last = await lookUp(world, alice, 'corporate');
  assert.is(last.status, 'pending');
  assert.is(providers.refreshes.length, 2);
  await deliver(world, providers.refreshes[1]!, failed('provider-unavailable', 30));
  const dead = await lookUp(world, alice, 'corporate');
  assert.is(dead.status, 'refresh-failed');
  assert.ok(dead.status === 'refresh-failed' && dead.retryAfterSeconds >= 30 && dead.retryAfterSeconds <= 33);
});

test('a provider that stays away is asked less and less often, at a random moment of each pause', async () => {
  await using nats = await openNatsServer();
  let random = 0.999;
  const { world, clock, providers } = await openWorld(nats.url, {
    chain: ['corporate'],
    random: () => random,
  });
  await using _world = world;
  providers.tokens.set('corporate', tokenSet('corporate', Date.now() - 1000));
  const alice = await signIn(world, 'interaction-of-alice');
  const fail = async (time: number) => {
    await lookUp(world, alice, 'corporate');
    await until(() => providers.refreshes.length === time);
    await deliver(world, providers.refreshes[time - 1]!, failed('provider-unavailable', null));
  };
  const pauses: number[] = [];
  for (let time = 1; time <= 6; time++) {
    await fail(time);
    const answer = await lookUp(world, alice, 'corporate');
    if (answer.status !== 'refresh-failed') return assert.unreachable(answer.status);
    pauses.push(answer.retryAfterSeconds);
    clock.ahead += 1000 * 2 ** (time - 1) + 1;
  }
  assert.equal(pauses, [1, 2, 4, 8, 16, 32]);
  random = 0;
  await fail(7);
  await fail(8);
});

test('what an operator must mend keeps the grant; invalid_grant ends it, and the living token is served to its end', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url);
  await using _world = world;
  for (const provider of ['corporate', 'gitlab'])
    providers.tokens.set(provider, tokenSet(provider, Date.now() + 5 * minute));
  const alice = await signIn(world, 'interaction-of-alice');
  clock.ahead = 4 * minute + 30_000;
  for (const provider of ['corporate', 'gitlab'])
    assert.is((await lookUp(world, alice, provider)).status, 'ok');
  await until(() => providers.refreshes.length === 2);
  const orderOf = (provider: string) =>
    providers.refreshes.filter(({ grant }) => grant.provider === provider);
  await deliver(world, orderOf('corporate')[0]!, failed('provider-configuration', null));
  await deliver(world, orderOf('gitlab')[0]!, failed('invalid-grant', null));
  for (const provider of ['corporate', 'gitlab'])
    assert.is((await lookUp(world, alice, provider)).status, 'ok');
  clock.ahead = 5 * minute + 1000;
  assert.is((await lookUp(world, alice, 'gitlab')).status, 'reauth-required');
  clock.ahead = 5 * minute + 10_000;
  await lookUp(world, alice, 'corporate');
  assert.is(orderOf('corporate').length, 2, 'it is tried again');
  assert.is(orderOf('gitlab').length, 1, 'what is final is not');
});

test('a token that is rejected again right after a forced refresh is not refreshed in a loop', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url, { chain: ['corporate'] });
  await using _world = world;
  const alice = await signIn(world, 'interaction-of-alice');
  providers.onStart = async (order) => {
    const version = order.grant.version + 1;
    await deliver(world, order, {
      status: 'refreshed',
      tokens: tokenSet(`corporate-${version}`, Date.now() + 60 * minute),
    });
    return 'accepted';
  };
  const forced = await lookUp(world, alice, 'corporate', 1);
  assert.ok(forced.status === 'ok' && forced.version === 2);
  for (let turn = 0; turn < 5; turn++) {
    const again = await lookUp(world, alice, 'corporate', 2);
    assert.ok(again.status === 'ok' && again.version === 2, 'the current token is the answer');
  }
  const behind = await lookUp(world, alice, 'corporate', 1);
  assert.ok(behind.status === 'ok' && behind.version === 2);
  assert.is(providers.refreshes.length, 1);

  await using later = await world.reopen();
  assert.is((await lookUp(later, alice, 'corporate', 2)).status, 'ok');
  assert.is(providers.refreshes.length, 1, 'another owner knows it from the log');
  providers.onStart = async () => 'accepted';
  clock.ahead = 61_000;
  assert.is((await lookUp(later, alice, 'corporate', 2)).status, 'pending');
  assert.is(providers.refreshes.length, 2, 'after a while it may be forced again');
});

test('a forced refresh that failed may be forced again when its time has come', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url, { chain: ['corporate'] });
  await using _world = world;
  const alice = await signIn(world, 'interaction-of-alice');
  assert.is((await lookUp(world, alice, 'corporate', 1)).status, 'pending');
  await deliver(world, providers.refreshes[0]!, failed('provider-unavailable', 5));
  assert.is((await lookUp(world, alice, 'corporate', 1)).status, 'refresh-failed');
  assert.is((await lookUp(world, alice, 'corporate')).status, 'ok', 'who does not complain gets the token');
  clock.ahead = 8000;
  assert.is((await lookUp(world, alice, 'corporate', 1)).status, 'pending');
  assert.is(providers.refreshes.length, 2);
});

test('a grant in use is refreshed ahead of its expiry without anybody asking', async () => {
  await using nats = await openNatsServer();
  const { world, clock, providers } = await openWorld(nats.url, { chain: ['corporate'] });
  await using _world = world;
  providers.tokens.set('corporate', tokenSet('corporate', Date.now() + 5 * minute));
  const alice = await signIn(world, 'interaction-of-alice');
  assert.is((await lookUp(world, alice, 'corporate')).status, 'ok');
  assert.is(providers.refreshes.length, 0);
  clock.ahead = 4 * minute - 500;
  await until(() => providers.refreshes.length > 0);
  assert.is(providers.refreshes.length, 1);
});

test.run();
