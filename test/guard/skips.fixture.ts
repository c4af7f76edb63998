import { test } from 'uvu';

test('runs', () => {});
test.skip('is skipped', () => {});

test.run();
