/** The headers of a request of 2026-07-28 and what they must repeat (streamable HTTP, server validation). */
import type { IncomingMessage } from 'node:http';
import type { RequestMessage } from './json-rpc.ts';
import { decodeHeaderValue, nameOf } from './protocol.ts';

export function headerOf(req: IncomingMessage, name: string): string | null {
  const value = req.headers[name];
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
}

/** What is wrong with them; null: nothing. That they contradict the body is the classification's to find. */
export function findHeaderFault(req: IncomingMessage, { method, params }: RequestMessage): string | null {
  if (headerOf(req, 'mcp-protocol-version') === null)
    return 'the required MCP-Protocol-Version header is absent';
  if (headerOf(req, 'mcp-method') === null)
    return `the body names method ${method} but the required Mcp-Method header is absent`;
  const name = nameOf(method, params);
  const header = headerOf(req, 'mcp-name');
  if (header === null) return name === null ? null : 'the required Mcp-Name header is absent';
  const decoded = decodeHeaderValue(header);
  if (decoded === null) return 'the Mcp-Name header is no valid Base64';
  return name !== null && decoded !== name ? 'the Mcp-Name header names something else than the body' : null;
}

/** Those that a newer client mirrors from the arguments of a call; they are the backend's to check. */
export function paramHeadersIn(req: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(req.headers))
    if (name.startsWith('mcp-param-') && typeof value === 'string') headers[name] = value;
  return headers;
}

/** MCP, streamable HTTP: a client must take both, for the server chooses. */
export function acceptsBoth(req: IncomingMessage): boolean {
  return accepts(req, 'application/json') && accepts(req, 'text/event-stream');
}

export function accepts(req: IncomingMessage, type: string): boolean {
  const [kind] = type.split('/');
  return (req.headers.accept ?? '')
    .split(',')
    .map((range) => range.split(';')[0]!.trim().toLowerCase())
    .some((range) => range === type || range === '*/*' || range === `${kind}/*`);
}
