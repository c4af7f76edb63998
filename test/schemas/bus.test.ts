import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { served as serving } from '../../schemas/bus.ts';
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { pending } from '../../schemas/held-answers.ts';
import { createBootId, createCommandId } from '../../schemas/ids.ts';
import { defineOperation } from '../../schemas/messages/operation.ts';
import { createSealedEnvelopes, type SealedEnvelopeError } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { createTestKeys } from '../world/role-keys.ts';
import { echo, failureOf, openTestBus, served, subject, target } from './test-bus.ts';

const test = suite('bus');

test('a request gets its answer; secrets arrive as secrets, and nothing is in clear on the wire', async () => {
  await using bus = await openTestBus({ spy: true });
  const commandId = createCommandId();
  bus.server.serve(echo, served, ({ text, token }, context) => {
    assert.is(context.commandId, commandId);
    assert.is(context.subject, subject);
    assert.ok(context.remainingMs > 0 && context.remainingMs <= 2000);
    return { text: `${text}-answer`, token: new Secret(`${token!.reveal()}-back`) };
  });
  const request = { text: 'clear-text', token: new Secret('clear-token') };
  const answer = await bus.client.request(echo, target, request, { timeoutMs: 2000, commandId });
  assert.is(answer.text, 'clear-text-answer');
  assert.is(answer.token!.reveal(), 'clear-token-back');
  assert.equal(bus.problems, []);

  const heard = await bus.heard();
  assert.ok(heard.length >= 2, 'the request and the reply were seen');
  const wire = Buffer.concat(heard);
  assert.ok(wire.includes(subject));
  for (const clear of ['clear-text', 'clear-token', commandId, '"ok"'])
    assert.not(wire.includes(clear), `${clear} is on the wire`);
});

test('a refusal is one at once, with its code and message', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  bus.server.serve(echo, served, () => {
    asked += 1;
    throw new RefusedError('conflict', 'it was used before');
  });
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 }));
  assert.instance(error, RefusedError);
  assert.is((error as RefusedError).code, 'conflict');
  assert.is((error as RefusedError).message, 'it was used before');
  assert.is((error as RefusedError).retryable, false);
  assert.is(asked, 1);
  assert.equal(bus.problems, []);
});

test('many operations are served by one subscription, each by its own handler', async () => {
  await using bus = await openTestBus();
  const ping = { ...echo, name: 'ping' };
  bus.server.serveAll({ ...served, subject: subject.replace(/[^.]+$/, '*') }, [
    serving(echo, ({ text }) => ({ text: `echo ${text}` })),
    serving(ping, ({ text }) => ({ text: `ping ${text}` })),
  ]);
  const ask = (name: string) => {
    const one = { ...target, subject: subject.replace(/[^.]+$/, name) };
    return bus.client.request(echo, one, { text: 'x' }, { timeoutMs: 3000 });
  };
  assert.is((await ask('echo')).text, 'echo x');
  assert.is((await ask('ping')).text, 'ping x');
  const unknown = await failureOf(ask('other'));
  assert.instance(unknown, RefusedError);
  assert.is((unknown as RefusedError).code, 'invalid-request');
});

test('a retryable refusal is repeated with the same command id until it is answered', async () => {
  await using bus = await openTestBus();
  const ids: string[] = [];
  bus.server.serve(echo, served, ({ text }, { commandId }) => {
    ids.push(commandId);
    if (ids.length < 3) throw new RefusedError('unavailable', 'not yet', { retryAfterMs: 20 });
    return { text };
  });
  assert.is((await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 })).text, 'x');
  assert.is(ids.length, 3);
  assert.is(new Set(ids).size, 1);
});

test('a retryable refusal to the end is that refusal: nothing was done', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, served, () => {
    throw new RefusedError('not-owner', 'not mine', { retryAfterMs: 60_000 });
  });
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 400 }));
  assert.instance(error, RefusedError);
  assert.is((error as RefusedError).code, 'not-owner');
  assert.is((error as RefusedError).retryable, true);
  assert.is((error as RefusedError).retryAfterMs, 60_000);
});

