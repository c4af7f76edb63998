/**
 * What the protected resource says of itself (RFC 9728), with and without its path. The authorization server has the
 * document among its own; where the tokens come from an external issuer it is served here, and of `/oauth/` and
 * everything else under `/.well-known/` there is nothing: 404.
 */
import type { RequestHandler } from '../server.ts';
import { allowAnyOrigin, answerPreflight } from './cors.ts';
import { isRequestFor, parseRequestTarget } from './request.ts';
import { sendJson } from './respond.ts';

const basePath = '/.well-known/oauth-protected-resource';
const methods = ['GET', 'HEAD'];
/** How long anybody may keep it, seconds. */
const maxAgeSeconds = 300;

export interface ProtectedResource {
  readonly resource: string;
  readonly issuer: string;
  readonly scopes: readonly string[];
}

/** RFC 9728 section 3.1: between host and path of the resource. */
export function resourceMetadataPath(resource: string): string {
  const { pathname } = new URL(resource);
  return `${basePath}${pathname === '/' ? '' : pathname}`;
}

export const resourceMetadataPaths = (resource: string) => [basePath, resourceMetadataPath(resource)];

export function describeResource({ resource, issuer, scopes }: ProtectedResource) {
  return {
    resource,
    authorization_servers: [issuer],
    ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
    bearer_methods_supported: ['header'],
    resource_name: 'Latchkey',
  };
}

export function serveResourceMetadata(described: ProtectedResource): RequestHandler {
  const origin = new URL(new URL(described.resource).origin);
  const document = describeResource(described);
  const paths = resourceMetadataPaths(described.resource);

  return {
    async handle(request, response) {
      const target = parseRequestTarget(request.url);
      if (target === null || !paths.includes(target.pathname)) return false;
      if (!isRequestFor(origin, request)) {
        sendJson(response, 421, { error: 'invalid_request' });
        return true;
      }
      allowAnyOrigin(response);
      const allow = [...methods, 'OPTIONS'];
      if (request.method === 'OPTIONS') answerPreflight(response, allow);
      else if (!methods.includes(request.method ?? ''))
        sendJson(response, 405, { error: 'method_not_allowed' }, { allow: allow.join(', ') });
      else sendJson(response, 200, document, { 'cache-control': `public, max-age=${maxAgeSeconds}` });
      return true;
    },
  };
}
