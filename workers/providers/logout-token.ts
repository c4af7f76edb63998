/**
 * Reads the logout token of an OpenID provider, with every check of OpenID Connect Back-Channel Logout 1.0 section 2.6:
 * only what the provider has signed for Latchkey, lately and for this purpose (RFC 8725 section 3.11), signs anybody out.
 */
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from 'jose';
import * as z from 'zod';
import { externalAlgorithms } from '../../schemas/external-issuer/access-token.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { type LogoutTokenContent, longestLogoutToken } from '../../schemas/messages/backchannel-logout.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

interface Options {
  /** Each of them may be the audience. */
  readonly clientIds: readonly string[];
  /** As the discovery document says. @throws RefusedError `upstream-unavailable` */
  readonly findIssuer: () => Promise<{ readonly issuer: string; readonly jwksUri: string | undefined }>;
  readonly fetch: GuardedFetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const maxAgeSeconds = 10 * 60;
/** By how much the provider's clock may be ahead. */
const clockToleranceSeconds = 30;
const usualTypes: readonly unknown[] = [undefined, 'jwt', 'logout+jwt'];
const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

/** Of the claims that the library does not look at. */
const claimsSchema = z
  .object({
    sub: z.string().min(1).max(1024).optional(),
    sid: z.string().min(1).max(1024).optional(),
    jti: z.string().min(1).max(1024),
    events: z.object({ [logoutEvent]: z.looseObject({}) }),
    nonce: z.never().optional(),
  })
  .refine(({ sub, sid }) => sub !== undefined || sid !== undefined);

export function createLogoutTokenReader(options: Options): (token: Secret) => Promise<LogoutTokenContent> {
  const { clientIds, findIssuer, fetch, now } = options;
  let keys: { readonly uri: string; readonly find: ReturnType<typeof createRemoteJWKSet> } | null = null;

  /** Those that the library keeps, for as long as the provider has them at the same place. */
  function keysAt(uri: string) {
    if (keys?.uri !== uri)
      keys = {
        uri,
        find: createRemoteJWKSet(new URL(uri), {
          [customFetch]: (url, { headers, method, signal }) =>
            fetch(url, { method, headers: Object.fromEntries(headers), signal }),
        }),
      };
    return keys.find;
  }

  return async (token) => {
    const text = token.reveal();
    if (text.length > longestLogoutToken) throw refusal('size');
    const { issuer, jwksUri } = await findIssuer();
    if (jwksUri === undefined) throw unavailable('the discovery document names no keys');
    try {
      const { payload, protectedHeader } = await jwtVerify(text, keysAt(jwksUri), {
        issuer,
        audience: [...clientIds],
        algorithms: externalAlgorithms,
        maxTokenAge: maxAgeSeconds,
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(now()),
      });
      if (!usualTypes.includes(protectedHeader.typ?.toLowerCase().replace(/^application\//, '')))
        throw refusal('typ');
      return contentOf(payload, clientIds);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      if (isFaultOfToken(error)) throw refusal('signature or claims');
      throw unavailable('the keys of the provider cannot be read', error);
    }
  };
}

function contentOf(payload: JWTPayload, clientIds: readonly string[]): LogoutTokenContent {
  // Of a token for others too, any of them could be the sender (OpenID Connect Core section 3.1.3.7).
  if (![payload.aud].flat().every((audience) => clientIds.includes(String(audience)))) throw refusal('aud');
  const { success, data, error } = claimsSchema.safeParse(payload);
  if (!success) throw refusal(String(error.issues[0]?.path[0] ?? 'sub or sid'));
  return { subject: data.sub ?? null, session: data.sid ?? null, tokenId: data.jti };
}

/** What can be the fault of whoever sent the token; the rest is that of the provider's keys. */
function isFaultOfToken(error: unknown): boolean {
  return [
    errors.JWTClaimValidationFailed,
    errors.JWTExpired,
    errors.JWTInvalid,
    errors.JWSInvalid,
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JOSENotSupported,
    errors.JWKSNoMatchingKey,
    errors.JWKSMultipleMatchingKeys,
  ].some((kind) => error instanceof kind);
}

function refusal(what: string): RefusedError {
  return new RefusedError('invalid-request', `the logout token is not valid: ${what}`);
}

function unavailable(message: string, cause?: unknown): RefusedError {
  return new RefusedError('upstream-unavailable', message, { cause });
}
