import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../schemas/failure.ts';
import { createCommandMemory } from '../../vault/command-memory.ts';

const test = suite('command-memory');

test('a repetition joins the work that is under way, and gets the outcome of the first', async () => {
  const commands = createCommandMemory();
  let times = 0;
  const work = async () => {
    times += 1;
    await sleep(20);
    return times;
  };
  const both = await Promise.all([commands.once('cmd_a', work), commands.once('cmd_a', work)]);
  assert.equal(both, [1, 1]);
  assert.is(await commands.once('cmd_a', work), 1);
  assert.is(await commands.once('cmd_b', work), 2);
});

test('work that takes longer than an outcome is kept is joined all the same', async () => {
  const commands = createCommandMemory({ keepMs: 5 });
  let times = 0;
  const work = async () => {
    times += 1;
    await sleep(60);
  };
  const first = commands.once('cmd_a', work);
  await sleep(30);
  await commands.once('cmd_a', work);
  await first;
  assert.is(times, 1);
});

test('a final refusal is remembered; what may be tried again is', async () => {
  const commands = createCommandMemory();
  const failures = [
    new RefusedError('conflict', 'used before'),
    new RefusedError('unavailable', 'away'),
    new Error('broken'),
  ];
  const times = failures.map(() => 0);
  for (const [index, failure] of failures.entries()) {
    const work = () => {
      times[index]! += 1;
      return Promise.reject(failure);
    };
    for (let attempt = 0; attempt < 2; attempt++)
      assert.is(await commands.once(`cmd_${index}`, work).catch((caught) => caught), failure);
  }
  assert.equal(times, [1, 2, 2]);
});

test('settled when no work runs any more, whatever came of it', async () => {
  const commands = createCommandMemory();
  await commands.settled();
  let done = 0;
  const work = async () => {
    await sleep(20);
    done += 1;
  };
  void commands.once('cmd_a', work);
  commands
    .once('cmd_b', async () => {
      await work();
      throw new Error('broken');
    })
    .catch(() => {});
  await commands.settled();
  assert.is(done, 2);
});

test.run();
