/** Answers on node:http: JSON, JSON-RPC errors, and what a web-standard handler gave (a JSON body or a stream). */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

type HeaderFields = Readonly<Record<string, string>>;
export type JsonRpcId = string | number | null;

export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: HeaderFields = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, {
    'cache-control': 'no-store',
    ...headers,
    'content-type': 'application/json',
    'content-length': String(bytes.length),
  });
  res.end(bytes);
}

export function sendJsonRpcError(
  res: ServerResponse,
  status: number,
  error: { code: number; message: string },
  { id = null, headers = {} }: { id?: JsonRpcId; headers?: HeaderFields } = {},
): void {
  sendJson(res, status, { jsonrpc: '2.0', error, id }, headers);
}

export async function sendResponse(
  res: ServerResponse,
  response: Response,
  headers: HeaderFields = {},
): Promise<void> {
  const all: Record<string, string> = {
    'cache-control': 'no-store',
    ...Object.fromEntries(response.headers),
    ...headers,
  };
  if (response.body === null) {
    res.writeHead(response.status, all).end();
    return;
  }
  if (!all['content-type']?.startsWith('text/event-stream')) {
    const bytes = Buffer.from(await response.arrayBuffer());
    res.writeHead(response.status, { ...all, 'content-length': String(bytes.length) }).end(bytes);
    return;
  }
  res.writeHead(response.status, all).flushHeaders();
  const closed = once(res, 'close').catch(() => {});
  for await (const chunk of response.body) {
    if (res.destroyed) break;
    if (!res.write(chunk)) await Promise.race([once(res, 'drain').catch(() => {}), closed]);
  }
  res.end();
}
