import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  findDurationMs,
  lifespanSchema,
  parseDurationMs,
  waitSchema,
} from '../../../schemas/config/duration.ts';

const test = suite('duration');

test('reads Go duration strings', () => {
  const written: Record<string, number> = {
    '300ms': 300,
    '30s': 30_000,
    '10m': 600_000,
    '24h': 86_400_000,
    '1h30m': 5_400_000,
    '1.5h': 5_400_000,
    '1m0.5s': 60_500,
    '2000us': 2,
    '2000µs': 2,
  };
  for (const [text, milliseconds] of Object.entries(written))
    assert.is(parseDurationMs(text), milliseconds, text);
});

test('reads nothing else', () => {
  for (const text of ['', '10', '10 m', '1d', '-5s', 'm', '1h 30m', '5S', '.5s', '1e3s', ' 5s']) {
    assert.is(findDurationMs(text), null, text);
  }
  assert.throws(() => parseDurationMs('1d'), TypeError);
});

test('a time to wait is never nothing, and never more than a timer can wait', () => {
  assert.ok(waitSchema.safeParse('1ms').success);
  for (const text of ['0s', '1ns', '600h']) assert.not(waitSchema.safeParse(text).success, text);
});

test('a lifetime is at least a second and at most a year', () => {
  assert.ok(lifespanSchema.safeParse('8760h').success);
  for (const text of ['0s', '900ms', '8761h']) assert.not(lifespanSchema.safeParse(text).success, text);
});

test.run();
