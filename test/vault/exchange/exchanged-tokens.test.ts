import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UpstreamTokenAnswer } from '../../../schemas/messages/find-upstream-tokens.ts';
import type { TokenExchangeOutcome } from '../../../schemas/messages/provider-requests.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createExchangedTokens, type TokenExchange } from '../../../vault/exchange/exchanged-tokens.ts';

const test = suite('vault/exchange/exchanged-tokens');

type LiveToken = Extract<UpstreamTokenAnswer, { status: 'ok' }>;

const orders: TokenExchange = { backend: 'orders', provider: 'corporate', subjectToken: 'access-token' };
const files: TokenExchange = { backend: 'files', provider: 'corporate', subjectToken: 'id-token' };

const account = `sbj_${'a'.repeat(32)}`;
const subject = (token: string, version = 1): LiveToken => ({
  ...{ status: 'ok', tokenType: 'Bearer', scope: null, expiresAt: null, version, account },
  accessToken: new Secret(token),
});

/** A token service that the test plays: each exchange waits in `asked` until the test answers, or is answered at once. */
function openWorld({ answerAtOnce = true, lifeMs = 60_000 as number | null } = {}) {
  const clock = { at: 1_000_000 };
  const asked: { backend: string; subject: string; answer: (outcome: TokenExchangeOutcome) => void }[] = [];
  const problems: unknown[] = [];
  const exchanged = (name: string): TokenExchangeOutcome => ({
    ...{ status: 'exchanged', scope: null, expiresAt: lifeMs === null ? null : clock.at + lifeMs },
    accessToken: new Secret(name),
  });
  let next: ((name: string) => TokenExchangeOutcome) | null = answerAtOnce ? exchanged : null;
  const tokens = createExchangedTokens({
    exchanges: [orders, files],
    providers: {
      exchangeToken(_provider, { backend, subjectToken }) {
        const { promise, resolve } = Promise.withResolvers<TokenExchangeOutcome>();
        asked.push({ backend, subject: subjectToken.reveal(), answer: resolve });
        if (next) resolve(next(`${backend}-${asked.length}-for-${subjectToken.reveal()}`));
        return promise;
      },
    },
    idTokenOf: (grantId) => (grantId === 'grt_with_id_token' ? new Secret('the-id-token') : null),
    now: () => clock.at,
    onProblem: (error) => problems.push(error),
  });
  const find = async (
    token = subject('anna'),
    {
      exchange = orders,
      grantId = 'grt_anna',
      minValidMs = 0,
      rejected = undefined as number | undefined,
    } = {},
  ) => tokens.find({ exchange, grantId, subject: token, minValidMs, rejected, limitMs: 1000 });
  return {
    ...{ tokens, clock, asked, problems, find, exchanged },
    answerWith(outcome: ((name: string) => TokenExchangeOutcome) | null) {
      next = outcome;
    },
  };
}

const tokenIn = (answer: UpstreamTokenAnswer) =>
  answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
const versionIn = (answer: UpstreamTokenAnswer) => (answer.status === 'ok' ? answer.version : null);

test('what was exchanged is the answer until its end, for this grant and this backend alone', async () => {
  const w = openWorld();
  assert.is(tokenIn(await w.find()), 'orders-1-for-anna');
  assert.is(tokenIn(await w.find()), 'orders-1-for-anna');
  assert.is(tokenIn(await w.find(subject('bob'), { grantId: 'grt_bob' })), 'orders-2-for-bob');
  const other = { ...files, subjectToken: 'access-token' } as const;
  assert.is(tokenIn(await w.find(subject('anna'), { exchange: other })), 'files-3-for-anna');
  assert.is(w.asked.length, 3);
  w.clock.at += 60_000;
  assert.is(tokenIn(await w.find()), 'orders-4-for-anna');
});

test('a hundred callers at once wait for one exchange', async () => {
  const w = openWorld({ answerAtOnce: false });
  const callers = Array.from({ length: 100 }, () => w.find());
  assert.is(w.asked.length, 1);
  w.asked[0]!.answer(w.exchanged('the-one'));
  assert.equal(new Set((await Promise.all(callers)).map(tokenIn)), new Set(['the-one']));
  assert.is(w.asked.length, 1);
});

test('whoever waits longer than the limit is told to ask again, and gets the token then', async () => {
  const w = openWorld({ answerAtOnce: false });
  const need = {
    ...{ exchange: orders, grantId: 'grt_anna', subject: subject('anna'), minValidMs: 0 },
    ...{ rejected: undefined, limitMs: 1 },
  };
  assert.equal(await w.tokens.find(need), { status: 'pending' });
  w.asked[0]!.answer(w.exchanged('late'));
  assert.is(tokenIn(await w.find()), 'late');
  assert.is(w.asked.length, 1);
});

test('a token that has too little life left is served while its successor is fetched', async () => {
  const w = openWorld();
  await w.find();
  w.answerWith(null);
  w.clock.at += 31_000;
  assert.is(tokenIn(await w.find(subject('anna'), { minValidMs: 30_000 })), 'orders-1-for-anna');
  assert.is(w.asked.length, 2);
  w.asked[1]!.answer(w.exchanged('the-next'));
  await new Promise((resolve) => setTimeout(resolve));
  assert.is(tokenIn(await w.find(subject('anna'), { minValidMs: 30_000 })), 'the-next');
  assert.is(w.asked.length, 2);
});

