import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTurns } from '../../schemas/turns.ts';

const test = suite('turns');

function spend(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('what comes alone is done at once', () => {
  const turns = createTurns({ turnMs: 5, maxWaitMs: 1000 });
  let done = false;
  turns.take(() => {
    done = true;
  });
  assert.ok(done);
});

test('a flood is done in its order, and the rest of the process has its turns between', async () => {
  const turns = createTurns({ turnMs: 5, maxWaitMs: 60_000 });
  const done: number[] = [];
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  for (let index = 0; index < 100; index++)
    turns.take(() => {
      spend(1);
      done.push(index);
    });
  assert.ok(done.length < 50, `${done.length} were done before anything else`);
  await turns.taken();
  clearInterval(timer);
  assert.equal(
    done,
    Array.from({ length: 100 }, (_, index) => index),
  );
  assert.ok(ticks >= 5, `${ticks} ticks of a timer meanwhile`);
});

test('what waited too long is not done, and what comes after it is', async () => {
  const turns = createTurns({ turnMs: 5, maxWaitMs: 50 });
  const done: string[] = [];
  turns.take(() => spend(10));
  turns.take(() => spend(100));
  turns.take(() => done.push('given up'));
  await turns.taken();
  await sleep(1);
  turns.take(() => done.push('new'));
  assert.equal(done, ['new']);
});

test('what was taken before is waited for, and what goes on coming is not', async () => {
  const turns = createTurns({ turnMs: 5, maxWaitMs: 60_000 });
  let over = false;
  const more = () => {
    spend(2);
    if (!over) turns.take(more);
  };
  for (let index = 0; index < 10; index++) turns.take(more);
  await turns.taken();
  over = true;
});

test.run();
