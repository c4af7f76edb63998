/**
 * A backend with HTTP+SSE (MCP 2024-11-05) that answers what a client says first by itself, and the calls of its one tool
 * as the test says.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface SteeredSseBackend extends AsyncDisposable {
  readonly url: string;
  /** To the stream that was opened last. */
  write(text: string): Promise<void>;
  /** The next call of a tool; its id, as the backend was sent it. */
  nextCall(): Promise<number>;
  readonly streams: ServerResponse[];
}

export async function startSteeredSseBackend(): Promise<SteeredSseBackend> {
  const streams: ServerResponse[] = [];
  const calls: number[] = [];
  let arrived = Promise.withResolvers<void>();
  const write = async (data: string) => {
    const stream = streams.at(-1)!;
    if (!stream.write(data) && !stream.destroyed)
      await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
  };
  const server = createServer(async (req, res) => {
    if (req.method === 'GET') {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('event: endpoint\ndata: /post\n\n');
      streams.push(res);
      return;
    }
    const { id, method } = JSON.parse(await text(req));
    res.writeHead(202).end();
    const serverInfo = { name: 'sse', version: '1' };
    if (method === 'initialize')
      await write(
        sseEvent({ id, result: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo } }),
      );
    if (method !== 'tools/call') return;
    calls.push(id);
    arrived.resolve();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sse`,
    streams,
    write,
    async nextCall() {
      while (calls.length === 0) {
        await arrived.promise;
        arrived = Promise.withResolvers();
      }
      return calls.shift()!;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A message as an event. */
export const sseEvent = (message: object) =>
  `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
