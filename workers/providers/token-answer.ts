/**
 * Reads what a token endpoint answered (RFC 6749 sections 5.1 and 5.2) more kindly than the specification allows:
 * numbers may be strings, GitHub's errors come with status 200, half the fields may be missing. An access token is
 * all that it takes to be a success; a rotated refresh token is never lost to an oddity beside it.
 */
import { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';

export type TokenAnswer =
  | { readonly status: 'tokens'; readonly tokens: TokenSet }
  /** The provider said no. `error` is a code of RFC 6749, or null. */
  | { readonly status: 'refused'; readonly error: OAuthErrorCode | null }
  | { readonly status: 'unavailable'; readonly retryAfterSeconds: number | null };

const errorCodes = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'access_denied',
  'unsupported_response_type',
  'server_error',
  'temporarily_unavailable',
  // OpenID Connect Core section 3.1.2.6.
  'interaction_required',
  'login_required',
  'account_selection_required',
  'consent_required',
  // RFC 8707 section 2.
  'invalid_target',
] as const;
export type OAuthErrorCode = (typeof errorCodes)[number];

/** What some providers say for a code of the specification. */
const otherNames: Record<string, OAuthErrorCode> = {
  bad_refresh_token: 'invalid_grant',
  bad_verification_code: 'invalid_grant',
  incorrect_client_credentials: 'invalid_client',
};

const temporaryStatus = new Set([408, 425, 429]);
const longestSeconds = 100 * 365 * 24 * 3600;
const longestRetryAfterSeconds = 24 * 3600;

/** null for what is no code of the specification: it could be anything, so it is shown to nobody. */
export function parseErrorCode(value: unknown): OAuthErrorCode | null {
  if (typeof value !== 'string') return null;
  return errorCodes.find((code) => code === value) ?? otherNames[value] ?? null;
}

/** @param sentAt from when the provider's durations are counted: rather too early than too late */
export async function readTokenAnswer(response: Response, sentAt: number): Promise<TokenAnswer> {
  const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'), sentAt);
  const unavailable: TokenAnswer = { status: 'unavailable', retryAfterSeconds };
  if (response.status >= 500 || response.status < 200 || temporaryStatus.has(response.status))
    return unavailable;
  const body = parseBody(await response.text(), response.headers.get('content-type') ?? '');
  if (body !== null && body.error !== undefined && body.error !== null) {
    const error = parseErrorCode(body.error);
    return error === 'server_error' || error === 'temporarily_unavailable'
      ? unavailable
      : { status: 'refused', error };
  }
  if (response.status >= 400) return { status: 'refused', error: null };
  const accessToken = parseSecret(body?.access_token);
  if (response.status >= 300 || body === null || accessToken === null) return unavailable;
  return {
    status: 'tokens',
    tokens: {
      accessToken,
      tokenType: parseTokenType(body.token_type),
      expiresAt: parseExpiry(body.expires_in, sentAt),
      refreshToken: parseSecret(body.refresh_token),
      refreshExpiresAt: parseExpiry(body.refresh_expires_in ?? body.refresh_token_expires_in, sentAt),
      idToken: parseSecret(body.id_token),
      scope: parseScope(body.scope),
    },
  };
}

function parseBody(text: string, contentType: string): Record<string, unknown> | null {
  if (contentType.startsWith('application/x-www-form-urlencoded'))
    return Object.fromEntries(new URLSearchParams(text));
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body)
      ? (body as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function parseSecret(value: unknown): Secret | null {
  return typeof value === 'string' && value !== '' ? new Secret(value) : null;
}

/** The scheme is compared without case (RFC 6749 section 5.1), but not by every backend. */
function parseTokenType(value: unknown): string {
  if (typeof value !== 'string' || value === '' || /^bearer$/i.test(value)) return 'Bearer';
  return value;
}

/** 0 is what Keycloak says of a token that does not expire. */
function parseExpiry(value: unknown, sentAt: number): number | null {
  const seconds = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof seconds !== 'number' || !(seconds > 0)) return null;
  return sentAt + Math.floor(Math.min(seconds, longestSeconds) * 1000);
}

function parseScope(value: unknown): string | null {
  const scope = Array.isArray(value) ? value.filter((part) => typeof part === 'string').join(' ') : value;
  return typeof scope === 'string' && scope !== '' ? scope : null;
}

/** RFC 9110 section 10.2.3: seconds or a date. */
function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1000);
  if (Number.isNaN(seconds)) return null;
  return Math.min(Math.max(0, seconds), longestRetryAfterSeconds);
}
