/**
 * Which clients may register (RFC 7591). What a client asks for and cannot have is replaced, as section 3.2.1 allows,
 * and told in the answer; redirect URIs are held to RFC 8252 and OAuth 2.1: https, or http to this computer.
 */
import { type ClientMetadata, errors } from 'oidc-provider';
import { findRedirectUriProblem } from '../../schemas/redirect-uri.ts';
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

/** The metadata that the library is given instead of what the client sent. */
export function normalizeRegistration(metadata: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const field of keptFields) if (metadata[field] !== undefined) kept[field] = metadata[field];
  return {
    ...kept,
    grant_types: normalizeGrantTypes(metadata.grant_types),
    // Public clients only: a secret would protect nothing that PKCE does not.
    token_endpoint_auth_method: 'none',
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

/** The library's `extraClientMetadata.validator`: it runs wherever a client comes from. */
export function assertRedirectUris(metadata: ClientMetadata): void {
  const uris: unknown = metadata.redirect_uris;
  if (!Array.isArray(uris)) return;
  if (uris.length > maxRedirectUris)
    throw new errors.InvalidClientMetadata(
      `redirect_uris must not have more than ${maxRedirectUris} members`,
    );
  for (const uri of uris) {
    const problem = findRedirectUriProblem(uri);
    if (problem !== null) throw new errors.InvalidClientMetadata(`redirect_uris ${problem}`);
  }
}
