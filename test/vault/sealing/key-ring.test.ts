import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInstanceId } from '../../../schemas/ids.ts';
import { VaultError } from '../../../vault/errors.ts';
import {
  createKeyRingFile,
  type KeyRingFile,
  keyRingFileSchema,
  openKeyRing,
} from '../../../vault/sealing/key-ring.ts';

const test = suite('key-ring');
const clear = Buffer.from('clear-data-key');

function refused(code: VaultError['code'], work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.instance(error, VaultError);
    assert.is((error as VaultError).code, code);
    assert.not.match(inspect(error), /clear-data-key/);
    return;
  }
  assert.unreachable(`was not refused as ${code}`);
}

/** The same ring with one more key, which seals from now on. */
function withNewKey(ring: KeyRingFile): KeyRingFile {
  const added = createKeyRingFile(ring.instanceId);
  return { ...ring, current: added.current, keys: [...ring.keys, ...added.keys] };
}

test('what is sealed opens under its context only', () => {
  const ring = openKeyRing(createKeyRingFile(createInstanceId()));
  const sealed = ring.seal('data-key pri_a', clear);
  assert.equal(ring.open('data-key pri_a', sealed), clear);
  assert.is(sealed.indexOf('clear'), -1);
  assert.is.not(ring.seal('data-key pri_a', clear).toString('hex'), sealed.toString('hex'));
  refused('sealed-value-invalid', () => ring.open('data-key pri_b', sealed));
});

test('a changed, cut off or longer value does not open', () => {
  const ring = openKeyRing(createKeyRingFile(createInstanceId()));
  const sealed = ring.seal('a', clear);
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    assert.throws(
      () => ring.open('a', changed),
      (error: unknown) => error instanceof VaultError,
    );
    assert.throws(
      () => ring.open('a', sealed.subarray(0, at)),
      (error: unknown) => error instanceof VaultError,
    );
  }
  refused('sealed-value-invalid', () => ring.open('a', Buffer.concat([sealed, Buffer.alloc(1)])));
});

test('after a change of the current key both open, and the new one seals', () => {
  const first = createKeyRingFile(createInstanceId());
  const old = openKeyRing(first).seal('a', clear);
  const second = withNewKey(first);
  const ring = openKeyRing(second);
  assert.equal(ring.open('a', old), clear);
  const fresh = ring.seal('a', clear);
  assert.equal(ring.open('a', fresh), clear);
  assert.ok(fresh.includes(second.current));
  refused('key-unknown', () => openKeyRing(first).open('a', fresh));
});

test('a key that left the ring is named', () => {
  const first = createKeyRingFile(createInstanceId());
  const old = openKeyRing(first).seal('a', clear);
  const second = withNewKey(first);
  const without = openKeyRing({ ...second, keys: second.keys.filter(({ id }) => id === second.current) });
  try {
    without.open('a', old);
    assert.unreachable();
  } catch (error) {
    assert.is((error as VaultError).code, 'key-unknown');
    assert.match((error as VaultError).message, new RegExp(first.current));
  }
});

test('bytes that were never sealed are not printed', () => {
  const ring = openKeyRing(createKeyRingFile(createInstanceId()));
  refused('key-unknown', () => ring.open('a', Buffer.from('clear-data-key-and-more-of-it')));
});

test('an index is the same after a change of the current key, and another one for another purpose', () => {
  const file = createKeyRingFile(createInstanceId());
  const before = openKeyRing(file).index('user', 'corporate', 'alice');
  assert.equal(openKeyRing(withNewKey(file)).index('user', 'corporate', 'alice'), before);
  const ring = openKeyRing(file);
  assert.not.equal(ring.index('principal', 'corporate', 'alice'), before);
  assert.not.equal(ring.index('user', 'corporatealice'), before);
  assert.not.equal(ring.index('user', 'corporat', 'ealice'), before);
  assert.not.equal(
    openKeyRing(createKeyRingFile(file.instanceId)).index('user', 'corporate', 'alice'),
    before,
  );
});

test('a file that names a current key it has not, or has a short key, is refused', () => {
  const file = createKeyRingFile(createInstanceId());
  assert.ok(keyRingFileSchema.safeParse(file).success);
  const wrong: unknown[] = [
    { ...file, current: 'kek_AAAAAAAAAAA' },
    { ...file, keys: [] },
    { ...file, indexKey: randomBytes(16).toString('base64url') },
    { ...file, format: 'latchkey-key-ring/2' },
    { ...file, extra: true },
    { ...file, instanceId: 'ins_short' },
  ];
  for (const one of wrong) assert.not(keyRingFileSchema.safeParse(one).success, JSON.stringify(one));
});

test.run();
