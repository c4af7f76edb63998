import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDoor } from '../../../workers/vault-worker/door.ts';

const test = suite('door');

test('what comes before it opens waits, and is done then; what comes after is done at once', async () => {
  const door = createDoor();
  const done: string[] = [];
  const work = (name: string) => () => {
    done.push(name);
    return name;
  };
  const waiting = [door.pass(work('first')), door.pass(async () => work('second')())];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done, []);
  door.open();
  assert.is(door.pass(work('third')), 'third');
  assert.equal(await Promise.all(waiting), ['first', 'second']);
});

test('what fails, fails for who asked', async () => {
  const door = createDoor();
  const failing = Promise.resolve(
    door.pass(() => {
      throw new Error('no');
    }),
  );
  door.open();
  assert.is(await failing.catch((error) => (error as Error).message), 'no');
});

test('a door that is closed refuses who waits, and who comes, and does nothing for them', async () => {
  const door = createDoor();
  let done = 0;
  const work = () => (done += 1);
  const waiting = Promise.resolve(door.pass(work));
  door.close();
  const refusal = await waiting.catch((error) => error);
  assert.equal([refusal.code, refusal.retryable], ['not-owner', true]);
  assert.throws(
    () => door.pass(work),
    (error: { code?: string }) => error.code === 'not-owner',
  );
  assert.is(done, 0);
});

test('many who waited do not keep everything else from its turn', async () => {
  const door = createDoor();
  const busyMs = 1;
  const waiting = Array.from({ length: 200 }, () =>
    door.pass(() => {
      for (const until = performance.now() + busyMs; performance.now() < until; );
    }),
  );
  door.open();
  let turns = 0;
  let over = false;
  const others = (async () => {
    for (; !over; turns++) await new Promise((resolve) => setImmediate(resolve));
  })();
  await Promise.all(waiting);
  over = true;
  await others;
  assert.ok(turns >= 10, `${turns} turns of others`);
});

test.run();
