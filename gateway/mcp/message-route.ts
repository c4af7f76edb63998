/**
 * Which protocol version a message of a client belongs to (2026-07-28, streamable HTTP, backward compatibility). The
 * verdict is the library's. Of a request it looks at two headers, the method and `_meta`, which are the same again and
 * again, so what it said of them is remembered; the name in a third header is looked at in request-headers.ts.
 */
import type { IncomingMessage } from 'node:http';
import { classifyInboundRequest } from '@modelcontextprotocol/server';
import { LRUCache } from 'lru-cache';
import { isObject, isRequestId } from './json-rpc.ts';
import { headerOf } from './request-headers.ts';

export type MessageRoute =
  | { readonly kind: 'newer'; readonly revision: string | null }
  | { readonly kind: 'older'; readonly opensSession: boolean }
  | {
      readonly kind: 'refused';
      readonly httpStatus: number;
      readonly error: { readonly code: number; readonly message: string; readonly data?: unknown };
    };

const longestRemembered = 4_096;

export function createMessageRoutes(): (req: IncomingMessage, body: unknown) => MessageRoute {
  const remembered = new LRUCache<string, MessageRoute>({ max: 1_000 });

  return (req, body) => {
    const key = keyOf(req, body);
    const known = key === null ? undefined : remembered.get(key);
    if (known !== undefined) return known;
    const route = classify(req, body);
    if (key !== null && route.kind !== 'refused') remembered.set(key, route);
    return route;
  };
}

/** All that the verdict depends on; null: not an ordinary request. */
function keyOf(req: IncomingMessage, body: unknown): string | null {
  if (!isObject(body) || Object.keys(body).length !== 4) return null;
  const { jsonrpc, id, method, params } = body;
  if (jsonrpc !== '2.0' || !isRequestId(id) || typeof method !== 'string' || !isObject(params)) return null;
  if (method === 'initialize' || (typeof id === 'number' && !Number.isSafeInteger(id))) return null;
  const key = JSON.stringify([
    headerOf(req, 'mcp-protocol-version'),
    headerOf(req, 'mcp-method'),
    method,
    params._meta,
  ]);
  return key.length > longestRemembered ? null : key;
}

function classify(req: IncomingMessage, body: unknown): MessageRoute {
  const route = classifyInboundRequest({ httpMethod: 'POST', ...standardHeaders(req), body });
  switch (route.kind) {
    case 'reject': {
      const { httpStatus, code, message, data } = route;
      return { kind: 'refused', httpStatus, error: { code, message, data } };
    }
    case 'modern':
      return { kind: 'newer', revision: route.classification.revision ?? null };
    default:
      return { kind: 'older', opensSession: route.reason === 'initialize' };
  }
}

function standardHeaders(req: IncomingMessage) {
  const version = headerOf(req, 'mcp-protocol-version');
  const method = headerOf(req, 'mcp-method');
  return {
    ...(version === null ? {} : { protocolVersionHeader: version }),
    ...(method === null ? {} : { mcpMethodHeader: method }),
  };
}
