/**
 * Durations are written as in ToolHive: Go duration strings (time.ParseDuration) such as `300ms`, `30s`, `10m`,
 * `1h30m`, `168h`. A bare number is refused, because nobody can tell its unit.
 */
import * as z from 'zod';

const millisecondsPerUnit = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
} as const;
export const durationPattern = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/;

/** The duration in milliseconds, or null if the text is not a Go duration. */
export function findDurationMs(text: string): number | null {
  if (!durationPattern.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * millisecondsPerUnit[unit as keyof typeof millisecondsPerUnit];
  }
  return total;
}

/** For text that `durationSchema` has accepted. */
export function parseDurationMs(text: string): number {
  const milliseconds = findDurationMs(text);
  if (milliseconds === null) throw new TypeError('not a Go duration');
  return milliseconds;
}

const longestMs = 2 ** 31 - 1; // A timer of Node cannot wait longer.

/** A time to wait for something. */
export const waitSchema = z.string().refine(
  (text) => {
    const milliseconds = findDurationMs(text);
    return milliseconds !== null && milliseconds >= 1 && milliseconds <= longestMs;
  },
  { error: 'must be a duration between 1ms and 596h, with its unit' },
);

/** How long something lives; whole seconds are what a token can say. */
export const lifespanSchema = z.string().refine(
  (text) => {
    const milliseconds = findDurationMs(text);
    return milliseconds !== null && milliseconds >= 1000 && milliseconds <= 365 * 24 * 3_600_000;
  },
  { error: 'must be a duration between 1s and 8760h, with its unit' },
);
