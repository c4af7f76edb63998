/**
 * Reads what a token endpoint answered (RFC 6749 sections 5.1 and 5.2) more kindly than the specification allows:
 * numbers may be strings, GitHub's errors come with status 200, half the fields may be missing. An access token is
 * all that it takes to be a success; a rotated refresh token is never lost to an oddity beside it.
 */
import type {
  IdentityFromTokenSettings,
  TokenResponseMappingSettings,
} from '../../schemas/config/provider-config.ts';
import { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import { type AnswerFields, findField, joinSubject, textOf } from './answer-fields.ts';
import type { UserInfo } from './user-info.ts';

export type TokenAnswer =
  | {
      readonly status: 'tokens';
      readonly tokens: TokenSet;
      /** Who the person is, where the answer is configured to say it. */
      readonly identity: UserInfo | null;
    }
  /** The provider said no. `error` is a code of RFC 6749, or null. */
  | { readonly status: 'refused'; readonly error: OAuthErrorCode | null }
  | { readonly status: 'unavailable'; readonly retryAfterSeconds: number | null };

/** What is known of the answers of one provider. */
export interface TokenAnswerForm {
  readonly mapping: TokenResponseMappingSettings | null;
  readonly identity: IdentityFromTokenSettings | null;
  readonly scopeSeparator: ' ' | ',';
  /** The mapping is for the answer to a code; this one may have the standard form (Slack's to a refresh has). */
  readonly mayBeFlat: boolean;
}

const standardForm: TokenAnswerForm = {
  mapping: null,
  identity: null,
  scopeSeparator: ' ',
  mayBeFlat: false,
};

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
  // GitHub.
  bad_refresh_token: 'invalid_grant',
  bad_verification_code: 'invalid_grant',
  incorrect_client_credentials: 'invalid_client',
  // Slack.
  invalid_refresh_token: 'invalid_grant',
  token_expired: 'invalid_grant',
  token_revoked: 'invalid_grant',
  invalid_code: 'invalid_grant',
  code_already_used: 'invalid_grant',
  code_expired: 'invalid_grant',
  bad_client_secret: 'invalid_client',
  invalid_client_id: 'invalid_client',
  ratelimited: 'temporarily_unavailable',
  rate_limited: 'temporarily_unavailable',
  internal_error: 'temporarily_unavailable',
  fatal_error: 'temporarily_unavailable',
  service_unavailable: 'temporarily_unavailable',
  request_timeout: 'temporarily_unavailable',
};

/** Codes that mean another only with a certain `error_description`. */
const describedErrors: readonly { error: string; description: string; means: OAuthErrorCode }[] = [
  // Atlassian, with status 403 (raycast/extensions issue 11836).
  { error: 'unauthorized_client', description: 'refresh_token is invalid', means: 'invalid_grant' },
];

/** Of an answer that may be another one later, though it is none of 5xx. */
export const isTemporaryStatus = (status: number): boolean => [408, 425, 429].includes(status);
const longestSeconds = 100 * 365 * 24 * 3600;
const longestRetryAfterSeconds = 24 * 3600;

/** null for what is no code of the specification: it could be anything, so it is shown to nobody. */
export function parseErrorCode(value: unknown): OAuthErrorCode | null {
  if (typeof value !== 'string') return null;
  return errorCodes.find((code) => code === value) ?? otherNames[value] ?? null;
}

/** @param sentAt from when the provider's durations are counted: rather too early than too late */
export async function readTokenAnswer(
  response: Response,
  sentAt: number,
  form: TokenAnswerForm = standardForm,
): Promise<TokenAnswer> {
  const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'), sentAt);
  const unavailable: TokenAnswer = { status: 'unavailable', retryAfterSeconds };
  if (response.status >= 500 || response.status < 200 || isTemporaryStatus(response.status))
    return unavailable;
  const body = parseBody(await response.text(), response.headers.get('content-type') ?? '');
  if (body !== null && body.error !== undefined && body.error !== null) {
    const described = describedErrors.find(
      ({ error, description }) => body.error === error && body.error_description === description,
    );
    const error = described?.means ?? parseErrorCode(body.error);
    return error === 'server_error' || error === 'temporarily_unavailable'
      ? unavailable
      : { status: 'refused', error };
  }
  if (response.status >= 400) return { status: 'refused', error: null };
  const fields = body && standardFields(body, form);
  const accessToken = parseSecret(fields?.access_token);
  if (response.status >= 300 || body === null || fields === null || accessToken === null) return unavailable;
  return {
    status: 'tokens',
    tokens: {
      accessToken,
      tokenType: parseTokenType(fields.token_type),
      expiresAt: parseExpiry(fields.expires_in, sentAt),
      refreshToken: parseSecret(fields.refresh_token),
      refreshExpiresAt: parseExpiry(fields.refresh_expires_in ?? fields.refresh_token_expires_in, sentAt),
      idToken: parseSecret(fields.id_token),
      scope: parseScope(fields.scope, form.scopeSeparator),
    },
    identity: form.identity && findIdentity(body, form.identity),
  };
}

/**
 * The fields under their standard names. What stands at the top of an answer that should be nested may be another's
 * token, as Slack's for the bot.
 */
function standardFields(body: AnswerFields, { mapping, mayBeFlat }: TokenAnswerForm): AnswerFields {
  if (mapping === null) return body;
  // Slack's `user` and `bot` are no schemes of authentication (RFC 6749 section 7.1).
  const flat = { ...body, token_type: 'Bearer' };
  const accessToken = findField(body, mapping.accessTokenPath);
  if (accessToken === undefined && mayBeFlat) return flat;
  const at = (path: string | null, name: string) => findField(body, path ?? name);
  return {
    ...flat,
    access_token: accessToken,
    refresh_token: at(mapping.refreshTokenPath, 'refresh_token'),
    expires_in: at(mapping.expiresInPath, 'expires_in'),
    scope: at(mapping.scopePath, 'scope'),
  };
}

function findIdentity(body: AnswerFields, identity: IdentityFromTokenSettings): UserInfo {
  const optional = (path: string | null) => (path === null ? null : textOf(findField(body, path)));
  return {
    subject: joinSubject(identity.subjectPaths.map((path) => findField(body, path))),
    name: optional(identity.namePath),
    email: optional(identity.emailPath),
  };
}

/** JSON or a form, whatever the content type says: GitHub sends a form unless asked, others JSON as text. */
function parseBody(text: string, contentType: string): AnswerFields | null {
  if (contentType.startsWith('application/x-www-form-urlencoded')) return formOf(text);
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as AnswerFields) : null;
  } catch {
    return /^([\w.-]+=[^&\s<]*&)*(access_token|error)=/.test(text) ? formOf(text) : null;
  }
}

const formOf = (text: string): AnswerFields => Object.fromEntries(new URLSearchParams(text.trim()));

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

function parseScope(value: unknown, separator: ' ' | ','): string | null {
  const parts = Array.isArray(value) ? value.filter((part) => typeof part === 'string') : [value];
  if (!parts.every((part) => typeof part === 'string')) return null;
  const scope =
    separator === ' '
      ? parts.join(' ')
      : parts
          .join(' ')
          .split(/[,\s]+/)
          .join(' ')
          .trim();
  return scope === '' ? null : scope;
}

/** RFC 9110 section 10.2.3: seconds or a date. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1000);
  if (Number.isNaN(seconds)) return null;
  return Math.min(Math.max(0, seconds), longestRetryAfterSeconds);
}
