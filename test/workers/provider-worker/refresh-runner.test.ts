import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import { createClaimId } from '../../../schemas/ids.ts';
import type { RefreshOutcome } from '../../../schemas/messages/refresh-outcome.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createRefreshRunner, type RefreshOrder } from '../../../workers/provider-worker/refresh-runner.ts';
import { createDependencies } from '../providers/provider-settings.ts';

const test = suite('refresh-runner');

const order = (change: Partial<RefreshOrder> = {}): RefreshOrder => ({
  claimId: createClaimId(),
  grantId: `grt_${'a'.repeat(32)}`,
  partition: 7,
  refreshToken: new Secret('r'),
  registration: { clientId: 'latchkey', generation: 0 },
  deadlineAt: Date.now() + 10_000,
  ...change,
});

const outcome: RefreshOutcome = { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null };

function createRunner(deliver: (attempt: number) => Promise<void>, refresh = async () => outcome) {
  const calls: { sendBefore: AbortSignal; answerBefore: number }[] = [];
  const delivered: { order: RefreshOrder; outcome: RefreshOutcome; commandId: string }[] = [];
  const { log, lines } = createDependencies();
  const runner = createRefreshRunner({
    provider: {
      refresh(request) {
        calls.push(request);
        return refresh();
      },
    },
    async deliver(given, what, commandId) {
      delivered.push({ order: given, outcome: what, commandId });
      await deliver(delivered.length);
    },
    now: () => Date.now(),
    log,
    longestPauseMs: 5,
  });
  return { runner, calls, delivered, lines };
}

test('a claim is sent once, however often it is asked', async () => {
  const { runner, calls, delivered } = createRunner(async () => {});
  const claim = order();
  runner.accept(claim);
  runner.accept(claim);
  await runner.drain();
  runner.accept(claim);
  await runner.drain();
  assert.is(calls.length, 1);
  assert.is(delivered.length, 1);
  assert.equal(delivered[0]?.outcome, outcome);
});

test('delivery is repeated under one command id until it is acknowledged', async () => {
  const { runner, delivered } = createRunner(async (attempt) => {
    if (attempt < 12) throw new NoRespondersError('nobody');
  });
  runner.accept(order());
  assert.is(runner.running(), 1);
  await runner.drain();
  assert.is(delivered.length, 12);
  assert.is(new Set(delivered.map(({ commandId }) => commandId)).size, 1);
  assert.is(runner.running(), 0);
});

test('an owner that breaks is asked again; one that knows no such grant is not', async () => {
  const broken = createRunner(async (attempt) => {
    if (attempt === 1) throw new RefusedError('internal', 'x');
    if (attempt === 2) throw new RefusedError('invalid-request', 'x');
    if (attempt === 3) throw new Error('CONNECTION_CLOSED');
  });
  broken.runner.accept(order());
  await broken.runner.drain();
  assert.is(broken.delivered.length, 4);
  const gone = createRunner(async () => {
    throw new RefusedError('not-found', 'x');
  });
  gone.runner.accept(order());
  await gone.runner.drain();
  assert.is(gone.delivered.length, 1);
});

test('the provider is told the deadline of the claim', async () => {
  const { runner, calls } = createRunner(async () => {});
  runner.accept(order({ deadlineAt: Date.now() - 1 }));
  runner.accept(order({ deadlineAt: Date.now() + 10_000 }));
  await runner.drain();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(
    calls.map(({ sendBefore }) => sendBefore.aborted),
    [true, false],
  );
});

test('an answer is waited for until a second before the deadline of the claim', async () => {
  const { runner, calls } = createRunner(async () => {});
  const deadlineAt = Date.now() + 30_000;
  runner.accept(order({ deadlineAt }));
  await runner.drain();
  assert.is(calls[0]?.answerBefore, deadlineAt - 1000);
});

test('one refresh that hangs delays no other', async () => {
  const hanging = Promise.withResolvers<RefreshOutcome>();
  let calls = 0;
  const { runner, delivered } = createRunner(
    async () => {},
    () => (++calls === 1 ? hanging.promise : Promise.resolve(outcome)),
  );
  runner.accept(order());
  runner.accept(order());
  while (delivered.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(runner.running(), 1);
  hanging.resolve(outcome);
  await runner.drain();
  assert.is(delivered.length, 2);
});

test.run();