test('refused again and again, a requester asks less and less often', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  bus.server.serve(echo, served, () => {
    asked += 1;
    throw new RefusedError('not-owner', 'not mine yet');
  });
  await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 3000 }));
  // Every 40 ms it would be about 100 times.
  assert.ok(asked > 3 && asked < 45, `asked ${asked} times`);
});

test('still pending at the deadline: whether it was done is unknown', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, served, () => pending);
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 300 }));
  assert.instance(error, DeadlineExceededError);
});

test('nobody there: no responders, at the end of the time or at once', async () => {
  await using bus = await openTestBus();
  const patient = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 300 }));
  assert.instance(patient, NoRespondersError);
  const options = { timeoutMs: 60_000, failUnheard: true };
  const hasty = await failureOf(bus.client.request(echo, target, { text: 'x' }, options));
  assert.instance(hasty, NoRespondersError);
});

test('somebody who comes within the time is waited for', async () => {
  await using bus = await openTestBus();
  const answer = bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 5000 });
  await sleep(200);
  bus.server.serve(echo, served, ({ text }) => ({ text }));
  assert.is((await answer).text, 'x');
});

test('nobody there after one who heard it and was silent: unknown, not undone', async () => {
  await using bus = await openTestBus();
  const silent = bus.serverConnection.subscribe(subject);
  await bus.serverConnection.flush();
  const request = bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 900, failUnheard: true });
  const failure = failureOf(request);
  for await (const _ of silent) break;
  assert.instance(await failure, DeadlineExceededError);
});

test('silence is a deadline exceeded, and who is silent is not asked again within a second', async () => {
  await using bus = await openTestBus();
  let heard = 0;
  bus.serverConnection.subscribe(subject, { callback: () => (heard += 1) });
  await bus.serverConnection.flush();
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 2500 }));
  assert.instance(error, DeadlineExceededError);
  assert.ok(heard >= 2 && heard <= 3, `${heard} attempts`);
});

test('a late answer to an earlier attempt is never read', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  bus.server.serve(echo, served, async () => {
    asked += 1;
    if (asked > 1) return pending;
    // Long after the first attempt was given up, and while the second one waits.
    await sleep(1200);
    return { text: 'an answer of the past' };
  });
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 1600 }));
  assert.instance(error, DeadlineExceededError);
  assert.ok(asked > 1);
});

test('what does not fit the schema is refused with the name of the field, and the handler not called', async () => {
  await using bus = await openTestBus();
  let called = false;
  bus.server.serve(echo, served, () => {
    called = true;
    return { text: '' };
  });
  const unchecked = defineOperation('echo', z.any(), echo.response);
  const request = { text: { clear: 'clear-value' } };
  const error = await failureOf(bus.client.request(unchecked, target, request, { timeoutMs: 2000 }));
  assert.instance(error, RefusedError);
  assert.is((error as RefusedError).code, 'invalid-request');
  assert.match((error as RefusedError).message, /echo: text/);
  assert.not.match((error as RefusedError).message, /clear-value/);
  assert.not(called);
});

test('a handler that breaks is told as internal, without its message', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, served, () => {
    throw new Error('clear-secret in the message');
  });
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 2000 }));
  assert.is((error as RefusedError).code, 'internal');
  assert.is((error as RefusedError).retryable, false);
  assert.not.match((error as RefusedError).message, /clear-secret/);
  assert.is(bus.problems.length, 1);
  assert.match(String(bus.problems[0]!.error), /clear-secret/);
});

