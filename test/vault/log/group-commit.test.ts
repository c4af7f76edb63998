import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createGroupCommit } from '../../../vault/log/group-commit.ts';

const test = suite('group-commit');

/** A store that keeps what it is given when the test says so, and refuses what begins with an exclamation mark. */
function openStore({ maxMessages = 900 } = {}) {
  const batches: { messages: readonly string[]; answer: PromiseWithResolvers<void> }[] = [];
  const stored: string[] = [];
  const group = createGroupCommit<string>({
    async store(messages) {
      const answer = Promise.withResolvers<void>();
      batches.push({ messages, answer });
      await answer.promise;
      if (messages.some((message) => message.startsWith('!'))) throw new Error('refused');
      stored.push(...messages);
      return stored.length;
    },
    isRefusalOfOne: (error) => (error as Error).message === 'refused',
    maxMessages,
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (error?: Error) => {
    for (const { answer } of batches) {
      if (error) answer.reject(error);
      else answer.resolve();
    }
    await turn();
  };
  return { batches, stored, group, turn, end };
}

test('what comes in one turn, or while a batch is under way, goes into one batch, and each part learns its own place', async () => {
  const { batches, stored, group, turn, end } = openStore();
  const parts = [['a1', 'a2'], ['b']].map((part) => group.commit(part));
  assert.equal(batches, []);
  await turn();
  parts.push(...[['c'], ['d1', 'd2'], ['e']].map((part) => group.commit(part)));
  await turn();
  assert.is(batches.length, 1);
  await end();
  await end();
  assert.equal(
    batches.map(({ messages }) => messages),
    [
      ['a1', 'a2', 'b'],
      ['c', 'd1', 'd2', 'e'],
    ],
  );
  assert.equal(await Promise.all(parts), [1, 3, 4, 5, 7]);
  assert.equal(stored, ['a1', 'a2', 'b', 'c', 'd1', 'd2', 'e']);
});

test('of a batch in which one is refused the others are stored by themselves', async () => {
  const { group, stored, end } = openStore();
  const [first, bad, good] = [group.commit(['a']), group.commit(['!b']), group.commit(['c1', 'c2'])];
  const refusal = bad!.catch((error) => error.message);
  for (let step = 0; step < 4; step++) await end();
  assert.is(await refusal, 'refused');
  assert.equal([await first, await good], [1, 2]);
  assert.equal(stored, ['a', 'c1', 'c2']);
});

test('an outcome that nobody knows is nobody\u2019s outcome, and the next batch goes on', async () => {
  const { group, batches, turn, end } = openStore();
  void group.commit(['a']);
  await turn();
  const unknown = [group.commit(['b']), group.commit(['c'])].map((one) =>
    one.catch((error) => error.message),
  );
  await end();
  await end(new Error('no answer'));
  assert.equal(await Promise.all(unknown), ['no answer', 'no answer']);
  const later = group.commit(['d']);
  await turn();
  await end();
  assert.is(await later, 2);
  assert.is(batches.length, 3);
});

test('a batch takes no more than fits, but always one part', async () => {
  const { group, batches, end } = openStore({ maxMessages: 3 });
  const parts = [['a'], ['b1', 'b2'], ['c1', 'c2'], ['d1', 'd2', 'd3', 'd4']].map((part) =>
    group.commit(part),
  );
  for (let step = 0; step < 5; step++) await end();
  assert.equal(
    batches.map(({ messages }) => messages.length),
    [3, 2, 4],
  );
  assert.equal(await Promise.all(parts), [1, 2, 4, 6]);
});

test.run();
