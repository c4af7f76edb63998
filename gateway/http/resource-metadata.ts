/**
 * `/.well-known/oauth-protected-resource` (RFC 9728), with and without the path of the resource, where the tokens come
 * from an external issuer. Of `/oauth/` and everything else under `/.well-known/` there is nothing: 404.
 */
import { resourceMetadataPath } from '../authorization-server/metadata.ts';
import type { RequestHandler } from '../server.ts';
import { isRequestFor, parseRequestTarget } from './request.ts';
import { sendJson } from './respond.ts';

const basePath = '/.well-known/oauth-protected-resource';
const maxAgeSeconds = 300;

export function createResourceMetadata(options: {
  resource: string;
  issuer: string;
  scopes: readonly string[];
}): RequestHandler {
  const { resource, issuer, scopes } = options;
  const origin = new URL(new URL(resource).origin);
  const document = {
    resource,
    authorization_servers: [issuer],
    ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
    bearer_methods_supported: ['header'],
    resource_name: 'Latchkey',
  };
  const paths = [basePath, resourceMetadataPath(resource)];

  return {
    async handle(request, response) {
      const target = parseRequestTarget(request.url);
      if (target === null || !paths.includes(target.pathname)) return false;
      if (!isRequestFor(origin, request)) {
        sendJson(response, 421, { error: 'invalid_request' });
        return true;
      }
      response.setHeader('access-control-allow-origin', '*');
      const allow = 'GET, HEAD, OPTIONS';
      if (request.method === 'OPTIONS') {
        const headers = {
          allow,
          'access-control-allow-methods': allow,
          'access-control-allow-headers': 'authorization, content-type, mcp-protocol-version',
          'access-control-max-age': '3600',
        };
        response.writeHead(204, headers).end();
      } else if (request.method === 'GET' || request.method === 'HEAD') {
        sendJson(response, 200, document, { 'cache-control': `public, max-age=${maxAgeSeconds}` });
      } else sendJson(response, 405, { error: 'method_not_allowed' }, { allow });
      return true;
    },
  };
}
