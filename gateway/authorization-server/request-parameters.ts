/**
 * Requests as the library should see them. Clients ask for what other servers know: foreign scopes are dropped
 * (RFC 6749 section 3.3 lets the server), `mcp` is always there, a resource is the same with and without its
 * trailing slash (RFC 8707), and parameters of OpenID Connect go with the `openid` scope that does not exist here.
 */
import { resourceScope, supportedScopes } from './scopes.ts';

const openIdParameters = ['nonce', 'max_age', 'id_token_hint', 'acr_values', 'claims', 'claims_locales'];

/** The query of `GET /oauth/authorize`. Repeated parameters stay as they are: the library refuses them. */
export function normalizeAuthorizationParameters(search: string, resource: string): URLSearchParams {
  const parameters = new URLSearchParams(search);
  for (const name of openIdParameters) parameters.delete(name);
  const scopes = parameters.getAll('scope');
  if (scopes.length <= 1) parameters.set('scope', grantableScope(scopes[0] ?? ''));
  // The library knows more modes than are offered here, and refuses through the one that it does not know.
  if (parameters.has('response_mode') && parameters.get('response_mode') !== 'query')
    parameters.set('response_mode', 'unsupported');
  normalizeResource(parameters, resource);
  return parameters;
}

/**
 * The body of `POST /oauth/token`. There is one resource and one scope for it: a request that names neither means the
 * same as one that does, and cannot ask for less.
 */
export function normalizeTokenParameters(body: string, resource: string): URLSearchParams {
  const parameters = new URLSearchParams(body);
  parameters.delete('scope');
  if (!parameters.has('resource')) parameters.set('resource', resource);
  normalizeResource(parameters, resource);
  return parameters;
}

function grantableScope(requested: string): string {
  const scopes = new Set(requested.split(' ').filter((scope) => supportedScopes.includes(scope)));
  return [...scopes.add(resourceScope)].join(' ');
}

function normalizeResource(parameters: URLSearchParams, resource: string): void {
  const asked = parameters.getAll('resource');
  if (asked.length === 0) return;
  parameters.delete('resource');
  for (const each of new Set(asked.map((value) => (isSameResource(value, resource) ? resource : value))))
    parameters.append('resource', each);
}

function isSameResource(value: string, resource: string): boolean {
  const asked = URL.parse(value);
  return asked !== null && withoutTrailingSlash(asked.href) === withoutTrailingSlash(new URL(resource).href);
}

function withoutTrailingSlash(href: string): string {
  return href.endsWith('/') ? href.slice(0, -1) : href;
}
