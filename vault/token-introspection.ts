/**
 * What the external issuer says of opaque tokens (RFC 7662), asked once for all who come with the same token at the same
 * time, and remembered for moments: a token that was taken back is refused within half a minute, and one that is none does
 * not have the issuer asked for each request. What nobody could say is not remembered.
 */
import { IssuerUnavailableError } from '../schemas/external-issuer/issuer-keys.ts';
import type { Secret } from '../schemas/secret.ts';
import { createTokenMemory } from './token-memory.ts';

export interface IntrospectedToken {
  /** null: the token is not active. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** Milliseconds since the epoch. */
  readonly goodUntil: number;
}

/** @throws IssuerUnavailableError */
export type IntrospectToken = (token: Secret) => Promise<IntrospectedToken>;

const activeMs = 30_000;
const inactiveMs = 10_000;

export function createTokenIntrospection({
  ask,
  now,
  remembered,
}: {
  readonly ask: (token: Secret) => Promise<IntrospectedToken['claims']>;
  readonly now: () => number;
  readonly remembered?: number;
}): IntrospectToken {
  const told = createTokenMemory<IntrospectedToken>({
    remembered,
    async find(token) {
      const at = now();
      const claims = await ask(token).catch((cause) => {
        throw new IssuerUnavailableError('the issuer does not say whether the token is good', { cause });
      });
      const exp = typeof claims?.exp === 'number' ? claims.exp * 1000 : Number.POSITIVE_INFINITY;
      const goodUntil = claims === null ? at + inactiveMs : Math.min(at + activeMs, exp);
      return { known: { claims, goodUntil }, keep: true };
    },
    isGood: ({ goodUntil }) => goodUntil > now(),
  });
  return async (token) => told.know(token);
}
