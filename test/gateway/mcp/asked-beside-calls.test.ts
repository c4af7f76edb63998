/**
 * Servers of 2025-11-25 that ask the client beside the call to which the question belongs, as those of the SDK do by
 * `elicitInput` and the like: the person is asked all the same, whichever version the client speaks.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp asked beside calls');
const versions = ['2025-11-25', '2026-07-28'] as const;
type Version = (typeof versions)[number];

const info = { name: 'test-client', version: '1' };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };
const elicited = { action: 'accept' as const, content: { word: 'blue' } };
const sampled = { role: 'assistant' as const, model: 'm', content: { type: 'text' as const, text: 'Paris' } };
const rooted = { roots: [{ uri: 'file:///work' }] };

interface AskingBackend extends AsyncDisposable {
  readonly url: string;
  /** Methods of the HTTP requests that came, in order. */
  readonly requests: string[];
  /** The token of each answer of a client. */
  readonly answeredWith: (string | undefined)[];
  /** An answer with this token is none. */
  rejected: string | null;
  changeTools(): void;
}

/** @param stream beside the calls: refused, as at a server without sessions, or asked for in vain */
async function startAskingBackend(
  stream: 'offered' | 'refused' | 'silent' = 'offered',
): Promise<AskingBackend> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const requests: string[] = [];
  const answeredWith: AskingBackend['answeredWith'] = [];
  const servers: McpServer[] = [];

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    const mcp = new McpServer({ name: 'asking', version: '1' });
    const say = (value: unknown) => ({ content: [{ type: 'text' as const, text: JSON.stringify(value) }] });
    const requestedSchema = { type: 'object' as const, properties: { word: { type: 'string' as const } } };
    mcp.registerTool('elicit', {}, async () =>
      say(await mcp.server.elicitInput({ message: 'Which?', requestedSchema })),
    );
    mcp.registerTool('sample', {}, async () =>
      say(await mcp.server.createMessage({ messages: [], maxTokens: 1 })),
    );
    mcp.registerTool('roots', {}, async () => say(await mcp.server.listRoots()));
    mcp.registerTool('plain', {}, () => say('plain'));
    servers.push(mcp);
    await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
    return transport;
  }

  const server = createServer(async (req, res) => {
    const body = await text(req);
    requests.push(req.method!);
    if (body.includes('"result"')) {
      answeredWith.push(req.headers.authorization);
      if (backend.rejected !== null && req.headers.authorization === `Bearer ${backend.rejected}`)
        return void res.writeHead(401).end();
    }
    if (req.method === 'GET' && stream === 'refused') return void res.writeHead(405).end();
    if (req.method === 'GET' && stream === 'silent') return;
    const id = req.headers['mcp-session-id'];
    const transport = id === undefined ? await open() : transports.get(String(id));
    if (transport === undefined) res.writeHead(404).end();
    else await transport.handleRequest(req, res, body === '' ? undefined : JSON.parse(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const backend: AskingBackend = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    requests,
    answeredWith,
    rejected: null,
    changeTools() {
      for (const mcp of servers) mcp.sendToolListChanged();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return backend;
}

async function connect(version: Version, gateway: TestGateway, onAsked = () => {}) {
  const elicit = () => {
    onAsked();
    return elicited;
  };
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const textIn = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text;
  if (version === '2025-11-25') {
    const client = new OlderClient(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, elicit);
    client.setRequestHandler(CreateMessageRequestSchema, () => sampled);
    client.setRequestHandler(ListRootsRequestSchema, () => rooted);
    const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    const call = async (name: string) => textIn(await client.callTool({ name, arguments: {} }));
    return { call, [Symbol.asyncDispose]: () => client.close() };
  }
  const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: version } } });
  client.setRequestHandler('elicitation/create', elicit);
  client.setRequestHandler('sampling/createMessage', () => sampled);
  client.setRequestHandler('roots/list', () => rooted);
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  const call = async (name: string) => textIn(await client.callTool({ name, arguments: {} }));
  return { call, [Symbol.asyncDispose]: () => client.close() };
}

