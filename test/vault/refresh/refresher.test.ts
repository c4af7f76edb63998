import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { openOutbox } from '../../../vault/outbox/outbox.ts';
import { failedWith, openRefreshWorld, type RefreshWorld, refreshedTo, tokenIn } from './refresh-world.ts';

const test = suite('refresh');
const newToken = 'new-access-token-clear';

async function refusalOf(work: Promise<unknown>): Promise<RefusedError> {
  const error = await work.then(
    () => null,
    (caught) => caught,
  );
  assert.instance(error, RefusedError);
  return error as RefusedError;
}

/** The outbox hears of an append a moment after the log has it. */
async function untilNothingIsPending(w: RefreshWorld): Promise<void> {
  using outbox = openOutbox(`${w.t.folder}/outbox.sqlite`);
  for (let wait = 0; outbox.pending().length > 0 && wait < 200; wait++) await sleep(20);
  assert.equal(outbox.pending(), []);
}

/** As a requester asks: again, as long as the refresh is under way. */
async function untilAnswered(
  w: RefreshWorld,
  change: Parameters<RefreshWorld['lookUp']>[0] = {},
): Promise<string> {
  for (;;) {
    const answer = tokenIn(await w.lookUp(change));
    if (answer !== 'pending') return answer;
  }
}

test('a thousand look-ups at once on one expired grant: one order to the provider, and all get the new token', async () => {
  await using w = await openRefreshWorld();
  const answers: Promise<string>[] = [];
  for (let n = 0; n < 1000; n++) answers.push(untilAnswered(w));
  const order = await w.order(1);
  assert.is(order.grant.tokens.refreshToken!.reveal(), 'old-refresh-token-clear');
  await w.deliver(order, refreshedTo('new'));
  assert.equal([...new Set(await Promise.all(answers))], [newToken]);
  await Promise.all(Array.from({ length: 1000 }, async () => assert.is(tokenIn(await w.lookUp()), newToken)));
  assert.is(w.t.providers.refreshes.length, 1);
  assert.equal(w.t.problems, []);
});

test('the worker of the provider is looked for before it is given the refresh', async () => {
  await using w = await openRefreshWorld();
  const prepared: string[][] = [];
  w.t.providers.onStart = async () => {
    prepared.push([...w.t.providers.prepared]);
    return 'accepted';
  };
  await w.lookUp();
  await w.order(1);
  while (prepared.length === 0) await sleep(5);
  assert.equal(prepared, [['gitlab']]);
});

test('the claim is in the log before the provider is asked', async () => {
  await using w = await openRefreshWorld();
  const manager = await w.t.connection.jetstreamManager();
  const seen: string[] = [];
  w.t.providers.onStart = async ({ partition, grant, claimId }) => {
    const subject = `latchkey.log.${partition}.${grant.grantId}`;
    const { data } = await manager.streams.getMessage('VAULT', { last_by_subj: subject });
    const text = Buffer.from(data).toString();
    seen.push(text.includes('RefreshStarted') && text.includes(claimId) ? 'claimed' : text);
    return 'accepted';
  };
  await w.lookUp();
  await w.order(1);
  while (seen.length === 0) await sleep(5);
  assert.equal(seen, ['claimed']);
});

