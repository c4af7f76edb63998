/**
 * Which clients may register (RFC 7591). What a client asks for and cannot have is replaced, as section 3.2.1 allows,
 * and told in the answer; redirect URIs are held to RFC 8252 and OAuth 2.1: https, or http to this computer.
 */
import { type ClientMetadata, errors } from 'oidc-provider';
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

const loopbackHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
const maxRedirectUris = 20;
const maxRedirectUriLength = 2048;

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

export function findRedirectUriProblem(uri: unknown): string | null {
  if (typeof uri !== 'string') return 'must only contain strings';
  if (uri.length > maxRedirectUriLength) return 'must not be that long';
  // The URL parser drops or turns these silently, so that two readers could see two addresses.
  if (!/^[\x21-\x7e]+$/.test(uri) || uri.includes('\\')) return 'must only contain valid URIs';
  const url = URL.parse(uri);
  if (url === null) return 'must only contain valid URIs';
  if (uri.includes('#')) return 'must not contain a fragment';
  const authority = authorityOf(uri);
  if (authority?.includes('@')) return 'must not contain user information';
  // http://0x7f.1/ or https:host: readers disagree about where these lead.
  if (authority?.toLowerCase() !== url.host) return 'must have its host and port in their normal form';
  if (url.protocol === 'https:') return null;
  if (url.protocol === 'http:' && loopbackHosts.has(url.hostname)) return null;
  return 'must be https, or http to localhost, 127.0.0.1 or [::1]';
}

/** As it was written: the parser forgets an empty `@`. */
function authorityOf(uri: string): string | undefined {
  return /^[a-z][a-z0-9+.-]*:\/\/([^/?]*)/i.exec(uri)?.[1];
}
