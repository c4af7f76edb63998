import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  firstKeySet,
  type NewSigningKey,
  rotatableFrom,
  rotate,
  type SigningKeySet,
  shownBeforeMs,
  signingKeySetSchema,
  withNextKey,
} from '../../../vault/signing/signing-key-set.ts';

const test = suite('signing key set');

const key = (kid: string): NewSigningKey => ({
  kid,
  jwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' },
});
const statesOf = (keys: SigningKeySet) => keys.map(({ kid, state }) => `${kid} ${state}`);

test('the next key was shown before it signs, and the one before is shown after it', () => {
  const first = firstKeySet(key('a'), key('b'), 1000);
  assert.equal(statesOf(first), ['a current', 'b next']);
  const second = rotate(first, { at: 2000, keptMs: 3600, fresh: key('c') });
  assert.equal(statesOf(second), ['b current', 'c next', 'a previous']);
  const third = rotate(second, { at: 9000, keptMs: 3600, fresh: key('d') });
  assert.equal(statesOf(third), ['c current', 'd next', 'b previous']);
});

test('a key stays as long as a token of it may be valid, however often keys are rotated', () => {
  let keys = firstKeySet(key('a'), key('b'), 0);
  keys = rotate(keys, { at: 1000, keptMs: 3600, fresh: key('c') });
  keys = rotate(keys, { at: 1100, keptMs: 3600, fresh: key('d') });
  assert.equal(statesOf(keys), ['c current', 'd next', 'b previous', 'a previous']);
  keys = rotate(keys, { at: 4600, keptMs: 3600, fresh: key('e') });
  assert.equal(statesOf(keys), ['d current', 'e next', 'c previous', 'b previous']);
});

test('the next key may sign ten minutes after it was shown first', () => {
  const keys = rotate(firstKeySet(key('a'), key('b'), 0), { at: 5000, keptMs: 1, fresh: key('c') });
  assert.is(rotatableFrom(keys), 5000 + shownBeforeMs);
});

test('a single key of an older version gets a next one, and a set that has one stays as it is', () => {
  const old = signingKeySetSchema.parse([key('a')]);
  const complete = withNextKey(old, key('b'), 7000)!;
  assert.equal(statesOf(complete), ['a current', 'b next']);
  assert.is(complete[0]!.since, 7000);
  assert.is(withNextKey(complete, key('c'), 8000), null);
});

test.run();
