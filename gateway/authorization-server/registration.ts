/**
 * Which clients may register (RFC 7591). What a client asks for and cannot have is replaced, as section 3.2.1 allows,
 * and told in the answer; redirect URIs are held to RFC 8252 and OAuth 2.1: https, http to this computer, or a
 * scheme that the operator has named.
 */
import { type ClientMetadata, errors } from 'oidc-provider';
import { isLoopback } from '../../schemas/config/address.ts';
import { findRedirectUriProblem } from '../../schemas/redirect-uri.ts';
import { clientAuthMethods } from './configured-clients.ts';
import { supportedScopes } from './scopes.ts';

/** Fields that mean something here. Others, above all addresses that a server would fetch, are not kept. */
const keptFields = [
  'redirect_uris',
  'client_name',
  'client_uri',
  'logo_uri',
  'tos_uri',
  'policy_uri',
  'contacts',
  'application_type',
  'response_types',
  'grant_types',
] as const;

export interface RegistrationProblem {
  /** RFC 7591 section 3.2.2. */
  readonly error: 'invalid_client_metadata' | 'invalid_redirect_uri';
  readonly description: string;
}

/**
 * A client on somebody's own computer can keep no secret (RFC 8252 section 8.5).
 * @param confidential whether a client that registers itself may have a secret; else one that asks for it becomes public
 */
export function findRegistrationProblem(
  metadata: Readonly<Record<string, unknown>>,
  confidential: boolean,
): RegistrationProblem | null {
  const method = metadata.token_endpoint_auth_method ?? 'none';
  if (!clientAuthMethods.some((known) => known === method)) {
    const description = `token_endpoint_auth_method must be one of: ${clientAuthMethods.join(', ')}`;
    return { error: 'invalid_client_metadata', description };
  }
  if (method === 'none' || !confidential) return null;
  const uris: unknown[] = Array.isArray(metadata.redirect_uris) ? metadata.redirect_uris : [];
  if (uris.every(isElsewhere)) return null;
  const description =
    'redirect_uris of a client with a secret must be https, and not on loopback; a client on a computer of its user registers with token_endpoint_auth_method none';
  return { error: 'invalid_redirect_uri', description };
}

function isElsewhere(uri: unknown): boolean {
  const url = typeof uri === 'string' ? URL.parse(uri) : null;
  return url !== null && url.protocol === 'https:' && !isLoopback(url);
}

/** The metadata that the library is given instead of what the client sent. */
export function normalizeRegistration(
  metadata: Readonly<Record<string, unknown>>,
  confidential = false,
): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const field of keptFields) if (metadata[field] !== undefined) kept[field] = metadata[field];
  return {
    ...kept,
    grant_types: normalizeGrantTypes(metadata.grant_types),
    // Left out it would be `client_secret_basic` (RFC 7591 section 2), and clients of MCP that leave it out are public.
    token_endpoint_auth_method: confidential ? (metadata.token_endpoint_auth_method ?? 'none') : 'none',
    scope: supportedScopes.join(' '),
  };
}

/** Clients list what they could do anywhere; what does not exist here is left out, refresh is always there. */
function normalizeGrantTypes(grantTypes: unknown): unknown {
  if (grantTypes === undefined) return ['authorization_code', 'refresh_token'];
  const listsCode = Array.isArray(grantTypes) && grantTypes.includes('authorization_code');
  return listsCode ? ['authorization_code', 'refresh_token'] : grantTypes;
}

const maxRedirectUris = 20;

/**
 * The library's `extraClientMetadata.validator`: it runs wherever a client comes from.
 * @param schemes of applications (RFC 8252 section 7.1)
 */
export function assertRedirectUris(metadata: ClientMetadata, schemes: readonly string[]): void {
  const uris: unknown = metadata.redirect_uris;
  if (!Array.isArray(uris)) return;
  if (uris.length > maxRedirectUris)
    throw new errors.InvalidClientMetadata(
      `redirect_uris must not have more than ${maxRedirectUris} members`,
    );
  for (const uri of uris) {
    const problem = findRedirectUriProblem(uri, schemes);
    if (problem !== null) throw new errors.InvalidClientMetadata(`redirect_uris ${problem}`);
  }
}