for (const version of versions) {
  test(`client ${version}: the person is asked, at the first call as at later ones`, async () => {
    await using backend = await startAskingBackend();
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    for (const [tool, answer] of [
      ['elicit', elicited],
      ['sample', sampled],
      ['roots', rooted],
    ] as const) {
      await using client = await connect(version, gateway);
      for (let time = 0; time < 2; time += 1)
        assert.equal(JSON.parse(await client.call(`b_${tool}`)), answer, tool);
    }
  });

  test(`client ${version}: a backend that offers no stream beside the calls is asked for it once`, async () => {
    await using backend = await startAskingBackend('refused');
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    await using client = await connect(version, gateway);
    for (let time = 0; time < 3; time += 1) assert.is(await client.call('b_plain'), '"plain"');
    // A client of the older protocol listens besides.
    const most = version === '2026-07-28' ? 1 : 2;
    assert.ok(backend.requests.filter((method) => method === 'GET').length <= most, backend.requests.join());
  });
}

test('what the person answers goes to the backend with the token of now, not with that of the stream', async () => {
  await using backend = await startAskingBackend();
  const strategy = { type: 'upstream_inject', providerName: 'gitlab' } as const;
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url, strategy }] });
  await using client = await connect('2026-07-28', gateway);
  for (const token of ['first', 'second']) {
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer(token));
    assert.equal(JSON.parse(await client.call('b_elicit')), elicited);
  }
  assert.equal(backend.answeredWith, ['Bearer first', 'Bearer second']);
});

for (const version of versions)
  test(`client ${version}: an answer goes on with a renewed token when that of the call has ended meanwhile`, async () => {
    await using backend = await startAskingBackend();
    const strategy = { type: 'upstream_inject', providerName: 'gitlab' } as const;
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url, strategy }] });
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('of-the-call', 1));
    await using client = await connect(version, gateway, () => {
      backend.rejected = 'of-the-call';
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('renewed', 2));
    });
    assert.equal(JSON.parse(await client.call('b_elicit')), elicited);
    assert.equal(backend.answeredWith, ['Bearer of-the-call', 'Bearer renewed']);
    assert.equal(
      gateway.facts.map(({ fact, version: rejected }) => [fact, rejected]),
      [['refresh-requested', 1]],
    );
  });

test('a backend that does not answer when it is asked for the stream is called all the same', async () => {
  await using backend = await startAskingBackend('silent');
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using client = await connect('2026-07-28', gateway);
  const answers = await Promise.all(Array.from({ length: 3 }, () => client.call('b_plain')));
  assert.equal(answers, ['"plain"', '"plain"', '"plain"']);
  assert.is(await client.call('b_plain'), '"plain"');
  assert.is(backend.requests.filter((method) => method === 'GET').length, 1);
});

test('a client that listens twice and is asked as well has one stream at the backend', async () => {
  await using backend = await startAskingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const heard: string[] = [];
  const listeners = await Promise.all(
    ['one', 'other'].map(async (name) => {
      const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } });
      client.setRequestHandler('elicitation/create', () => elicited);
      client.setRequestHandler('sampling/createMessage', () => sampled);
      client.setRequestHandler('roots/list', () => rooted);
      client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push(name));
      await client.connect(
        new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }),
      );
      await client.listen({ toolsListChanged: true });
      return client;
    }),
  );
  await using client = await connect('2026-07-28', gateway);
  assert.equal(JSON.parse(await client.call('b_elicit')), elicited);
  backend.changeTools();
  while (new Set(heard).size < 2) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(JSON.parse(await client.call('b_roots')), rooted);
  assert.is(backend.requests.filter((method) => method === 'GET').length, 1);
  for (const listener of listeners) await listener.close();
});

test.run();