test('tokens that live shorter than they are needed are used for half of their life', async () => {
  const w = openWorld({ lifeMs: 10_000 });
  await w.find(subject('anna'), { minValidMs: 30_000 });
  w.clock.at += 4_999;
  await w.find(subject('anna'), { minValidMs: 30_000 });
  assert.is(w.asked.length, 1);
  w.clock.at += 1;
  await w.find(subject('anna'), { minValidMs: 30_000 });
  assert.is(w.asked.length, 2);
});

test('of a token whose end nobody told, five minutes are assumed', async () => {
  const w = openWorld({ lifeMs: null });
  assert.is((await w.find()).status, 'ok');
  w.clock.at += 299_999;
  await w.find();
  assert.is(w.asked.length, 1);
  w.clock.at += 1;
  await w.find();
  assert.is(w.asked.length, 2);
});

test('another version or token of the grant, and the end of the grant, drop what was exchanged', async () => {
  const w = openWorld();
  await w.find(subject('anna', 1));
  assert.is(tokenIn(await w.find(subject('anna', 2))), 'orders-2-for-anna');
  assert.is(tokenIn(await w.find(subject('anna-refreshed', 2))), 'orders-3-for-anna-refreshed');
  w.tokens.forget('grt_anna');
  assert.is(tokenIn(await w.find(subject('anna-refreshed', 2))), 'orders-4-for-anna-refreshed');
});

test('an exchange that ends after its grant was refreshed is not the answer for the new token', async () => {
  const w = openWorld({ answerAtOnce: false });
  const early = w.find(subject('old', 1));
  const late = w.find(subject('new', 2));
  w.asked[1]!.answer(w.exchanged('for-new'));
  w.asked[0]!.answer(w.exchanged('for-old'));
  await Promise.all([early, late]);
  assert.is(tokenIn(await w.find(subject('new', 2))), 'for-new');
});

test('a rejected token is exchanged once more, by one exchange for all who report it', async () => {
  const w = openWorld();
  const rejected = versionIn(await w.find())!;
  const again = await Promise.all([1, 2, 3].map(() => w.find(subject('anna'), { rejected })));
  assert.equal(new Set(again.map(tokenIn)), new Set(['orders-2-for-anna']));
  assert.is(w.asked.length, 2);
  // The backend rejects that one too: the next exchange would mend nothing.
  const second = versionIn(again[0]!)!;
  assert.ok(second > rejected);
  assert.is(versionIn(await w.find(subject('anna'), { rejected: second })), second);
  assert.is(w.asked.length, 2);
  w.clock.at += 59_999;
  assert.is(versionIn(await w.find(subject('anna'), { rejected: second })), second);
});

test('a refusal is the answer for a moment, and then the service is asked again', async () => {
  const w = openWorld();
  w.answerWith(() => ({ status: 'refused', error: 'invalid_target' }));
  const refused = { status: 'exchange-refused', error: 'invalid_target' };
  assert.equal(await w.find(), refused);
  assert.equal(await w.find(), refused);
  assert.is(w.asked.length, 1);
  w.clock.at += 2_000;
  w.answerWith(w.exchanged);
  assert.is((await w.find()).status, 'ok');
});

test('a service that is away is left alone for as long as it asks, a minute at most', async () => {
  const w = openWorld();
  w.answerWith(() => ({ status: 'unavailable', retryAfterSeconds: 9 }));
  assert.equal(await w.find(), { status: 'exchange-failed', retryAfterSeconds: 9 });
  w.clock.at += 8_999;
  await w.find();
  assert.is(w.asked.length, 1);
  w.clock.at += 1;
  w.answerWith(() => ({ status: 'unavailable', retryAfterSeconds: 86_400 }));
  assert.equal(await w.find(), { status: 'exchange-failed', retryAfterSeconds: 60 });
  w.clock.at += 60_000;
  w.answerWith(() => ({ status: 'unavailable', retryAfterSeconds: null }));
  assert.equal(await w.find(), { status: 'exchange-failed', retryAfterSeconds: 2 });
});

test('an outage of the service is not felt while the token lives', async () => {
  const w = openWorld();
  await w.find();
  w.answerWith(() => ({ status: 'unavailable', retryAfterSeconds: null }));
  w.clock.at += 45_000;
  for (let call = 0; call < 3; call += 1) {
    assert.is(tokenIn(await w.find(subject('anna'), { minValidMs: 30_000 })), 'orders-1-for-anna');
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.is(w.asked.length, 2, 'and the service is not asked at each call');
  w.clock.at += 15_000;
  assert.is((await w.find()).status, 'exchange-failed');
});

test('nobody to ask is an outage, told to the operator', async () => {
  const w = openWorld();
  w.answerWith(() => Promise.reject(new Error('nobody listens')) as never);
  assert.equal(await w.find(), { status: 'exchange-failed', retryAfterSeconds: 2 });
  assert.is((w.problems[0] as Error).message, 'nobody listens');
});

test('the ID token is exchanged where the configuration says so; without one the exchange is refused', async () => {
  const w = openWorld();
  await w.find(subject('anna'), { exchange: files, grantId: 'grt_with_id_token' });
  assert.equal(
    w.asked.map(({ subject: sent }) => sent),
    ['the-id-token'],
  );
  const without = await w.find(subject('anna'), { exchange: files });
  assert.equal(without, { status: 'exchange-refused', error: null });
  assert.is(w.asked.length, 1);
});

test.run();
