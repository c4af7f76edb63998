/** Answers on node:http: JSON, and JSON-RPC errors. */
import type { ServerResponse } from 'node:http';

type HeaderFields = Readonly<Record<string, string>>;
export type JsonRpcId = string | number | null;

export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: HeaderFields = {},
): void {
  const text = JSON.stringify(body);
  res.writeHead(status, {
    'cache-control': 'no-store',
    ...headers,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
  });
  // As a text it leaves together with the head.
  res.end(text);
}

/** The head of a document that is written as it comes. */
export function beginJson(res: ServerResponse, headers: HeaderFields): void {
  res.writeHead(200, { 'cache-control': 'no-store', ...headers, 'content-type': 'application/json' });
}

export function sendJsonRpcError(
  res: ServerResponse,
  status: number,
  error: { code: number; message: string; data?: unknown },
  { id = null, headers = {} }: { id?: JsonRpcId; headers?: HeaderFields } = {},
): void {
  sendJson(res, status, { jsonrpc: '2.0', error, id }, headers);
}
