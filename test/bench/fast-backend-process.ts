/** A backend of 2026-07-28 that costs as little as it can: what a call takes beside it is the way to it. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

const large = 'x'.repeat(1024 * 1024);
const tools = Array.from({ length: 100 }, (_, index) => ({
  name: `tool-${index}`,
  description: `What the tool ${index} does, in a sentence as long as such sentences are.`,
  inputSchema: { type: 'object', properties: { text: { type: 'string', description: 'What to say' } } },
}));

function resultOf(method: string, params: { arguments?: { megabytes?: number } }): object {
  switch (method) {
    case 'server/discover':
      return { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } };
    case 'tools/list':
      return { tools, ttlMs: 60_000, cacheScope: 'private' };
    default: {
      const megabytes = params.arguments?.megabytes ?? 0;
      return { content: [{ type: 'text', text: megabytes > 0 ? large.repeat(megabytes) : 'done' }] };
    }
  }
}

/** In events of 64 KiB before the result, as fast as they are read. */
async function stream(response: ServerResponse, progressToken: unknown, megabytes: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let progress = 1; progress <= 16 * megabytes; progress++) {
    const params = { progressToken, progress, message: large.slice(0, 64 * 1024) };
    const event = { jsonrpc: '2.0', method: 'notifications/progress', params };
    if (!response.write(`data: ${JSON.stringify(event)}\n\n`)) await once(response, 'drain');
  }
}

const server = createServer(async (request, response) => {
  const { id, method, params } = JSON.parse(await text(request));
  if (method === 'subscriptions/listen') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const acknowledged = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: {} };
    response.write(`data: ${JSON.stringify(acknowledged)}\n\n`);
    return;
  }
  const { streamed } = params.arguments ?? {};
  if (streamed !== undefined) {
    await stream(response, params._meta.progressToken, streamed);
    const result = { resultType: 'complete', content: [{ type: 'text', text: 'done' }] };
    response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
    return;
  }
  const result = { resultType: 'complete', ...resultOf(method, params) };
  const message = JSON.stringify({ jsonrpc: '2.0', id, result });
  const isEvent = params.arguments?.asEvent === true;
  response.writeHead(200, { 'content-type': isEvent ? 'text/event-stream' : 'application/json' });
  response.end(isEvent ? `data: ${message}\n\n` : message);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.send!({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` });
});
process.on('disconnect', () => process.exit());
