/**
 * Accepts exactly the access tokens that this instance has issued for this resource (RFC 9068 section 4, RFC 8725):
 * `typ` at+jwt, ES256 only, issuer, audience, expiry, and the scope `mcp`. Each token's signature is checked once.
 */
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { sessionIdSchema } from '../../schemas/ids.ts';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import { Secret } from '../../schemas/secret.ts';

const requiredScope = 'mcp';
const maxTokenLength = 8192;
/** RFC 6750 section 2.1: the characters of a b64token. */
const tokenPattern = /^[A-Za-z0-9\-._~+/]+=*$/;

export interface AccessToken {
  readonly token: Secret;
  readonly sub: string;
  readonly tsid: string | null;
  readonly clientId: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
}

/** The caller's own token will not do. What is answered is decided in challenge.ts. */
export class AccessTokenError extends Error {
  override readonly name = 'AccessTokenError';
  readonly code: 'missing-token' | 'invalid-token' | 'insufficient-scope';

  constructor(code: AccessTokenError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export interface AccessTokenVerifier {
  /** What a token must have; a challenge names all of them. */
  readonly scopes: readonly string[];
  /**
   * @param authorization every Authorization header of the request
   * @throws AccessTokenError
   */
  verify(authorization: readonly string[]): Promise<AccessToken>;
}

export function createAccessTokenVerifier(options: {
  issuer: string;
  /** The URL of the MCP endpoint (RFC 8707). */
  audience: string;
  signingKeys: () => readonly PublicSigningKey[];
  /** Called when a token names a key that is not known. */
  refreshKeys: () => Promise<void>;
  /** Milliseconds since the epoch. */
  now: () => number;
}): AccessTokenVerifier {
  const verified = new LRUCache<string, AccessToken>({ max: 10_000 });
  let keys: readonly PublicSigningKey[] = [];
  let keySet = createLocalJWKSet({ keys: [] });

  function currentKeySet() {
    const current = options.signingKeys();
    if (current !== keys) {
      keys = current;
      // A key that is gone takes its tokens with it.
      verified.clear();
      keySet = createLocalJWKSet({ keys: [...current] });
    }
    return keySet;
  }

  async function check(token: string) {
    return await jwtVerify(token, currentKeySet(), {
      algorithms: ['ES256'],
      typ: 'at+jwt',
      issuer: options.issuer,
      audience: options.audience,
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
      currentDate: new Date(options.now()),
    });
  }

  async function checkWithFreshKeys(token: string) {
    try {
      return await check(token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await options.refreshKeys();
      return await check(token);
    }
  }

  return {
    scopes: [requiredScope],
    async verify(authorization) {
      const token = parseBearer(authorization);
      currentKeySet();
      let accepted = verified.get(token);
      if (!accepted) {
        try {
          accepted = toAccessToken(token, (await checkWithFreshKeys(token)).payload);
        } catch (error) {
          if (error instanceof errors.JOSEError)
            throw new AccessTokenError('invalid-token', reasonOf(error), { cause: error });
          throw error;
        }
        verified.set(token, accepted);
      }
      if (accepted.expiresAt * 1000 <= options.now())
        throw new AccessTokenError('invalid-token', 'the access token has expired');
      assertScopes(scopesOf(accepted.claims), [requiredScope]);
      return accepted;
    },
  };
}

/** @throws AccessTokenError */
export function assertScopes(held: readonly string[], needed: readonly string[]): void {
  const missing = needed.filter((scope) => !held.includes(scope));
  if (missing.length === 0) return;
  const message = `the access token lacks the scope ${missing.join(' and the scope ')}`;
  throw new AccessTokenError('insufficient-scope', message);
}

/** RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1). */
export function parseBearer(authorization: readonly string[]): string {
  const [header, ...others] = authorization;
  // Split, not matched: a pattern with free spaces on both sides takes quadratic time on a long header.
  const [scheme, ...credentialParts] = (header ?? '').trim().split(/\s/);
  const credentials = credentialParts.join(' ').trimStart();
  if (scheme?.toLowerCase() !== 'bearer' || credentials === '')
    throw new AccessTokenError('missing-token', 'this resource needs a Bearer access token');
  if (others.length > 0 || credentials.length > maxTokenLength || !tokenPattern.test(credentials))
    throw new AccessTokenError('invalid-token', 'the Authorization header is malformed');
  return credentials;
}

function toAccessToken(token: string, claims: Record<string, unknown>): AccessToken {
  const { sub, client_id: clientId, exp, tsid } = claims;
  if (typeof sub !== 'string' || sub === '' || typeof clientId !== 'string' || typeof exp !== 'number')
    throw new errors.JWTInvalid('a claim has the wrong type');
  if (tsid !== undefined && !sessionIdSchema.safeParse(tsid).success)
    throw new errors.JWTInvalid('the tsid is not a session id');
  return { token: new Secret(token), sub, clientId, tsid: (tsid as string) ?? null, claims, expiresAt: exp };
}

function scopesOf(claims: Readonly<Record<string, unknown>>): string[] {
  return typeof claims.scope === 'string' ? claims.scope.split(' ') : [];
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the access token has expired';
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud')
    return 'the access token was issued for another resource';
  return 'the access token is not valid';
}