test('while it runs the answer is pending, and nothing is sent again', async () => {
  await using w = await openRefreshWorld();
  assert.equal([await w.lookUp(), await w.lookUp()], [{ status: 'pending' }, { status: 'pending' }]);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('a token that still lives is served while its refresh runs behind it', async () => {
  await using w = await openRefreshWorld({ expiresInMs: 30_000 });
  assert.is(tokenIn(await w.lookUp()), 'old-access-token-clear');
  assert.is(w.t.providers.refreshes.length, 0, 'not in the first half of a short life');
  w.clock.aheadMs = 20_000;
  const begun = await w.lookUp();
  assert.is(tokenIn(begun), 'old-access-token-clear');
  const order = await w.order(1);
  for (let n = 0; n < 50; n++) assert.is(tokenIn(await w.lookUp()), 'old-access-token-clear');
  await w.deliver(order, refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('a token that is good for long is not refreshed', async () => {
  await using w = await openRefreshWorld({ expiresInMs: 600_000 });
  assert.is(tokenIn(await w.lookUp({ minValidSeconds: 300 })), 'old-access-token-clear');
  await sleep(20);
  assert.is(w.t.providers.refreshes.length, 0);
  await w.lookUp({ minValidSeconds: 900 });
  await w.order(1);
});

test('a rejected version is refreshed once, however many say so', async () => {
  await using w = await openRefreshWorld({ expiresInMs: 600_000 });
  const rejected = { gitlab: 1 };
  const answers = Array.from({ length: 20 }, () => untilAnswered(w, { rejected }));
  await w.deliver(await w.order(1), refreshedTo('new'));
  assert.equal([...new Set(await Promise.all(answers))], [newToken]);
  // Who comes late with the old version gets the token that replaced it.
  assert.is(tokenIn(await w.lookUp({ rejected })), newToken);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('the provider worker is not there: refresh-failed, and tried again when its time has come', async () => {
  await using w = await openRefreshWorld();
  w.t.providers.onStart = async () => 'not-sent';
  const first = await w.lookUp();
  assert.is(first.status, 'refresh-failed');
  assert.ok(first.status === 'refresh-failed' && first.retryAfterSeconds >= 1);
  w.t.providers.onStart = async () => 'accepted';
  while ((await w.lookUp()).status === 'refresh-failed') await sleep(50);
  await w.deliver(await w.order(2), refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
});

test('Retry-After of the provider is kept to', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  await w.deliver(await w.order(1), failedWith('provider-unavailable', 120));
  const answer = await w.lookUp();
  assert.ok(
    // And a jitter of at most a second, so that many that were told so do not come back together.
    answer.status === 'refresh-failed' && answer.retryAfterSeconds > 115 && answer.retryAfterSeconds <= 121,
  );
  assert.is(w.t.providers.refreshes.length, 1);
});

test('invalid_grant is final: the person must sign in again, and nobody asks the provider any more', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  await w.deliver(await w.order(1), failedWith('invalid-grant'));
  assert.equal(await w.lookUp(), { status: 'reauth-required' });
  await w.restart();
  assert.equal(await w.lookUp(), { status: 'reauth-required' });
  assert.is(w.t.providers.refreshes.length, 1);
});

test('without a refresh token an expired grant needs the person', async () => {
  await using w = await openRefreshWorld({ refreshToken: false });
  assert.equal(await w.lookUp(), { status: 'reauth-required' });
  assert.is(w.t.providers.refreshes.length, 0);
});

test('a delivery twice is one, also after a restart and while the next refresh runs', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const first = await w.order(1);
  const outcome = refreshedTo('first', 1);
  await w.deliver(first, outcome);
  await w.deliver(first, outcome);
  await w.restart();
  await sleep(5);
  await w.lookUp();
  const second = await w.order(2);
  assert.is(second.grant.tokens.refreshToken!.reveal(), 'first-refresh-token-clear');
  await w.deliver(first, outcome);
  await w.deliver(second, refreshedTo('new'));
  await w.deliver(first, outcome);
  const answer = await w.lookUp();
  assert.is(tokenIn(answer), newToken);
  assert.is(answer.status === 'ok' && answer.version, 3);
});

test('a delivery of another provider’s worker, for another partition or an unknown grant is refused', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const order = await w.order(1);
  assert.is((await refusalOf(w.deliver(order, refreshedTo('stolen'), 'corporate'))).code, 'invalid-request');
  const { grantId } = order.grant;
  const delivery = { provider: 'gitlab', grantId, claimId: order.claimId, outcome: refreshedTo('stolen') };
  const elsewhere = (w.person.partition + 1) % 64;
  assert.is(
    (await refusalOf(w.t.vault.recordRefreshOutcome(elsewhere, 'gitlab', delivery))).code,
    'invalid-request',
  );
  const unknown = { ...delivery, grantId: `grt_${'x'.repeat(32)}` };
  assert.is(
    (await refusalOf(w.t.vault.recordRefreshOutcome(w.person.partition, 'gitlab', unknown))).code,
    'not-found',
  );
  assert.equal(await w.lookUp(), { status: 'pending' });
});

test('tokens of a claim that nobody started are not taken', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const order = await w.order(1);
  await w.deliver({ ...order, claimId: `clm_${'x'.repeat(22)}` }, refreshedTo('stolen'));
  assert.equal(await w.lookUp(), { status: 'pending' });
  await w.deliver(order, refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
});

test('NATS is killed between the provider’s answer and the append: acknowledged, and in the log when NATS is back', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const order = await w.order(1);
  await w.nats.kill();
  await w.deliver(order, refreshedTo('new'));
  {
    using outbox = openOutbox(`${w.t.folder}/outbox.sqlite`);
    assert.equal(
      outbox.pending().map(({ claimId }) => claimId),
      [order.claimId],
    );
  }
  await w.nats.start();
  while (tokenIn(await w.lookUp()) !== newToken) await sleep(50);
  await untilNothingIsPending(w);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('what lies in the outbox at start goes into the log', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const order = await w.order(1);
  await w.nats.kill();
  await w.deliver(order, refreshedTo('new'));
  const reopening = w.restart();
  await w.nats.start();
  await reopening;
  while (tokenIn(await w.lookUp()) !== newToken) await sleep(20);
  await untilNothingIsPending(w);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('a claim that nobody answered is taken over after its deadline, and the late outcome still counts', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const first = await w.order(1);
  w.clock.aheadMs = 31_000;
  await w.lookUp();
  const second = await w.order(2);
  assert.is(second.grant.tokens.refreshToken!.reveal(), 'old-refresh-token-clear');
  await w.deliver(second, failedWith('invalid-grant'));
  assert.equal(await w.lookUp(), { status: 'reauth-required' });
  await w.deliver(first, refreshedTo('new', 7_200_000));
  assert.is(tokenIn(await w.lookUp()), newToken);
});

test('a claim of a former owner is taken over after its whole time anew: the clocks of two machines differ', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  await w.order(1);
  // By the clock of the next one it has been over for long.
  w.clock.aheadMs = 300_000;
  await w.restart();
  assert.equal(await w.lookUp(), { status: 'pending' });
  w.clock.aheadMs = 325_000;
  assert.equal(await w.lookUp(), { status: 'pending' });
  assert.is(w.t.providers.refreshes.length, 1, 'the refresh token may still be under way');
  w.clock.aheadMs = 335_000;
  await w.lookUp();
  await w.order(2);
});

test('who asked and left does not cancel a refresh', async () => {
  await using w = await openRefreshWorld();
  void w.lookUp();
  const order = await w.order(1);
  await w.deliver(order, refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
});

test.run();
