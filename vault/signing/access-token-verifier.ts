/**
 * Whose token is this? Verified once per token (RFC 9068 section 4), then remembered until it expires: the look-up asks
 * at every request. The vault believes this, and nothing else that a gateway says of a caller.
 */
import { createLocalJWKSet, jwtVerify } from 'jose';
import { RefusedError } from '../../schemas/failure.ts';
import { sessionIdSchema, userIdSchema } from '../../schemas/ids.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { Caller } from '../caller.ts';
import { createTokenMemory } from '../token-memory.ts';
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
  remembered,
}: Options): (token: Secret) => Caller | Promise<Caller> {
  let publicKeys = keys.publicKeys;
  let keySet = keySetOf(publicKeys);
  function currentKeySet() {
    if (keys.publicKeys !== publicKeys) {
      publicKeys = keys.publicKeys;
      keySet = keySetOf(publicKeys);
    }
    return keySet;
  }

  async function verify(token: Secret): Promise<Caller> {
    try {
      const { payload } = await jwtVerify(token.reveal(), currentKeySet(), {
        issuer,
        audience: [...audiences],
        typ: 'at+jwt',
        algorithms: ['ES256'],
        requiredClaims: ['exp', 'sub', 'tsid'],
        currentDate: new Date(now()),
      });
      return {
        principal: { iss: realm, sub: userIdSchema.parse(payload.sub) },
        sessionId: sessionIdSchema.parse(payload.tsid),
        expiresAt: payload.exp! * 1000,
      };
    } catch (cause) {
      throw new RefusedError('unauthorized', "the caller's access token is not valid", { cause });
    }
  }

  return createTokenMemory<Caller>({
    remembered,
    find: async (token) => ({ known: await verify(token), keep: true }),
    isGood: ({ expiresAt }) => expiresAt > now(),
  }).know;
}

function keySetOf(publicKeys: SigningKeys['publicKeys']) {
  return createLocalJWKSet({ keys: publicKeys.map((key) => ({ ...key })) });
}
