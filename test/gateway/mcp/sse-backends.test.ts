/** Backends of MCP 2024-11-05 (HTTP with server-sent events) behind the gateway, for clients of every version. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import {
  CreateMessageRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openEverythingBackend } from '../../world/backends/everything.ts';
import { okAnswer } from '../fake-vault.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp backends with HTTP+SSE');
const info = { name: 'test-client', version: '1' };

interface SseBackend extends AsyncDisposable {
  readonly url: string;
  readonly origin: string;
  /** The Authorization of each request, streams first opened included. */
  readonly requests: { method: string; authorization: string | undefined }[];
  readonly streams: Set<ServerResponse>;
  /** Runs before a stream is served; true: it has answered. */
  onStream: (res: ServerResponse) => boolean;
  /** Is answered 401, wherever it comes. */
  rejected: string | null;
  /** The tool `wait` answers when this settles. */
  held: Promise<void>;
  readonly waiting: Promise<void>;
  /** A call of it was cancelled. */
  readonly cancelled: Promise<void>;
}

async function startSseBackend(): Promise<SseBackend> {
  const transports = new Map<string, SSEServerTransport>();
  const requests: SseBackend['requests'] = [];
  const streams = new Set<ServerResponse>();
  const waiting = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();

  async function openStream(res: ServerResponse): Promise<void> {
    const server = new McpServer({ name: 'sse', version: '1' });
    server.registerTool('whoami', { description: 'the token that came' }, ({ requestInfo }) => ({
      content: [{ type: 'text', text: String(requestInfo?.headers.authorization ?? 'nothing') }],
    }));
    server.registerTool(
      'count',
      { description: 'tells its progress' },
      async ({ _meta, sendNotification }) => {
        for (const progress of [1, 2])
          await sendNotification({
            method: 'notifications/progress',
            params: { progressToken: _meta?.progressToken ?? 'none', progress, message: `step ${progress}` },
          });
        return { content: [{ type: 'text', text: 'counted' }] };
      },
    );
    server.registerTool('wait', { description: 'answers later' }, async ({ signal }) => {
      signal.addEventListener('abort', () => cancelled.resolve());
      waiting.resolve();
      await backend.held;
      return { content: [{ type: 'text', text: 'waited' }] };
    });
    const transport = new SSEServerTransport('/message', res);
    transports.set(transport.sessionId, transport);
    await server.connect(transport as Parameters<typeof server.connect>[0]);
  }

  const server = createServer(async (req: IncomingMessage, res) => {
    requests.push({ method: req.method!, authorization: req.headers.authorization });
    if (backend.rejected !== null && req.headers.authorization === `Bearer ${backend.rejected}`)
      return void res.writeHead(401).end();
    const url = new URL(req.url!, 'http://backend');
    if (req.method === 'GET' && url.pathname === '/sse') {
      streams.add(res);
      res.once('close', () => streams.delete(res));
      if (!backend.onStream(res)) await openStream(res);
      return;
    }
    const transport = transports.get(url.searchParams.get('sessionId') ?? '');
    if (transport === undefined) res.writeHead(404).end();
    else await transport.handlePostMessage(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const backend: SseBackend = {
    ...{
      origin,
      url: `${origin}/sse`,
      requests,
      streams,
      waiting: waiting.promise,
      cancelled: cancelled.promise,
    },
    onStream: () => false,
    rejected: null,
    held: Promise.resolve(),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return backend;
}

const startBefore = (backend: { url: string }, timeoutMs = 20_000) =>
  startTestGateway({
    backends: [
      {
        ...{ name: 'old', url: backend.url, transport: 'sse' as const, timeoutMs },
        strategy: { type: 'upstream_inject', providerName: 'gitlab' },
      },
    ],
  });

for (const kind of clientKinds)
  test(`${kind}: tools are listed and called, several at once, with progress and the person's token`, async () => {
    await using backend = await startSseBackend();
    await using gateway = await startBefore(backend);
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const { tools } = await client.listTools();
    assert.equal(
      tools.map(({ name }) => name),
      ['old_whoami', 'old_count', 'old_wait'],
    );
    const held = Promise.withResolvers<void>();
    backend.held = held.promise;
    const slow = client.callTool({ name: 'old_wait' });
    await backend.waiting;
    const heard: (string | undefined)[] = [];
    const counted = await client.callTool({ name: 'old_count' }, ({ message }) => heard.push(message));
    assert.is(textOf(counted), 'counted');
    assert.equal(heard, ['step 1', 'step 2']);
    assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer gl-1');
    held.resolve();
    assert.is(textOf(await slow), 'waited');
    assert.is(backend.requests.filter(({ method }) => method === 'GET').length, 1, 'one stream for all');
    assert.ok(backend.requests.every(({ authorization }) => authorization === 'Bearer gl-1'));
  });

for (const kind of clientKinds)
  test(`${kind}: what the client cancels is cancelled at the backend, and its stream goes on`, async () => {
    await using backend = await startSseBackend();
    await using gateway = await startBefore(backend);
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const held = Promise.withResolvers<void>();
    backend.held = held.promise;
    const abort = new AbortController();
    const call = client.callTool({ name: 'old_wait' }, undefined, abort.signal).catch(() => 'given up');
    await backend.waiting;
    abort.abort();
    await backend.cancelled;
    assert.is(await call, 'given up');
    held.resolve();
    assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer gl-1');
    assert.is(backend.streams.size, 1);
  });

for (const place of ['the stream', 'a message'] as const)
  test(`a token that is rejected with ${place} is renewed once, and the call made once`, async () => {
    await using backend = await startSseBackend();
    await using gateway = await startBefore(backend);
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old', 1));
    await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
    if (place === 'a message') assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer old');
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old', 1), okAnswer('new', 2));
    backend.rejected = 'old';
    assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer new');
    assert.equal(
      gateway.facts.map(({ fact, version }) => [fact, version]),
      [['refresh-requested', 1]],
    );
    assert.is(
      backend.requests.filter(({ method }) => method === 'GET').length,
      place === 'a message' ? 1 : 2,
    );
  });

test('an endpoint at another origin is not posted to', async () => {
  await using backend = await startSseBackend();
  await using thief = await startSseBackend();
  await using gateway = await startBefore(backend);
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  for (const place of [`${thief.origin}/message`, '//thief.example/message', 'data:,x', 'http://[']) {
    backend.onStream = (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`event: endpoint\ndata: ${place}\n\n`);
      return true;
    };
    const result = await client.callTool({ name: 'old_whoami' });
    assert.is(result.isError, true);
    assert.match(textOf(result), 'redirects elsewhere, which is not followed');
  }
  assert.is(thief.requests.length, 0);
  assert.ok(
    backend.requests.every(({ method }) => method === 'GET'),
    'nothing was posted',
  );
  backend.onStream = () => false;
  assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer gl-1');
});

test('a stream that breaks fails the call under way alone, and the next call opens another', async () => {
  await using backend = await startSseBackend();
  await using gateway = await startBefore(backend);
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  backend.held = new Promise(() => {});
  const slow = client.callTool({ name: 'old_wait' });
  await backend.waiting;
  for (const stream of backend.streams) stream.destroy();
  const broken = await slow;
  assert.is(broken.isError, true);
  assert.match(textOf(broken), 'The backend "old" could not be reached');
  assert.is(textOf(await client.callTool({ name: 'old_whoami' })), 'Bearer gl-1');
});

test('a backend that opens no stream, names no endpoint, or does not answer is given up in time', async () => {
  await using backend = await startSseBackend();
  await using gateway = await startBefore(backend, 300);
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  backend.held = new Promise(() => {});
  const ways: [(res: ServerResponse) => boolean, RegExp][] = [
    [() => true, /did not answer in time/],
    [(res) => Boolean(res.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n')), /in time/],
    [(res) => Boolean(res.writeHead(200, { 'content-type': 'text/html' }).end('<p>')), /made no sense/],
    [(res) => Boolean(res.writeHead(404).end()), /could not be reached/],
    [() => false, /did not answer in time/],
  ];
  for (const [onStream, expected] of ways) {
    backend.onStream = onStream;
    const result = await client.callTool({ name: 'old_wait' });
    assert.is(result.isError, true, String(expected));
    assert.match(textOf(result), expected);
  }
});

test('server-everything over HTTP+SSE is the same through the gateway as without it', async () => {
  await using backend = await openEverythingBackend({ transport: 'sse' });
  await using gateway = await startTestGateway({
    backends: [{ name: 'all', url: backend.url, transport: 'sse', timeoutMs: 20_000 }],
  });
  const connect = async (transport: SSEClientTransport | OlderTransport) => {
    const client = new OlderClient(info, { capabilities: { sampling: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      ...{ role: 'assistant' as const, model: 'm' },
      content: { type: 'text' as const, text: 'sampled words' },
    }));
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return client;
  };
  const direct = await connect(new SSEClientTransport(new URL(backend.url)));
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const client = await connect(new OlderTransport(new URL(gateway.url), { requestInit: { headers } }));
  try {
    assert.equal(
      (await client.listTools()).tools.map((tool) => ({ ...tool, name: tool.name.replace(/^all_/, '') })),
      (await direct.listTools()).tools,
    );
    assert.equal(await client.listResources(), await direct.listResources());
    const { uri } = (await client.listResources()).resources[0]!;
    assert.equal(await client.readResource({ uri }), await direct.readResource({ uri }));
    for (const [name, args] of [
      ['echo', { message: 'ünïcode' }],
      ['get-structured-content', { location: 'Chicago' }],
    ] as const)
      assert.equal(
        await client.callTool({ name: `all_${name}`, arguments: args }),
        await direct.callTool({ name, arguments: args }),
        name,
      );
    const sampled = await client.callTool({
      ...{ name: 'all_trigger-sampling-request' },
      arguments: { prompt: 'Say something', maxTokens: 10 },
    });
    assert.match(JSON.stringify(sampled), 'sampled words');

    const updated = Promise.withResolvers<string>();
    const logged = Promise.withResolvers<void>();
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
      updated.resolve(params.uri),
    );
    client.setNotificationHandler(LoggingMessageNotificationSchema, () => logged.resolve());
    await client.setLoggingLevel('debug');
    await client.subscribeResource({ uri });
    await client.callTool({ name: 'all_toggle-subscriber-updates', arguments: {} });
    await client.callTool({ name: 'all_toggle-simulated-logging', arguments: {} });
    assert.is(await updated.promise, uri);
    await logged.promise;
  } finally {
    await client.close();
    await direct.close();
  }
});

test.run();
