/**
 * Signs claims, not bytes: the signing input of an access token (RFC 9068) is read, and refused unless it is one that
 * this instance would issue for a session that lives and belongs to its subject.
 */
import { sign } from 'node:crypto';
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import { sessionIdSchema, userIdSchema } from '../../schemas/ids.ts';
import type { SigningKeys } from './signing-keys.ts';

const headerSchema = z.strictObject({ alg: z.literal('ES256'), typ: z.literal('at+jwt'), kid: z.string() });

const claimsSchema = z.object({
  iss: z.string(),
  sub: userIdSchema,
  aud: z.string(),
  exp: z.int(),
  iat: z.int(),
  jti: z.string().min(1),
  client_id: z.string().min(1),
  scope: z.string(),
  tsid: sessionIdSchema,
});
export type AccessTokenClaims = z.infer<typeof claimsSchema>;

interface Options {
  readonly keys: SigningKeys;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The longest life that a token may have, seconds. */
  readonly maxLifetimeSeconds: number;
  readonly now: () => number;
  /** Refuses claims whose session does not live or is not theirs. */
  readonly assertSession: (partition: number, claims: AccessTokenClaims) => void;
}

const clockToleranceSeconds = 30;

/** @returns r || s in base64url. @throws RefusedError `invalid-request`, `session-ended`, ... */
export function createAccessTokenSigner({
  keys,
  issuer,
  audiences,
  maxLifetimeSeconds,
  now,
  assertSession,
}: Options) {
  return (partition: number, kid: string, signingInput: string): string => {
    const [header, payload, ...rest] = signingInput.split('.');
    if (rest.length > 0) throw refused('it has more than two parts');
    const head = headerSchema.safeParse(parseJson(header));
    if (!head.success || head.data.kid !== kid)
      throw refused('its header is not {alg: ES256, typ: at+jwt, kid}');
    const parsed = claimsSchema.safeParse(parseJson(payload));
    if (!parsed.success)
      throw refused(`the claim ${parsed.error.issues[0]?.path.join('.')} is missing or malformed`);
    const claims = parsed.data;
    if (claims.iss !== issuer) throw refused('iss is not the issuer of this instance');
    if (!audiences.includes(claims.aud)) throw refused('aud is not one of the allowed audiences');
    const nowSeconds = now() / 1000;
    if (Math.abs(claims.iat - nowSeconds) > clockToleranceSeconds)
      throw refused('iat is not now; check the clocks');
    if (claims.exp <= claims.iat || claims.exp - claims.iat > maxLifetimeSeconds)
      throw refused('exp is too far from iat');
    assertSession(partition, claims);
    const key = keys.privateKey(kid);
    if (!key) throw refused('kid names no key of this instance');
    return sign('sha256', Buffer.from(signingInput), { key, dsaEncoding: 'ieee-p1363' }).toString(
      'base64url',
    );
  };
}

function parseJson(part: string | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
  } catch {
    return null;
  }
}

function refused(why: string): RefusedError {
  return new RefusedError('invalid-request', `this access token would not be issued: ${why}`);
}
