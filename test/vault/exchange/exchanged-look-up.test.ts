import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FindUpstreamTokensRequest } from '../../../schemas/messages/find-upstream-tokens.ts';
import type { TokenExchangeOutcome } from '../../../schemas/messages/provider-requests.ts';
import { Secret } from '../../../schemas/secret.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { createPlayedProviders, openTestVault, type SignedIn, signIn, tokenSet } from '../../world/vault.ts';
import { refreshedTo, tokenIn } from '../refresh/refresh-world.ts';

const test = suite('vault/exchange/exchanged-look-up');

/** A vault whose token service answers `<backend>-for-<subject token>`, unless it is held. */
async function openWorld() {
  const nats = await openNatsServer();
  const providers = createPlayedProviders();
  const asked: string[] = [];
  let gate: Promise<unknown> = Promise.resolve();
  providers.onExchange = async (provider, { backend, subjectToken }): Promise<TokenExchangeOutcome> => {
    const name = `${backend}-for-${subjectToken.reveal()}`;
    asked.push(`${provider} ${name}`);
    await gate;
    const expiresAt = Date.now() + 3_600_000;
    return { status: 'exchanged', accessToken: new Secret(name), scope: null, expiresAt };
  };
  const t = await openTestVault({
    ...{ url: nats.url, providers },
    tokenExchanges: ['orders', 'files'].map((backend) => ({
      ...{ backend, provider: 'gitlab', subjectToken: 'access-token' as const },
    })),
  });
  return {
    ...{ t, providers, asked },
    hold(until: Promise<unknown>) {
      gate = until;
    },
    async signIn(subject: string, expiresInMs = 3_600_000): Promise<SignedIn> {
      providers.subject = subject;
      providers.tokens.set('gitlab', tokenSet(subject, Date.now() + expiresInMs));
      return await signIn(t, `uid-of-${subject}-at-the-exchange`);
    },
    async lookUp({ partition, accessToken }: SignedIn, change: Partial<FindUpstreamTokensRequest> = {}) {
      const request = { accessToken, providers: ['exchange:orders'], minValidSeconds: 0, ...change };
      // Longer than anything here takes on a busy machine.
      return (await t.vault.findUpstreamTokens(partition, request, 10_000)).answers;
    },
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

test('to each person and backend its own, beside the tokens of providers', async () => {
  await using w = await openWorld();
  const [anna, bert] = [await w.signIn('anna'), await w.signIn('bert')];
  const providers = ['gitlab', 'exchange:orders', 'exchange:files', 'exchange:unknown'];
  for (const [person, name] of [
    [anna, 'anna'],
    [bert, 'bert'],
    [anna, 'anna'],
  ] as const) {
    const answers = await w.lookUp(person, { providers });
    assert.equal(
      providers.map((asked) => tokenIn(answers[asked]!)),
      [
        `${name}-access-token-clear`,
        `orders-for-${name}-access-token-clear`,
        `files-for-${name}-access-token-clear`,
        'exchange-refused',
      ],
    );
    const [own, exchanged] = [answers.gitlab!, answers['exchange:orders']!];
    assert.ok(own.status === 'ok' && exchanged.status === 'ok');
    assert.is(exchanged.account, own.account);
  }
  assert.is(w.asked.length, 4);
  assert.ok(w.asked.every((request) => request.startsWith('gitlab ')));
});

test('a refreshed grant is exchanged anew', async () => {
  await using w = await openWorld();
  const anna = await w.signIn('anna');
  const before = await w.lookUp(anna);
  assert.is(tokenIn(before['exchange:orders']!), 'orders-for-anna-access-token-clear');

  const forced = w.lookUp(anna, { providers: ['gitlab'], rejected: { gitlab: 1 } });
  while (w.providers.refreshes.length === 0) await sleep(5);
  const { grant, claimId } = w.providers.refreshes[0]!;
  const outcome = refreshedTo('next');
  const delivery = { provider: 'gitlab', grantId: grant.grantId, claimId, outcome };
  await w.t.vault.recordRefreshOutcome(anna.partition, 'gitlab', delivery);
  await forced;
  assert.is(tokenIn((await w.lookUp(anna))['exchange:orders']!), 'orders-for-next-access-token-clear');
});

test('a rejected exchanged token leads to another exchange, and to no refresh of the grant', async () => {
  await using w = await openWorld();
  const anna = await w.signIn('anna');
  const before = (await w.lookUp(anna))['exchange:orders']!;
  assert.ok(before.status === 'ok');
  const rejected = { 'exchange:orders': before.version };
  const after = (await w.lookUp(anna, { rejected }))['exchange:orders']!;
  assert.ok(after.status === 'ok' && after.version > before.version);
  assert.equal([w.asked.length, w.providers.refreshes.length], [2, 0]);
});

test('a grant that is dead or gone gives nothing to exchange', async () => {
  await using w = await openWorld();
  const anna = await w.signIn('anna', -1_000);
  const dead = w.lookUp(anna);
  while (w.providers.refreshes.length === 0) await sleep(5);
  const { grant, claimId } = w.providers.refreshes[0]!;
  await w.t.vault.recordRefreshOutcome(anna.partition, 'gitlab', {
    ...{ provider: 'gitlab', grantId: grant.grantId, claimId },
    outcome: { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null },
  });
  await dead;
  assert.equal((await w.lookUp(anna))['exchange:orders'], { status: 'reauth-required' });
  assert.equal(w.asked, []);
});

test('a token that ends while it is exchanged is refreshed, and its successor exchanged', async () => {
  await using w = await openWorld();
  const anna = await w.signIn('anna', 1_500);
  const exchange = w.providers.onExchange;
  w.providers.onExchange = async (provider, request) => {
    if (!request.subjectToken.reveal().startsWith('anna')) return await exchange(provider, request);
    await sleep(2_000);
    return { status: 'refused', error: 'invalid_request' };
  };
  const waiting = w.lookUp(anna);
  while (w.providers.refreshes.length === 0) await sleep(5);
  const { grant, claimId } = w.providers.refreshes[0]!;
  const delivery = { provider: 'gitlab', grantId: grant.grantId, claimId, outcome: refreshedTo('next') };
  await w.t.vault.recordRefreshOutcome(anna.partition, 'gitlab', delivery);
  assert.is(tokenIn((await waiting)['exchange:orders']!), 'orders-for-next-access-token-clear');
});

test('what an exchange brings after the session has ended is nobody’s', async () => {
  await using w = await openWorld();
  const anna = await w.signIn('anna');
  const { promise, resolve } = Promise.withResolvers<void>();
  w.hold(promise);
  const waiting = w.lookUp(anna);
  while (w.asked.length === 0) await sleep(5);
  await w.t.vault.endSession(anna.partition, {
    ...{
      principal: anna.principal,
      grantId: 'grant-of-uid-of-anna-at-the-exchange',
      reason: 'revoked' as const,
    },
  });
  resolve();
  assert.equal((await waiting)['exchange:orders'], { status: 'missing' });
  const error = await w.lookUp(anna).catch((caught) => caught);
  assert.is(error.code, 'session-ended');
});

test.run();
