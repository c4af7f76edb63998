import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bootIdSchema,
  claimIdSchema,
  commandIdSchema,
  createBootId,
  createClaimId,
  createCommandId,
  createEventId,
  createInstanceId,
  derivedId,
  eventIdSchema,
  grantIdSchema,
  instanceIdSchema,
  legIdOf,
  principalKeySchema,
  sessionIdOf,
  sessionIdSchema,
  userIdSchema,
} from '../../schemas/ids.ts';

const test = suite('ids');

const random = [
  ['boot', createBootId, bootIdSchema],
  ['cmd', createCommandId, commandIdSchema],
  ['evt', createEventId, eventIdSchema],
  ['clm', createClaimId, claimIdSchema],
  ['ins', createInstanceId, instanceIdSchema],
] as const;

const derived = [
  ['usr', userIdSchema],
  ['pri', principalKeySchema],
  ['ses', sessionIdSchema],
  ['grt', grantIdSchema],
] as const;

for (const [prefix, create, schema] of random) {
  test(`${prefix}_: prefix and 128 random bits, and none comes twice`, () => {
    // More than one fill of the pool that the random bytes come from.
    const made = Array.from({ length: 600 }, create);
    assert.is(new Set(made).size, made.length);
    for (const id of made) {
      assert.match(id, new RegExp(`^${prefix}_[A-Za-z0-9_-]{22}$`));
      assert.is(schema.parse(id), id);
      assert.is(Buffer.from(id.slice(prefix.length + 1), 'base64url').length, 16);
    }
  });

  test(`${prefix}_: another prefix, length or alphabet is refused`, () => {
    const id = create();
    for (const wrong of [`x${id}`, id.slice(0, -1), `${id}A`, `${id}\n`, `${id.slice(0, -1)}.`, ''])
      assert.not(schema.safeParse(wrong).success, JSON.stringify(wrong));
  });
}

for (const [prefix, schema] of derived) {
  test(`${prefix}_: 192 bits of a digest`, () => {
    const digest = createHash('sha256').update('somebody').digest();
    const id = derivedId(prefix, digest);
    assert.is(schema.parse(id), id);
    assert.equal(Buffer.from(id.slice(4), 'base64url'), digest.subarray(0, 24));
    assert.not(schema.safeParse(createCommandId()).success);
    assert.not(schema.safeParse(id.slice(0, -1)).success);
  });
}

test('a session id is the same for the same grant for ever, and does not contain it', () => {
  assert.is(sessionIdOf('grant-of-somebody-01'), 'ses_88SZtdb2Gma_PzPxMwVVZ5pPI4gf98fh');
  assert.is.not(sessionIdOf('grant-of-somebody-01'), sessionIdOf('grant-of-somebody-02'));
});

test('a leg id has 12 characters and is the same for the same state', () => {
  assert.is(legIdOf('state-1'), legIdOf('state-1'));
  assert.is.not(legIdOf('state-1'), legIdOf('state-2'));
  assert.match(legIdOf('state-1'), /^[A-Za-z0-9_-]{12}$/);
});

test.run();
