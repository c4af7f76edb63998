// A small HTTP server that answers as it is told, for the answers that a real provider gives on its bad days.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export type Answer =
  | { status?: number; headers?: Record<string, string>; body?: string | Buffer; delayMs?: number }
  | 'hang'
  | 'cut';

export interface AnsweringServer extends AsyncDisposable {
  readonly origin: string;
  readonly received: readonly ReceivedRequest[];
}

export async function openAnsweringServer(
  answer: (request: ReceivedRequest) => Answer | Promise<Answer>,
): Promise<AnsweringServer> {
  const received: ReceivedRequest[] = [];
  const server = http.createServer(async (incoming, outgoing) => {
    let body = '';
    for await (const chunk of incoming.setEncoding('utf8')) body += chunk;
    const { method = '', url = '', headers } = incoming;
    const request = { method, path: url, headers, body };
    received.push(request);
    const given = await answer(request);
    if (given === 'hang') return;
    if (given === 'cut') return void incoming.socket.destroy();
    if (given.delayMs) await new Promise((resolve) => setTimeout(resolve, given.delayMs));
    outgoing.writeHead(given.status ?? 200, { 'content-type': 'application/json', ...given.headers });
    outgoing.end(given.body ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
