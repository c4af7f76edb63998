import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDerivedValues } from '../../../gateway/chain/derived-values.ts';

test('a CSRF token is good for one interaction, also after a newer key was put in front', () => {
  const old = randomBytes(32);
  const token = createDerivedValues([old]).csrfTokenOf('uid-1');
  const rotated = createDerivedValues([randomBytes(32), old]);
  assert.ok(rotated.isCsrfTokenOf('uid-1', token));
  assert.not.ok(rotated.isCsrfTokenOf('uid-2', token));
  assert.not.ok(createDerivedValues([randomBytes(32)]).isCsrfTokenOf('uid-1', token));
  for (const forged of ['', 'x', `${token}x`.repeat(2)])
    assert.not.ok(rotated.isCsrfTokenOf('uid-1', forged));
});

test('the grant of an interaction has the same id at every gateway, and another purpose than the token', () => {
  const keys = [randomBytes(32)];
  const { grantIdOf, csrfTokenOf } = createDerivedValues(keys);
  assert.is(grantIdOf('uid-1'), createDerivedValues(keys).grantIdOf('uid-1'));
  assert.is.not(grantIdOf('uid-1'), grantIdOf('uid-2'));
  assert.is.not(grantIdOf('uid-1'), csrfTokenOf('uid-1'));
});

test.run();
