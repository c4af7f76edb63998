import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { pending } from '../../../schemas/held-answers.ts';
import { createCommandMemory } from '../../../workers/provider-worker/command-memory.ts';

const test = suite('command-memory');
const first = 'cmd_AAAAAAAAAAAAAAAAAAAAAA';
const second = 'cmd_BBBBBBBBBBBBBBBBBBBBBB';

test('a command is done once, and each attempt gets its outcome', async () => {
  const memory = createCommandMemory<number>();
  let done = 0;
  const work = async () => ++done;
  assert.equal(await Promise.all([memory.run(first, work), memory.run(first, work)]), [1, 1]);
  assert.is(await memory.run(first, work), 1);
  assert.is(await memory.run(second, work), 2);
  assert.ok(memory.has(first));
});

test('a refusal is an outcome as well', async () => {
  const memory = createCommandMemory<number>();
  let done = 0;
  const work = async () => {
    done++;
    throw new RefusedError('upstream-refused', 'no');
  };
  for (let attempt = 0; attempt < 2; attempt++)
    await memory.run(first, work).then(
      () => assert.unreachable(),
      (error) => assert.is(error.code, 'upstream-refused'),
    );
  assert.is(done, 1);
});

test('long work is pending, and goes on', async () => {
  const memory = createCommandMemory<string>();
  const work = Promise.withResolvers<string>();
  assert.is(await memory.run(first, () => work.promise), pending);
  work.resolve('done');
  assert.is(await memory.run(first, () => assert.unreachable() as never), 'done');
});

test('an outcome is forgotten after its time', async () => {
  const memory = createCommandMemory<number>({ keepMs: 20 });
  await memory.run(first, async () => 1);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.not(memory.has(first));
});

test('it is settled when the work is done and its outcome was fetched', async () => {
  const memory = createCommandMemory<string>({ fetchMs: 10_000 });
  const work = Promise.withResolvers<string>();
  assert.is(await memory.run(first, () => work.promise), pending);
  let settled = false;
  const settling = memory.settled().then(() => {
    settled = true;
  });
  work.resolve('done');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.not(settled);
  await memory.run(first, () => assert.unreachable() as never);
  await settling;
  assert.ok(settled);
});

test.run();
