/** A form reads what the schema reads, as the schema reads it, or leaves it to the schema. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { compileForm } from '../../../vault/log/json-form.ts';
import { type EventMetadata, eventMetadataSchema } from '../../../vault/log/stored-event.ts';
import { claim, linkId, owner } from '../grant/commands.ts';

const test = suite('json-form');
const id = `evt_${'e'.repeat(22)}`;
const subject = { provider: 'corporate', subjectKey: `sbj_${'s'.repeat(32)}` };
const { grantId, sessionId, principalKey, provider, registration } = owner;

/** In the order of the schema. */
const inForm: EventMetadata[] = [
  {
    ...{ type: 'TokensGranted', id, at: 3, grantId, principalKey, provider, sessionId, registration },
    ...{ version: 2, expiresAt: 5, refreshExpiresAt: null, refreshable: true },
  },
  {
    ...{ type: 'TokensRefreshed', id, at: 3, grantId, principalKey, provider, sessionId: null, registration },
    ...{ version: 2, expiresAt: null, refreshExpiresAt: 7, refreshable: false },
    ...{ startedClaims: [claim(1), claim(2)], forcedAt: 8, linkId: linkId('one'), usedAt: null },
    ...{ claimId: claim(3), reason: 'repaired-from-outbox' },
  },
  { type: 'SessionOpened', id, at: 3, sessionId, principalKey, clientId: 'client Ω', endsAt: 9 },
  {
    ...{ type: 'SessionOpened', id, at: 3, sessionId, principalKey, clientId: 'client-1', endsAt: 9 },
    upstreams: [{ ...subject, sessionKey: null }],
  },
  { type: 'SessionEnded', id, at: 3, sessionId, reason: 'expired' },
  { type: 'GrantEvicted', id, at: 3, grantId },
];

const schemas = new Map(
  eventMetadataSchema.options.map((schema) => [schema.shape.type.value as string, schema]),
);
const formOf = (type: string) => compileForm(z.toJSONSchema(schemas.get(type)!, { io: 'input' }))!;

test('there is a form for each type of event, and it reads what is written in its order', () => {
  for (const type of schemas.keys()) assert.type(formOf(type), 'function', type);
  for (const metadata of inForm) assert.equal(formOf(metadata.type)(JSON.stringify(metadata)), metadata);
});

test('what JSON writes in another way, or not at all, it does not read', () => {
  const text = JSON.stringify(inForm[0]);
  const reads = (from: string, to: string) => formOf('TokensGranted')(text.replace(from, to)) !== undefined;
  for (const at of ['03', '-3', '+3', '3.0', '3e0', '1234567890123456', '"3"', 'null', '', ' 3'])
    assert.not.ok(reads('"at":3', `"at":${at}`), at);
  for (const name of ['"gitl\\u0061b"', '"Gitlab"', `"${'c'.repeat(64)}"`, '""', 'null'])
    assert.not.ok(reads('"gitlab"', name), name);
  for (const expiry of ['0', 'null', '123456789012345'])
    assert.ok(reads('"expiresAt":5', `"expiresAt":${expiry}`));
});

test('whatever is changed in the text, it reads nothing that the schema reads otherwise or refuses', () => {
  const piece = fc.constantFrom(
    ...['null', '0', '00', '-1', '1.5', '1e3', '9007199254740993', '"', '\\', '\\u0041', '{', '}', '[]', ','],
    ...['"x"', '\u0000', '\n', 'grt_', 'a', 'A-', ' ', '"at":1', 'true', 'Ω'],
  );
  const lengths = fc.oneof(fc.constant(0), fc.nat(3), fc.nat(40));
  let [read, left] = [0, 0];
  fc.assert(
    fc.property(fc.constantFrom(...inForm), fc.nat(600), lengths, piece, (metadata, at, length, put) => {
      const whole = JSON.stringify(metadata);
      const start = at % whole.length;
      const text = whole.slice(0, start) + put + whole.slice(start + length);
      const found = formOf(metadata.type)(text);
      if (found === undefined) {
        left += 1;
        return;
      }
      read += 1;
      assert.equal(found, eventMetadataSchema.parse(JSON.parse(text)));
    }),
    { numRuns: 3000 },
  );
  assert.ok(read > 0 && left > 0);
});

test('what a schema says and a form does not know has no form', () => {
  const formFor = (schema: z.ZodType) => compileForm(z.toJSONSchema(z.object({ value: schema })));
  assert.is(formFor(z.number()), null);
  assert.is(formFor(z.int().max(9)), null);
  assert.is(formFor(z.string().regex(/^[^a]+$/)), null);
  assert.is(formFor(z.array(z.object({ perhaps: z.boolean().optional() }))), null);
  assert.equal(formFor(z.string().max(2))!('{"value":"ab"}'), { value: 'ab' });
  assert.is(formFor(z.string().max(2))!('{"value":"abc"}'), undefined);
});

test.run();
