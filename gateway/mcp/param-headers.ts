/**
 * `Mcp-Param-*` headers of a tool call (2026-07-28, streamable HTTP, custom headers from tool parameters), made here
 * where the client is older and does not know of them.
 */
import { isObject, type JsonObject } from './json-rpc.ts';
import { encodeHeaderValue } from './protocol.ts';

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function paramHeadersOf(inputSchema: unknown, args: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  const visit = (schema: unknown, value: unknown): void => {
    if (!isObject(schema)) return;
    const name = schema['x-mcp-header'];
    if (typeof name === 'string' && token.test(name) && isPrimitive(value))
      headers[`mcp-param-${name.toLowerCase()}`] = encodeHeaderValue(String(value));
    if (!isObject(schema.properties) || !isObject(value)) return;
    for (const [key, child] of Object.entries(schema.properties))
      if (Object.hasOwn(value, key)) visit(child, (value as JsonObject)[key]);
  };
  visit(inputSchema, args);
  return headers;
}

function isPrimitive(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}
