import { test } from 'uvu';

test('throws what is no Error', () => {
  throw 'a string';
});

test.run();
