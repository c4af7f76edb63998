/**
 * Whose token is this, where an external issuer signs? Verified by the vault itself with the issuer's keys, once per token
 * as long as these stay the same, then remembered until it expires; of an opaque token the issuer says it. Such a caller
 * has no session here: a `tsid` in the token of somebody else says nothing.
 */
import {
  ExternalTokenError,
  type ExternalTokenRules,
  introspectedCallerOf,
  isJwt,
  verifyExternalToken,
} from '../schemas/external-issuer/access-token.ts';
import {
  type IssuerKeys,
  IssuerUnavailableError,
  type KnownKeys,
} from '../schemas/external-issuer/issuer-keys.ts';
import { RefusedError } from '../schemas/failure.ts';
import type { Secret } from '../schemas/secret.ts';
import type { Caller } from './caller.ts';
import type { IntrospectedToken, IntrospectToken } from './token-introspection.ts';
import { createTokenMemory } from './token-memory.ts';

export interface ExternalIssuer {
  readonly rules: ExternalTokenRules;
  readonly keys: IssuerKeys;
  /** null: opaque tokens are not good. */
  readonly introspect: IntrospectToken | null;
}

interface Options extends ExternalIssuer {
  readonly now: () => number;
  readonly remembered?: number;
}

/** @throws RefusedError `unauthorized`; `unavailable` nobody can say whether the token is good */
export function createExternalCallerVerifier({
  rules,
  keys,
  introspect,
  now,
  remembered,
}: Options): (token: Secret) => Caller | Promise<Caller> {
  let verifiedWith: KnownKeys | null = null;
  const verified = createTokenMemory<Caller>({
    remembered,
    async find(token) {
      const before = keys.current();
      try {
        const { principal, expiresAt } = await verifyExternalToken(token.reveal(), { rules, keys, now });
        const known = { principal, sessionId: null, expiresAt };
        return { known, keep: before !== null && before === keys.current() };
      } catch (cause) {
        throw refusalOf(cause);
      }
    },
    isGood: ({ expiresAt }) => expiresAt > now(),
  });

  /** Remembered together with what the issuer said. */
  const told = new WeakMap<IntrospectedToken, Caller>();
  async function askAbout(token: Secret, ask: IntrospectToken): Promise<Caller> {
    try {
      const answer = await ask(token);
      let caller = told.get(answer);
      if (!caller) {
        const { principal, expiresAt } = introspectedCallerOf(answer.claims, rules, now());
        caller = { principal, sessionId: null, expiresAt };
        told.set(answer, caller);
      }
      return caller;
    } catch (cause) {
      throw refusalOf(cause);
    }
  }

  return (token) => {
    if (introspect !== null && !isJwt(token.reveal())) return askAbout(token, introspect);
    const current = keys.current();
    if (current !== verifiedWith) {
      // A key that is gone takes its tokens with it.
      verifiedWith = current;
      verified.forgetAll();
    }
    return verified.know(token);
  };
}

function refusalOf(cause: unknown): unknown {
  if (cause instanceof ExternalTokenError)
    return new RefusedError('unauthorized', "the caller's access token is not valid", { cause });
  if (!(cause instanceof IssuerUnavailableError)) return cause;
  const retryAfterMs = cause.retryAfterSeconds * 1000;
  return new RefusedError('unavailable', cause.message, { retryable: false, retryAfterMs, cause });
}
