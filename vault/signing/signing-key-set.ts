/**
 * Which keys sign and which are shown (RFC 7517): the next key is shown long before it signs, so that whoever keeps a
 * copy of the JWKS has it by then, and the previous one stays until no token that it signed is valid any more. Pure.
 */
import * as z from 'zod';
import { timestampSchema } from '../../schemas/token.ts';

const jwkSchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});

const signingKeySchema = z.object({
  kid: z.string(),
  jwk: jwkSchema,
  state: z.enum(['current', 'next', 'previous']).default('current'),
  /** Since when it is that. 0: from before there was a next key. */
  since: timestampSchema.default(0),
});
export type SigningKey = z.infer<typeof signingKeySchema>;
export type NewSigningKey = Pick<SigningKey, 'kid' | 'jwk'>;

/** The key that signs now comes first, then the next. */
export const signingKeySetSchema = z.array(signingKeySchema).min(1);
export type SigningKeySet = z.infer<typeof signingKeySetSchema>;

/** Longer than gateways and HTTP caches keep a copy of the JWKS. */
export const shownBeforeMs = 10 * 60_000;

/** @param keptMs the longest life of a token */
export interface Rotation {
  readonly at: number;
  readonly keptMs: number;
  readonly fresh: NewSigningKey;
}

export function firstKeySet(first: NewSigningKey, next: NewSigningKey, at: number): SigningKeySet {
  return [
    { ...first, state: 'current', since: at },
    { ...next, state: 'next', since: at },
  ];
}

/** A set from before there was a next key gets one; null: it has one. */
export function withNextKey(keys: SigningKeySet, fresh: NewSigningKey, at: number): SigningKeySet | null {
  if (keys.some(({ state }) => state === 'next')) return null;
  const [current, ...previous] = keys;
  return [
    ...firstKeySet(current!, fresh, at),
    ...previous.map((key) => ({ ...key, state: 'previous', since: at }) as const),
  ];
}

/** From when on the next key may sign. */
export function rotatableFrom(keys: SigningKeySet): number {
  return (keys.find(({ state }) => state === 'next')?.since ?? 0) + shownBeforeMs;
}

export function currentSince(keys: SigningKeySet): number {
  return keys[0]!.since;
}

export function rotate(keys: SigningKeySet, { at, keptMs, fresh }: Rotation): SigningKeySet {
  const [current, next, ...previous] = keys;
  return [
    ...firstKeySet(next!, fresh, at),
    { ...current!, state: 'previous', since: at },
    ...previous.filter(({ since }) => since + keptMs > at),
  ];
}
