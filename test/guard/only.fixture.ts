import { test } from 'uvu';

test.only('runs', () => {});
test('is left out', () => {});

test.run();
