/**
 * What the external issuer says of opaque tokens (RFC 7662), asked once for all who come with the same token at the same
 * time, and remembered for moments: a token that was taken back is refused within half a minute, and one that is none does
 * not have the issuer asked for each request. What nobody could say is not remembered.
 */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { IssuerUnavailableError } from '../schemas/external-issuer/issuer-keys.ts';
import type { Secret } from '../schemas/secret.ts';

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
  remembered = 20_000,
}: {
  readonly ask: (token: Secret) => Promise<IntrospectedToken['claims']>;
  readonly now: () => number;
  readonly remembered?: number;
}): IntrospectToken {
  const known = new LRUCache<string, IntrospectedToken>({ max: remembered });
  const asking = new Map<string, Promise<IntrospectedToken>>();

  async function introspect(token: Secret, digest: string): Promise<IntrospectedToken> {
    const at = now();
    const claims = await ask(token).catch((cause) => {
      throw new IssuerUnavailableError('the issuer does not say whether the token is good', { cause });
    });
    const exp = typeof claims?.exp === 'number' ? claims.exp * 1000 : Number.POSITIVE_INFINITY;
    const goodUntil = claims === null ? at + inactiveMs : Math.min(at + activeMs, exp);
    const answer = { claims, goodUntil };
    known.set(digest, answer);
    return answer;
  }

  return (token) => {
    const digest = hash('sha256', token.reveal(), 'base64');
    const answer = known.get(digest);
    if (answer && answer.goodUntil > now()) return Promise.resolve(answer);
    const underWay = asking.get(digest);
    if (underWay) return underWay;
    const begun = introspect(token, digest).finally(() => asking.delete(digest));
    asking.set(digest, begun);
    return begun;
  };
}
