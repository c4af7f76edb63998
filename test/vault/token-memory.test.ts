import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../schemas/secret.ts';
import { createTokenMemory } from '../../vault/token-memory.ts';

const test = suite('token memory');

function openMemory({ remembered, keep = true }: { remembered?: number; keep?: boolean } = {}) {
  const world = { good: true, asked: 0, fails: false };
  const memory = createTokenMemory<{ of: string }>({
    remembered,
    async find(token) {
      world.asked += 1;
      await null;
      if (world.fails) throw new Error('nobody can say');
      return { known: { of: token.reveal() }, keep };
    },
    isGood: () => world.good,
  });
  return { world, memory, know: (token: string) => memory.know(new Secret(token)) };
}

test('who comes at the same time with one token waits for one finding, and then it is known at once', async () => {
  const { world, know } = openMemory();
  const found = await Promise.all([know('a'), know('a'), know('b')]);
  assert.equal(
    found.map(({ of }) => of),
    ['a', 'a', 'b'],
  );
  assert.is(world.asked, 2);
  assert.is(know('a'), found[0]);
});

test('what is not good any more, or was forgotten, is found out anew', async () => {
  const { world, memory, know } = openMemory();
  await know('a');
  world.good = false;
  await know('a');
  world.good = true;
  memory.forgetAll();
  await know('a');
  assert.is(world.asked, 3);
});

test('what may not be kept, and what failed, is not remembered', async () => {
  const unkept = openMemory({ keep: false });
  await unkept.know('a');
  await unkept.know('a');
  assert.is(unkept.world.asked, 2);
  const failing = openMemory();
  failing.world.fails = true;
  for (let time = 0; time < 2; time++) {
    const error = await Promise.resolve(failing.know('a')).catch((caught) => caught);
    assert.is(error.message, 'nobody can say');
  }
  assert.is(failing.world.asked, 2);
});

test('the oldest gives way', async () => {
  const { world, know } = openMemory({ remembered: 2 });
  for (const token of ['a', 'b', 'c', 'a']) await know(token);
  assert.is(world.asked, 4);
});

test.run();
