/**
 * A value that must not be seen: it prints as `[redacted]` in logs, errors, JSON and the inspector.
 * Only `reveal()` gives it out, so that every place that does can be found.
 */
import { inspect } from 'node:util';
import * as z from 'zod';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return '[redacted]';
  }
}

/** On the wire (inside a sealed message) a string, in the program a `Secret`. */
export const secretSchema = z.codec(z.string().min(1), z.instanceof(Secret), {
  decode: (value) => new Secret(value),
  encode: (secret) => secret.reveal(),
});
