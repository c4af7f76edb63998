/**
 * Whose token is this? Verified once per token (RFC 9068 section 4), then remembered until it expires: the look-up asks
 * at every request. The vault believes this, and nothing else that a gateway says of a caller.
 */
import { hash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../../schemas/failure.ts';
import { sessionIdSchema, userIdSchema } from '../../schemas/ids.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { Caller } from '../caller.ts';
import type { SigningKeys } from './signing-keys.ts';

interface Options {
  readonly keys: SigningKeys;
  readonly issuer: string;
  /** The iss of principals. */
  readonly realm: string;
  readonly audiences: readonly string[];
  readonly now: () => number;
  readonly remembered?: number;
}

/** A promise only for a token that is seen for the first time. @throws RefusedError `unauthorized` */
export function createAccessTokenVerifier({
  keys,
  issuer,
  realm,
  audiences,
  now,
  remembered = 20_000,
}: Options) {
  let publicKeys = keys.publicKeys;
  let keySet = keySetOf(publicKeys);
  const known = new LRUCache<string, Caller>({ max: remembered });
  /** A thousand calls may come with the same new token at once: its signature is checked once. */
  const verifying = new Map<string, Promise<Caller>>();

  function currentKeySet() {
    if (keys.publicKeys !== publicKeys) {
      publicKeys = keys.publicKeys;
      keySet = keySetOf(publicKeys);
    }
    return keySet;
  }

  async function verify(token: string, digest: string): Promise<Caller> {
    try {
      const { payload } = await jwtVerify(token, currentKeySet(), {
        issuer,
        audience: [...audiences],
        typ: 'at+jwt',
        algorithms: ['ES256'],
        requiredClaims: ['exp', 'sub', 'tsid'],
        currentDate: new Date(now()),
      });
      const caller = {
        principal: { iss: realm, sub: userIdSchema.parse(payload.sub) },
        sessionId: sessionIdSchema.parse(payload.tsid),
        expiresAt: payload.exp! * 1000,
      };
      known.set(digest, caller);
      return caller;
    } catch (cause) {
      throw new RefusedError('unauthorized', "the caller's access token is not valid", { cause });
    }
  }

  function verifyOnce(token: string, digest: string): Promise<Caller> {
    const underWay = verifying.get(digest);
    if (underWay) return underWay;
    const begun = verify(token, digest).finally(() => verifying.delete(digest));
    verifying.set(digest, begun);
    return begun;
  }

  return (token: Secret): Caller | Promise<Caller> => {
    const text = token.reveal();
    const digest = hash('sha256', text, 'binary');
    const caller = known.get(digest);
    if (!caller) return verifyOnce(text, digest);
    if (caller.expiresAt <= now())
      throw new RefusedError('unauthorized', "the caller's access token has expired");
    return caller;
  };
}

function keySetOf(publicKeys: SigningKeys['publicKeys']) {
  return createLocalJWKSet({ keys: publicKeys.map((key) => ({ ...key })) });
}
