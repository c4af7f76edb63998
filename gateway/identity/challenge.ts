/**
 * What the MCP endpoint answers when the caller's own token will not do (RFC 6750 section 3, RFC 9728 section 5.1):
 * 401 and 403 speak of that token alone, never of an upstream account, for both SDKs would sign the person in anew.
 * An outage is 503 without a challenge.
 */
import { resourceMetadataPath } from '../http/resource-metadata.ts';
import { AccessTokenError } from './access-token.ts';
import { SessionRefusedError, VaultUnavailableError } from './identity.ts';

export interface Refusal {
  readonly status: 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: string;
}

/** null: the error is none of these. */
export function refusalOf(
  error: unknown,
  mcpUrl: string,
  /** What every token must have. */
  scopes: readonly string[],
): Refusal | null {
  const challenge = (status: 401 | 403, code: string | null, message: string) =>
    challengeOf(status, mcpUrl, scopes, code, message);
  if (error instanceof VaultUnavailableError)
    return {
      status: 503,
      headers: { 'retry-after': String(Math.max(1, error.retryAfterSeconds)) },
      message: 'temporarily unavailable, try again',
    };
  if (error instanceof SessionRefusedError) return challenge(401, 'invalid_token', error.message);
  if (!(error instanceof AccessTokenError)) return null;
  switch (error.code) {
    case 'missing-token':
      return challenge(401, null, error.message);
    case 'invalid-token':
      return challenge(401, 'invalid_token', error.message);
    case 'insufficient-scope':
      return challenge(403, 'insufficient_scope', error.message);
    default:
      return error.code satisfies never;
  }
}

/** No `error` where no token was sent (RFC 6750 section 3.1). */
function challengeOf(
  status: 401 | 403,
  mcpUrl: string,
  scopes: readonly string[],
  error: string | null,
  message: string,
): Refusal {
  const parameters = [
    ...(error === null ? [] : [`error="${error}"`, `error_description="${message}"`]),
    `resource_metadata="${new URL(mcpUrl).origin}${resourceMetadataPath(mcpUrl)}"`,
    ...(scopes.length === 0 ? [] : [`scope="${scopes.join(' ')}"`]),
  ];
  return { status, headers: { 'www-authenticate': `Bearer ${parameters.join(', ')}` }, message };
}
