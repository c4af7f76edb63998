import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createReplayWindow } from '../../schemas/replay-window.ts';

const test = suite('replay-window');

/** The same promise with a Set that forgets nothing. */
function createModel(size: number) {
  const seen = new Set<number>();
  let highest = 0;
  return {
    accept(counter: number): boolean {
      if (counter < 1 || counter <= highest - size || seen.has(counter)) return false;
      seen.add(counter);
      highest = Math.max(highest, counter);
      return true;
    },
  };
}

/** Small steps, gaps of about a window, and far jumps. */
const walks = fc
  .array(
    fc.oneof(
      fc.integer({ min: -20, max: 20 }),
      fc.integer({ min: -3, max: 40 }),
      fc.constantFrom(0, 1, 7, 8, 9, 16, 17, 100, 2 ** 33),
    ),
    { maxLength: 200 },
  )
  .map((steps) => {
    let at = 1;
    return steps.map((step) => {
      at = Math.max(-2, at + step);
      return at;
    });
  });

test('accepts exactly what a set that forgets nothing would, within the window', () => {
  fc.assert(
    fc.property(walks, fc.constantFrom(1, 2, 8, 16), (counters, size) => {
      const window = createReplayWindow(size);
      const model = createModel(size);
      for (const counter of counters) assert.is(window.accept(counter), model.accept(counter), `${counter}`);
    }),
    { numRuns: 500 },
  );
});

test('no counter is accepted twice, whatever comes in between', () => {
  fc.assert(
    fc.property(walks, (counters) => {
      const window = createReplayWindow(16);
      const accepted = counters.filter((counter) => window.accept(counter));
      assert.is(new Set(accepted).size, accepted.length);
    }),
    { numRuns: 300 },
  );
});

test('counters of one sender in order are all accepted', () => {
  const window = createReplayWindow();
  for (let counter = 1; counter <= 40_000; counter++) assert.ok(window.accept(counter));
});

test('late counters are accepted as far back as the window reaches', () => {
  const window = createReplayWindow(8);
  assert.ok(window.accept(20));
  assert.ok(window.accept(13));
  assert.not(window.accept(12));
  assert.not(window.accept(13));
});

test.run();
