import { test } from 'uvu';

test.before(() => {
  throw new Error('before');
});
test('is not reached', () => {});

test.run();
