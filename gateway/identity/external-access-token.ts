/**
 * Accepts the access tokens of an external issuer, by the keys that the vault tells of. Each token's signature is checked
 * once as long as these stay the same. A `tsid` in it means nothing: sessions are those of the embedded authorization
 * server alone.
 */
import { LRUCache } from 'lru-cache';
import {
  type ExternalCaller,
  ExternalTokenError,
  type ExternalTokenRules,
  introspectedCallerOf,
  isJwt,
  verifyExternalToken,
} from '../../schemas/external-issuer/access-token.ts';
import {
  type IssuerKeys,
  IssuerUnavailableError,
  type KnownKeys,
} from '../../schemas/external-issuer/issuer-keys.ts';
import { Secret } from '../../schemas/secret.ts';
import {
  type AccessToken,
  AccessTokenError,
  type AccessTokenVerifier,
  assertScopes,
  parseBearer,
} from './access-token.ts';
import { VaultUnavailableError } from './identity.ts';

export interface ExternalIssuer {
  readonly rules: ExternalTokenRules;
  readonly keys: IssuerKeys;
  /** What every token must have. */
  readonly scopes: readonly string[];
  /** What the issuer says of opaque tokens, by the vault; null: they are not good. */
  readonly introspect: ((token: Secret) => Promise<IntrospectedToken>) | null;
}

interface IntrospectedToken {
  /** null: the token is not active. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly goodForMs: number;
}

interface Options extends ExternalIssuer {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createExternalAccessTokenVerifier({
  rules,
  keys,
  scopes,
  introspect,
  now,
}: Options): AccessTokenVerifier {
  const verified = new LRUCache<string, ExternalCaller>({ max: 10_000 });
  let verifiedWith: KnownKeys | null = null;

  async function callerOf(token: string): Promise<ExternalCaller> {
    const before = keys.current();
    if (before !== verifiedWith) {
      // A key that is gone takes its tokens with it.
      verifiedWith = before;
      verified.clear();
    }
    const known = verified.get(token);
    if (known && known.expiresAt > now()) return known;
    const caller = await verifyExternalToken(token, { rules, keys, now });
    if (before !== null && before === keys.current()) verified.set(token, caller);
    return caller;
  }

  /** Of opaque tokens, as long as the answer of the issuer may be believed. */
  const introspected = new LRUCache<string, ExternalCaller & { readonly goodUntil: number }>({ max: 10_000 });
  const asking = new Map<string, Promise<ExternalCaller>>();

  async function ask(token: string, introspect: NonNullable<Options['introspect']>): Promise<ExternalCaller> {
    const at = now();
    const { claims, goodForMs } = await introspect(new Secret(token)).catch((cause) => {
      throw new IssuerUnavailableError('the issuer does not say whether the token is good', { cause });
    });
    const caller = introspectedCallerOf(claims, rules, now());
    introspected.set(token, { ...caller, goodUntil: at + goodForMs });
    return caller;
  }

  async function introspectedCaller(
    token: string,
    introspect: NonNullable<Options['introspect']>,
  ): Promise<ExternalCaller> {
    const known = introspected.get(token);
    if (known && Math.min(known.goodUntil, known.expiresAt) > now()) return known;
    const underWay = asking.get(token);
    if (underWay) return underWay;
    const begun = ask(token, introspect).finally(() => asking.delete(token));
    asking.set(token, begun);
    return begun;
  }

  return {
    scopes,
    async verify(authorization) {
      const token = parseBearer(authorization);
      try {
        const caller =
          introspect !== null && !isJwt(token)
            ? await introspectedCaller(token, introspect)
            : await callerOf(token);
        assertScopes(caller.scopes, scopes);
        return toAccessToken(token, caller);
      } catch (cause) {
        if (cause instanceof ExternalTokenError)
          throw new AccessTokenError('invalid-token', cause.message, { cause });
        if (cause instanceof IssuerUnavailableError)
          throw new VaultUnavailableError({ retryAfterSeconds: cause.retryAfterSeconds, cause });
        throw cause;
      }
    },
  };
}

function toAccessToken(token: string, caller: ExternalCaller): AccessToken {
  const { principal, clientId, claims, expiresAt } = caller;
  return {
    token: new Secret(token),
    sub: principal.sub,
    tsid: null,
    clientId: clientId ?? '',
    claims,
    expiresAt: Math.floor(expiresAt / 1000),
  };
}