test('a tampered, foreign or replayed message is not answered, and reported', async () => {
  await using bus = await openTestBus({ spy: true });
  let called = 0;
  bus.server.serve(echo, served, ({ text }) => {
    called += 1;
    return { text };
  });
  await bus.serverConnection.flush();
  await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 2000 });
  const requests = (await bus.heard())
    .map((message) => message.toString('latin1'))
    .filter((text) => text.startsWith(subject));
  const true_ = Buffer.from(requests[0]!.slice(requests[0]!.indexOf('\n') + 1), 'latin1');
  const tampered = Buffer.from(true_);
  tampered[tampered.length - 1]! ^= 1;
  const stranger = createSealedEnvelopes({
    keys: createTestKeys().of('gateway'),
    bootId: createBootId(),
    now: Date.now,
  });
  const foreign = stranger.sealRequest('gateway-vault', subject, Buffer.from('{}')).bytes;
  for (const data of [true_, tampered, foreign, Buffer.from('not sealed'), Buffer.alloc(0)]) {
    const answer = await failureOf(bus.clientConnection.request(subject, data, { timeout: 60 }));
    assert.is((answer as { code: string }).code, 'TIMEOUT');
  }
  assert.is(called, 1);
  assert.equal(
    bus.problems.map(({ error }) => (error as SealedEnvelopeError).code),
    ['replayed', 'not-authentic', 'not-authentic', 'malformed', 'malformed'],
  );
});

test('a sealed message that is no request frame is not answered, and reported', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, served, ({ text }) => ({ text }));
  await bus.serverConnection.flush();
  const gateway = createSealedEnvelopes({
    keys: bus.keys.of('gateway'),
    bootId: createBootId(),
    now: Date.now,
  });
  for (const body of ['no json', '{}', JSON.stringify({ id: 'not a command id', left: 5, body: {} })]) {
    const { bytes } = gateway.sealRequest('gateway-vault', subject, Buffer.from(body));
    const answer = await failureOf(bus.clientConnection.request(subject, bytes, { timeout: 60 }));
    assert.is((answer as { code: string }).code, 'TIMEOUT');
  }
  for (let wait = 0; bus.problems.length < 3 && wait < 250; wait++) await sleep(20);
  assert.is(bus.problems.length, 3);
});

test('an answer that cannot be opened is no answer, and is not asked for in a tight loop', async () => {
  await using bus = await openTestBus();
  let heard = 0;
  bus.serverConnection.subscribe(subject, {
    callback: (_, message) => {
      heard += 1;
      message.respond(Buffer.from('forged'));
    },
  });
  await bus.serverConnection.flush();
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 500 }));
  assert.instance(error, DeadlineExceededError);
  assert.ok(heard >= 2 && heard <= 20, `${heard} attempts`);
});

test('of several workers of one queue one answers', async () => {
  await using bus = await openTestBus();
  let asked = 0;
  for (let worker = 0; worker < 3; worker++)
    bus.server.serve(echo, served, ({ text }) => {
      asked += 1;
      return { text };
    });
  for (let n = 0; n < 10; n++) await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 2000 });
  assert.is(asked, 10);
});

test('who stops answers what is under way and takes nothing new', async () => {
  await using bus = await openTestBus();
  let begun = () => {};
  const started = new Promise<void>((resolve) => (begun = resolve));
  let done = false;
  const stop = bus.server.serve(echo, served, async ({ text }) => {
    begun();
    await sleep(150);
    done = true;
    return { text };
  });
  const answer = bus.client.request(echo, target, { text: 'the last one' }, { timeoutMs: 2000 });
  await started;
  await stop();
  assert.ok(done, 'it stopped before the answer was there');
  assert.is((await answer).text, 'the last one');
  const options = { timeoutMs: 2000, failUnheard: true };
  assert.instance(
    await failureOf(bus.client.request(echo, target, { text: 'x' }, options)),
    NoRespondersError,
  );
});

test('a NATS that went away is a deadline exceeded, and the request works when it is back', async () => {
  await using bus = await openTestBus();
  bus.server.serve(echo, served, ({ text }) => ({ text }));
  await bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 2000 });
  await bus.nats.kill();
  const error = await failureOf(bus.client.request(echo, target, { text: 'x' }, { timeoutMs: 600 }));
  assert.instance(error, DeadlineExceededError);
  await bus.nats.start();
  assert.is((await bus.client.request(echo, target, { text: 'again' }, { timeoutMs: 10_000 })).text, 'again');
});

test.run();
