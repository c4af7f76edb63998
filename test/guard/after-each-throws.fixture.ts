import { test } from 'uvu';

test.after.each(() => {
  throw new Error('after.each');
});
test('passes', () => {});

test.run();
