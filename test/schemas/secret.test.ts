import { inspect } from 'node:util';
import { pino } from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { Secret, secretSchema } from '../../schemas/secret.ts';

const test = suite('secret');
const clear = 'clear-value-of-the-secret';
const secret = new Secret(clear);

const printed: readonly [string, () => unknown][] = [
  ['String()', () => String(secret)],
  ['a template', () => `${secret}`],
  ['+', () => `a${secret as unknown as string}`],
  ['JSON', () => JSON.stringify({ deep: [secret] })],
  ['inspect', () => inspect({ deep: { secret } }, { depth: 9, showHidden: true })],
  [
    'inspect without customs',
    () => inspect(secret, { customInspect: false, showHidden: true, getters: true }),
  ],
  ['keys and values', () => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret)])],
  ['the message of an error', () => new Error(`refused: ${secret}`).stack],
  ['a field of an error', () => inspect(Object.assign(new Error('x'), { secret }))],
  ['a copy by spread', () => inspect({ ...secret })],
  ['structuredClone', () => inspect(structuredClone(secret))],
];

for (const [way, print] of printed) {
  test(`${way} does not show it`, () => {
    assert.not.match(String(print()), new RegExp(clear));
  });
}

test('a log line does not show it', () => {
  const lines: string[] = [];
  pino({}, { write: (line: string) => lines.push(line) }).info({ secret, deep: { secret } }, 'x');
  assert.is(lines.length, 1);
  assert.not.match(lines[0]!, new RegExp(clear));
  assert.match(lines[0]!, /\[redacted\]/);
});

test('a schema error does not show it', () => {
  const result = z.object({ a: z.number() }).safeParse({ a: secret });
  assert.not.match(String(result.error), new RegExp(clear));
  const empty = secretSchema.safeParse(12345);
  assert.not.match(String(empty.error), /12345/);
});

test('reveal gives it, and the wire form comes back as a secret', () => {
  assert.is(secret.reveal(), clear);
  assert.is(z.encode(secretSchema, secret), clear);
  assert.is(secretSchema.parse(clear).reveal(), clear);
  assert.not(secretSchema.safeParse('').success);
});

test.run();
