/**
 * The answer to a call of which the stream breaks (MCP 2025-11-25, streamable HTTP, resumability and redelivery): where
 * its backend gives ids, the client comes back with `Last-Event-ID`, to whichever gateway, and gets the rest.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CreateMessageResultSchema, type JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFakeVault, okAnswer } from '../fake-vault.ts';
import { newerToolCall } from '../newer-call.ts';
import { createTestSigner } from '../signing.ts';
import { startTestBackend } from '../test-backend.ts';
import { createSessionStore, startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp stream resumption');
const version = '2025-11-25';

function createEventStore(): EventStore {
  const events: { streamId: string; message: JSONRPCMessage }[] = [];
  const streamOf = (eventId: string) => events[Number(eventId)]?.streamId;
  return {
    storeEvent: async (streamId, message) => String(events.push({ streamId, message }) - 1),
    getStreamIdForEventId: async (eventId) => streamOf(eventId),
    async replayEventsAfter(lastEventId, { send }) {
      const streamId = streamOf(lastEventId)!;
      for (let at = Number(lastEventId) + 1; at < events.length; at += 1) {
        const { streamId: its, message } = events[at]!;
        if (its === streamId && Object.keys(message).length > 0) await send(String(at), message);
      }
      return streamId;
    },
  };
}

/** Its tool `steps` tells of two steps, and waits before the second and before its result. */
async function startResumableBackend() {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const seen: { resumes: boolean; authorization: string | undefined; body: string }[] = [];
  const backend = {
    url: '',
    seen,
    second: Promise.withResolvers<void>(),
    last: Promise.withResolvers<void>(),
  };

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore(),
      retryInterval: 50,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    const mcp = new McpServer({ name: 'resumable', version: '1' });
    mcp.registerTool('steps', { description: 'tells its steps' }, async ({ _meta, sendNotification }) => {
      const progressToken = _meta?.progressToken ?? 'none';
      const tell = (progress: number) =>
        sendNotification({ method: 'notifications/progress', params: { progressToken, progress } });
      await tell(1);
      await backend.second.promise;
      await tell(2);
      await backend.last.promise;
      return { content: [{ type: 'text', text: 'done' }] };
    });
    mcp.registerTool('ask', { description: 'asks for words' }, async ({ sendRequest }) => {
      const { content } = await sendRequest(
        { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
        CreateMessageResultSchema,
      );
      return { content: [{ type: 'text', text: JSON.stringify(content) }] };
    });
    await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
    return transport;
  }

  const server = createServer(async (req, res) => {
    const body = await text(req);
    const { authorization, 'last-event-id': lastEventId } = req.headers;
    seen.push({ resumes: lastEventId !== undefined, authorization, body });
    const id = req.headers['mcp-session-id'];
    const transport = id === undefined ? await open() : transports.get(String(id));
    if (transport === undefined) res.writeHead(404).end();
    else await transport.handleRequest(req, res, body === '' ? undefined : JSON.parse(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  backend.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  return Object.assign(backend, {
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  });
}

interface SseEvent {
  readonly id: string | undefined;
  readonly retry: string | undefined;
  readonly message: Record<string, unknown> | null;
}

/** A client that reads events one by one and can go away between two. */
async function openClient(gateway: TestGateway, sub = 'usr_anna', protocolVersion = version) {
  const headers: Record<string, string> = {
    authorization: `Bearer ${await gateway.signer.sign({ sub })}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const post = (to: TestGateway, body: object, signal: AbortSignal | null = null) =>
    fetch(to.url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...body }), signal });
  const clientInfo = { name: 'c', version: '1' };
  const params = { protocolVersion, capabilities: { sampling: {} }, clientInfo };
  const opened = await post(gateway, { id: 1, method: 'initialize', params });
  await opened.text();
  headers['mcp-session-id'] = opened.headers.get('mcp-session-id')!;
  headers['mcp-protocol-version'] = protocolVersion;

  function read(response: Response, abort: AbortController) {
    let rest = '';
    const chunks = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    return {
      status: response.status,
      leave: () => abort.abort(),
      async next(): Promise<SseEvent> {
        while (!rest.includes('\n\n')) {
          const { value, done } = await chunks.read();
          assert.not.ok(done, `an event and no end after: ${rest}`);
          rest += value;
        }
        const [block = ''] = rest.split('\n\n', 1);
        rest = rest.slice(block.length + 2);
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
        const data = field('data');
        return { id: field('id'), retry: field('retry'), message: data ? JSON.parse(data) : null };
      },
    };
  }

  return {
    post: (to: TestGateway, body: object) => post(to, body),
    async call(to: TestGateway, name: string, id = 7) {
      const abort = new AbortController();
      const asked = { name: `b_${name}`, arguments: {}, _meta: { progressToken: 'p' } };
      return read(await post(to, { id, method: 'tools/call', params: asked }, abort.signal), abort);
    },
    async resume(to: TestGateway, lastEventId: string) {
      const abort = new AbortController();
      const more = { ...headers, 'last-event-id': lastEventId };
      return read(await fetch(to.url, { headers: more, signal: abort.signal }), abort);
    },
  };
}

const startBefore = (backend: { url: string }) =>
  startTestGateway({ backends: [{ name: 'b', url: backend.url, timeoutMs: 20_000 }] });

async function untilCancelled(heard: () => readonly { body: string }[]): Promise<void> {
  while (!heard().some(({ body }) => body.includes('notifications/cancelled'))) await pause(20);
}

const resultOf = ({ message }: SseEvent) => [message?.id, message?.result];
const done = [7, { content: [{ type: 'text', text: 'done' }] }];
const stepOf = ({ message }: SseEvent) => (message!.params as { progress: number }).progress;

test('a client that comes back gets what it has not read, and the call was not cancelled', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway);
  const first = await client.call(gateway, 'steps');
  const primed = await first.next();
  assert.is(primed.message, null, 'the id is told before there is a message');
  assert.match(primed.id!, /^mce_/);
  assert.is(primed.retry, '50');
  const one = await first.next();
  assert.is(stepOf(one), 1);
  first.leave();
  backend.second.resolve();

  const again = await client.resume(gateway, one.id!);
  const two = await again.next();
  assert.is(stepOf(two), 2);
  again.leave();
  backend.last.resolve();
  const rest = await client.resume(gateway, two.id!);
  assert.equal(resultOf(await rest.next()), done);
  const fromBeginning = await client.resume(gateway, primed.id!);
  assert.equal([stepOf(await fromBeginning.next()), stepOf(await fromBeginning.next())], [1, 2]);
  assert.equal(resultOf(await fromBeginning.next()), done);
  assert.not.ok(backend.seen.some(({ body }) => body.includes('cancelled')));
});

test('another gateway goes on after the first has stopped, with the token that the person has then', async () => {
  await using backend = await startResumableBackend();
  const strategy = { type: 'upstream_inject' as const, providerName: 'gitlab' };
  const shared = {
    ...{ signer: await createTestSigner(), vault: createFakeVault(), sessionStore: createSessionStore() },
    sessionIdKeys: [Buffer.alloc(32, 7)],
    backends: [{ name: 'b', url: backend.url, strategy, timeoutMs: 20_000 }],
  };
  shared.vault.hold('usr_anna', 'gitlab', okAnswer('gl-1'));
  await using first = await startTestGateway(shared);
  await using second = await startTestGateway({ ...shared, description: first.description });
  const client = await openClient(first);
  const stream = await client.call(first, 'steps');
  await stream.next();
  const one = await stream.next();
  stream.leave();
  await first[Symbol.asyncDispose]();
  backend.second.resolve();
  backend.last.resolve();
  shared.vault.hold('usr_anna', 'gitlab', okAnswer('gl-2'));
  const rest = await client.resume(second, one.id!);
  assert.is(stepOf(await rest.next()), 2);
  assert.equal(resultOf(await rest.next()), done);
  const resumed = backend.seen.filter(({ resumes }) => resumes);
  assert.equal(
    resumed.map(({ authorization }) => authorization),
    ['Bearer gl-2'],
  );
});

test('a question is answered across the break, whether it was read before or not', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway);
  const result = { role: 'assistant', model: 'm', content: { type: 'text', text: 'words' } };
  for (const isRead of [true, false]) {
    const stream = await client.call(gateway, 'ask');
    const primed = await stream.next();
    const question = await stream.next();
    assert.is(question.message?.method, 'sampling/createMessage');
    stream.leave();
    const rest = await client.resume(gateway, (isRead ? question : primed).id!);
    const asked = isRead ? question : await rest.next();
    const answered = await client.post(gateway, { id: asked.message!.id, result });
    assert.is(answered.status, 202);
    assert.match(JSON.stringify(resultOf(await rest.next())), 'words');
  }
});

test('what is cancelled after the break is cancelled at the backend', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway);
  const stream = await client.call(gateway, 'steps');
  await stream.next();
  const one = await stream.next();
  stream.leave();
  const rest = await client.resume(gateway, one.id!);
  backend.second.resolve();
  await rest.next();
  await client.post(gateway, { method: 'notifications/cancelled', params: { requestId: 7 } });
  await untilCancelled(() => backend.seen);
});

test('a client of 2025-06-18 gets ids, and no event without a message, which it would not know', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway, 'usr_anna', '2025-06-18');
  const stream = await client.call(gateway, 'steps');
  const one = await stream.next();
  assert.is(stepOf(one), 1);
  stream.leave();
  backend.second.resolve();
  backend.last.resolve();
  const rest = await client.resume(gateway, one.id!);
  assert.is(stepOf(await rest.next()), 2);
  assert.equal(resultOf(await rest.next()), done);
});

test('an id is of use in its own session alone', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway);
  const stream = await client.call(gateway, 'steps');
  const { id } = await stream.next();
  const changed = `${id!.slice(0, -4)}${id!.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  const others = [await openClient(gateway, 'usr_ben'), await openClient(gateway)];
  for (const [who, lastEventId] of [
    [others[0]!, id!],
    [others[1]!, id!],
    [client, changed],
    [client, '1'],
    [client, `mce_${'A'.repeat(8_000)}`],
  ] as const)
    assert.is((await who.resume(gateway, lastEventId)).status, 400);
  assert.not.ok(backend.seen.some(({ resumes }) => resumes));
  stream.leave();
});

test('a client of 2026-07-28, which cannot come back, ends its call when it goes away', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const abort = new AbortController();
  const call = newerToolCall('b_steps', await gateway.signer.sign());
  const response = await fetch(gateway.url, { ...call, signal: abort.signal });
  const { value } = await response.body!.getReader().read();
  assert.not.match(Buffer.from(value!).toString(), /^id:/m);
  abort.abort();
  await untilCancelled(() => backend.seen);
});

test('the client of the SDK comes back by itself when its connection breaks', async () => {
  await using backend = await startResumableBackend();
  await using gateway = await startBefore(backend);
  const token = await gateway.signer.sign();
  let broken = 0;
  /** Breaks the stream of the call at its second event. */
  const breaking: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (!String(init?.body).includes('"tools/call"')) return response;
    let events = 0;
    const body = response.body!.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          controller.enqueue(chunk);
          events += Buffer.from(chunk).toString().split('\n\n').length - 1;
          if (events < 2) return;
          broken += 1;
          controller.terminate();
        },
      }),
    );
    return new Response(body, { status: response.status, headers: response.headers });
  };
  const client = new Client({ name: 'c', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(gateway.url), {
    fetch: breaking,
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  try {
    const heard: number[] = [];
    const called = client.callTool({ name: 'b_steps', arguments: {} }, undefined, {
      onprogress: ({ progress }) => heard.push(progress),
    });
    while (broken === 0) await pause(20);
    backend.second.resolve();
    backend.last.resolve();
    assert.equal((await called).content, [{ type: 'text', text: 'done' }]);
    assert.equal([heard, broken], [[1, 2], 1]);
  } finally {
    await client.close();
  }
});

test('a backend that gives no ids gives none, and its call ends with its client', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startBefore(backend);
  const client = await openClient(gateway);
  const begun = Promise.withResolvers<void>();
  backend.intercept = (_req, res, body) => {
    if (!body.includes('"tools/call"')) return false;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const params = { progressToken: 'p', progress: 1 };
    res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params })}\n\n`);
    res.once('close', begun.resolve);
    return true;
  };
  const stream = await client.call(gateway, 'whoami');
  assert.is((await stream.next()).id, undefined);
  stream.leave();
  await begun.promise;
  await untilCancelled(() => backend.requests);
});

test.run();
