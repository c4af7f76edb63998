import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBus } from '../../schemas/bus.ts';
import { DeadlineExceededError, RefusedError } from '../../schemas/failure.ts';
import { holdFor } from '../../schemas/held-answers.ts';
import { answersLate, echo, failureOf, openTestBus, served, target } from './test-bus.ts';

const test = suite('bus/held-answers');

test('long work is answered pending, and the same command gets its outcome', async () => {
  await using bus = await openTestBus();
  const work = new Map<string, Promise<{ text: string }>>();
  let answers = 0;
  bus.server.serve(echo, served, ({ text }, { commandId }) => {
    answers += 1;
    if (!work.has(commandId)) work.set(commandId, sleep(700, { text: `${text} at last` }));
    return holdFor(work.get(commandId)!);
  });
  const answer = await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 });
  assert.is(answer.text, 'x at last');
  assert.is(work.size, 1);
  assert.ok(answers >= 3, `${answers} attempts`);
});

test('an answer that is held is waited for, and the question is asked once', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  bus.server.serve(echo, { ...served, holds: true }, async ({ text }) => {
    asked += 1;
    await sleep(900);
    return { text };
  });
  const answer = await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 });
  assert.is(answer.text, 'x');
  assert.is(asked, 1);
});

test('a held refusal is a refusal', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, { ...served, holds: true }, async () => {
    await sleep(400);
    throw new RefusedError('not-found', 'no more');
  });
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 }));
  assert.is((error as RefusedError).code, 'not-found');
});

test('who stops serving lets go of what it holds, and another answers it', async () => {
  await using bus = await openTestBus();
  const held = Promise.withResolvers<void>();
  const stop = bus.server.serve(echo, { ...served, holds: true }, async () => {
    held.resolve();
    await sleep(60_000, undefined, { ref: false });
    return { text: 'too late' };
  });
  const answer = bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 });
  await held.promise;
  await stop();
  bus.server.serve(echo, served, () => ({ text: 'from the next' }));
  assert.is((await answer).text, 'from the next');
});

test('who holds an answer and falls silent is asked again', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  const silenced = answersLate(bus.serverConnection, () => (asked === 1 ? Number.POSITIVE_INFINITY : 0));
  const server = createBus({ connection: silenced, envelopes: bus.serverEnvelopes });
  server.serve(echo, { ...served, holds: true }, async () => {
    asked += 1;
    await sleep(20);
    return { text: `answer ${asked}` };
  });
  const answer = await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 });
  assert.is(answer.text, 'answer 2');
});

test('what was asked again while it was held is answered once', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  let said = 0;
  const twice = Promise.withResolvers<void>();
  const outcome = Promise.withResolvers<{ text: string }>();
  const hardOfHearing = answersLate(bus.serverConnection, () => (++said <= 2 ? Number.POSITIVE_INFINITY : 0));
  const server = createBus({ connection: hardOfHearing, envelopes: bus.serverEnvelopes });
  server.serve(echo, { ...served, holds: true }, () => {
    if (++asked === 2) twice.resolve();
    return outcome.promise;
  });
  const answer = bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 });
  await twice.promise;
  const before = said;
  outcome.resolve({ text: 'at last' });
  assert.is((await answer).text, 'at last');
  assert.is(said, before + 1);
});

test('an answer that was long under way after it was sealed is not read, however long it was held before', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  let said = 0;
  // The first word is that it is held; the answer to the first question lies in the buffer of a worker that stands still.
  const paused = answersLate(bus.serverConnection, () => (++said === 2 ? 400 : 0));
  const server = createBus({ connection: paused, envelopes: bus.serverEnvelopes });
  server.serve(echo, { ...served, holds: true }, async () => {
    asked += 1;
    if (asked === 1) await sleep(600);
    return { text: `answer ${asked}` };
  });
  const answer = await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 });
  assert.is(answer.text, 'answer 2');
});

test('an answer may be under way for as long as it says that it is good, and no longer', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  let goodMs = 2000;
  const paused = answersLate(bus.serverConnection, () => (asked % 2 === 1 ? 400 : 0));
  const server = createBus({ connection: paused, envelopes: bus.serverEnvelopes });
  for (const holds of [false, true]) {
    const stop = server.serve(echo, { ...served, holds, goodForMs: () => goodMs }, () => ({
      text: `answer ${++asked}`,
    }));
    const ask = () => bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 });
    [asked, goodMs] = [0, 2000];
    assert.is((await ask()).text, 'answer 1');
    [asked, goodMs] = [0, 300];
    assert.is((await ask()).text, 'answer 2');
    [asked, goodMs] = [0, -50];
    assert.instance(
      await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 700 })),
      DeadlineExceededError,
      'the lease had run out',
    );
    await stop();
  }
});

test('what a refusal is good for is told as well', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  const paused = answersLate(bus.serverConnection, () => (asked === 1 ? 400 : 0));
  const server = createBus({ connection: paused, envelopes: bus.serverEnvelopes });
  server.serve(echo, { ...served, goodForMs: () => 300 }, ({ text }) => {
    if (++asked === 1) throw new RefusedError('conflict', 'it was used before');
    return { text };
  });
  assert.is((await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 10_000 })).text, 'x');
});

test.run();
