import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { partitionOf, realmOf } from '../../schemas/identity.ts';

const test = suite('identity');

test('a principal stays in its partition for ever: the log is laid out by it', () => {
  const pinned = [
    ['https://issuer.example', 'alice', 42],
    ['https://issuer.example', 'bob', 58],
    ['urn:latchkey:realm:ins_0123456789012345678901', 'usr_01234567890123456789012345678901', 32],
    ['i', 'é', 55],
  ] as const;
  assert.equal(
    pinned.map(([iss, sub]) => partitionOf({ iss, sub }, 64)),
    pinned.map(([, , partition]) => partition),
  );
});

test('every principal has one partition below the number of partitions', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.string({ minLength: 1 }),
      fc.integer({ min: 1, max: 4096 }),
      (iss, sub, n) => {
        const partition = partitionOf({ iss, sub }, n);
        return Number.isInteger(partition) && partition >= 0 && partition < n;
      },
    ),
  );
});

test('principals spread over all partitions', () => {
  const seen = new Set(
    Array.from({ length: 2000 }, (_, n) =>
      partitionOf({ iss: 'https://issuer.example', sub: `user-${n}` }, 64),
    ),
  );
  assert.is(seen.size, 64);
});

test('where iss ends and sub begins makes a difference', () => {
  assert.is.not(partitionOf({ iss: 'a', sub: 'bc' }, 2 ** 31), partitionOf({ iss: 'ab', sub: 'c' }, 2 ** 31));
});

test('the realm names the instance and no host', () => {
  assert.is(realmOf('ins_x'), 'urn:latchkey:realm:ins_x');
});

test.run();
