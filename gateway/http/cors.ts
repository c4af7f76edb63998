/** Scripts of any site may read what is public here and carries no cookie (Fetch standard, CORS protocol). */
import type { ServerResponse } from 'node:http';

const headers: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Retry-After, WWW-Authenticate',
};

/** Before the answer is written. */
export function allowAnyOrigin(response: ServerResponse): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** Fetch standard, CORS-preflight fetch. */
export function answerPreflight(response: ServerResponse, methods: readonly string[]): void {
  const allowed = methods.join(', ');
  response
    .writeHead(204, {
      allow: allowed,
      'access-control-allow-methods': allowed,
      'access-control-allow-headers': 'authorization, content-type, mcp-protocol-version',
      'access-control-max-age': '3600',
    })
    .end();
}
