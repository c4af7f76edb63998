/**
 * Accepts exactly the access tokens that the external issuer has issued for this server (RFC 9068 section 4, RFC 8725,
 * RFC 7519), and says whose they are. The gateway and the vault both ask here and nowhere else, so that they never
 * disagree about a person. Issuers that do not follow RFC 9068 say neither `at+jwt` nor much else: what can be told to be
 * an ID token or another kind of token is refused.
 */
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { Principal } from '../identity.ts';
import type { IssuerKeys } from './issuer-keys.ts';

export interface ExternalTokenRules {
  /** As the issuer writes itself, character by character; the `iss` of every principal. */
  readonly issuer: string;
  /** Other values of `iss` under which the same issuer signs, with the same keys. */
  readonly issuerAliases: readonly string[];
  readonly audience: string;
  /** The claim that says who the person is. */
  readonly principalClaim: string;
}

export interface ExternalCaller {
  readonly principal: Principal;
  /** The client to which the token was issued; null where the token does not say. */
  readonly clientId: string | null;
  readonly scopes: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** The token will not do; the message may be shown to the caller. */
export class ExternalTokenError extends Error {
  override readonly name = 'ExternalTokenError';
  readonly code: 'expired' | 'other-audience' | 'invalid';

  constructor(code: ExternalTokenError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Asymmetric ones alone: with the public key as an HMAC key anybody could sign (RFC 8725 section 2.1). */
export const externalAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const longestExternalToken = 8192;
/** By how much the issuer's clock may be ahead when it says from when on a token is good. */
const clockToleranceSeconds = 5;
const longestPrincipal = 512;
/** What is held for a token of which nobody says when it expires is let go after this time. */
const unknownExpiryMs = 600_000;

/** A token that is none can only be asked about. */
export function isJwt(token: string): boolean {
  try {
    return token.split('.').length === 3 && typeof decodeProtectedHeader(token).alg === 'string';
  } catch {
    return false;
  }
}

/**
 * @throws ExternalTokenError
 * @throws IssuerUnavailableError the issuer's keys are not known, or it cannot be asked for a new one
 */
export async function verifyExternalToken(
  token: string,
  { rules, keys, now }: { rules: ExternalTokenRules; keys: IssuerKeys; now: () => number },
): Promise<ExternalCaller> {
  const verify = async ({ keySet }: Awaited<ReturnType<IssuerKeys['known']>>) => {
    const { payload } = await jwtVerify(token, keySet, {
      algorithms: externalAlgorithms,
      issuer: [rules.issuer, ...rules.issuerAliases],
      audience: rules.audience,
      requiredClaims: ['exp'],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(now()),
    });
    return externalCallerOf(payload, rules, now());
  };
  // Strangers' tokens fail here, and none of them has the issuer asked for its keys.
  assertAccessToken(token, rules);
  const known = await keys.known();
  try {
    return await verify(known);
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw refusalOf(error);
  }
  const renewed = await keys.renewed();
  return verify(renewed).catch((error) => {
    throw refusalOf(error);
  });
}

/**
 * Whose token it is by the issuer's own word (RFC 7662 section 2.2), which need not name itself nor an expiry, but the
 * audience: a token for somebody else is active, too, and so is a refresh token.
 *
 * @param claims null: the token is not active
 * @throws ExternalTokenError
 */
export function introspectedCallerOf(
  claims: Readonly<Record<string, unknown>> | null,
  rules: ExternalTokenRules,
  now: number,
): ExternalCaller {
  const { iss = rules.issuer, nbf } = claims ?? {};
  const isNotYetGood = typeof nbf === 'number' && nbf > now / 1000 + clockToleranceSeconds;
  if (claims === null || isNotYetGood || ![rules.issuer, ...rules.issuerAliases].includes(String(iss)))
    throw new ExternalTokenError('invalid', 'the access token is not valid');
  assertAudience(claims, rules.audience);
  if (isOtherToken(claims))
    throw new ExternalTokenError('invalid', 'the token is an ID token or the like, not an access token');
  const { exp = Math.floor((now + unknownExpiryMs) / 1000) } = claims;
  return externalCallerOf({ ...claims, exp }, rules, now);
}

/**
 * Whose token it is, by claims that are proven.
 *
 * @throws ExternalTokenError
 */
function externalCallerOf(
  claims: Readonly<Record<string, unknown>>,
  { issuer, principalClaim }: ExternalTokenRules,
  now: number,
): ExternalCaller {
  const sub = Object.hasOwn(claims, principalClaim) ? claims[principalClaim] : undefined;
  if (typeof sub !== 'string' || sub === '' || sub.length > longestPrincipal)
    throw new ExternalTokenError('invalid', 'the access token does not say whose it is');
  const { exp } = claims;
  if (typeof exp !== 'number') throw new ExternalTokenError('invalid', 'the access token has no expiry');
  if (exp * 1000 <= now) throw new ExternalTokenError('expired', 'the access token has expired');
  return {
    principal: { iss: issuer, sub },
    clientId: clientOf(claims),
    scopes: scopesOf(claims),
    claims,
    expiresAt: exp * 1000,
  };
}

/** What its bytes say before anything is proven. */
function assertAccessToken(token: string, rules: ExternalTokenRules): void {
  const malformed = (cause?: unknown) =>
    new ExternalTokenError('invalid', 'the access token is not valid', { cause });
  if (token.length > longestExternalToken) throw malformed();
  let typ: string;
  let claims: Record<string, unknown>;
  try {
    typ = String(decodeProtectedHeader(token).typ ?? 'jwt').toLowerCase();
    claims = decodeJwt(token);
  } catch (cause) {
    throw malformed(cause);
  }
  const isDeclared = typ === 'at+jwt' || typ === 'application/at+jwt';
  if (!isDeclared && typ !== 'jwt')
    throw new ExternalTokenError('invalid', 'the token is no access token: its type is another one');
  if (![rules.issuer, ...rules.issuerAliases].includes(String(claims.iss))) throw malformed();
  assertAudience(claims, rules.audience);
  if (!isDeclared && isOtherToken(claims))
    throw new ExternalTokenError('invalid', 'the token is an ID token or the like, not an access token');
}

/** @throws ExternalTokenError */
function assertAudience({ aud }: Readonly<Record<string, unknown>>, audience: string): void {
  if (![aud].flat().includes(audience))
    throw new ExternalTokenError('other-audience', 'the access token was issued for another resource');
}

/** OpenID Connect Core section 2, Back-Channel Logout section 2.4; `typ` as Keycloak, `token_use` as Cognito writes it. */
function isOtherToken(claims: Readonly<Record<string, unknown>>): boolean {
  if (['nonce', 'at_hash', 'c_hash', 'events'].some((name) => Object.hasOwn(claims, name))) return true;
  const { typ, token_use: use } = claims;
  if (typeof typ === 'string' && !/^(bearer|at\+jwt|jwt|dpop)$/i.test(typ)) return true;
  if (typeof use === 'string' && use !== 'access') return true;
  const client = clientOf(claims);
  return client !== null && [claims.aud].flat().includes(client) && scopesOf(claims).length === 0;
}

function clientOf(claims: Readonly<Record<string, unknown>>): string | null {
  const names = [claims.client_id, claims.azp, claims.appid, claims.cid];
  return names.find((name): name is string => typeof name === 'string' && name !== '') ?? null;
}

/** RFC 9068 section 2.2.3, and `scp` of Entra and Okta; a list or words with spaces between them. */
function scopesOf({ scope, scp }: Readonly<Record<string, unknown>>): string[] {
  return [scope, scp]
    .flat()
    .filter((words) => typeof words === 'string')
    .flatMap((words) => words.split(' '))
    .filter((word) => word !== '');
}

function refusalOf(error: unknown): ExternalTokenError {
  if (error instanceof ExternalTokenError) return error;
  if (error instanceof errors.JWTExpired)
    return new ExternalTokenError('expired', 'the access token has expired', { cause: error });
  // A key that the library cannot use is no proof either.
  return new ExternalTokenError('invalid', 'the access token is not valid', { cause: error });
}
