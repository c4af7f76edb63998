/** One MCP session at several gateways, which speak with each other over a real NATS. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNatsPeers } from '../../../gateway/mcp/nats-peers.ts';
import { openConformanceBackend } from '../../world/backends/conformance.ts';
import { openEverythingBackend } from '../../world/backends/everything.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { createFakeVault } from '../fake-vault.ts';
import { createTestSigner, type TestSigner } from '../signing.ts';
import { createSessionStore, startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp replicas');
const info = { name: 'test-client', version: '1' };
const sessionIdKeys = [Buffer.alloc(32, 9)];

interface Replicas extends AsyncDisposable {
  readonly gateways: readonly TestGateway[];
  readonly signer: TestSigner;
  start(): Promise<TestGateway>;
}

/** Gateways of one instance. */
async function startReplicas(count: number, backend: { url: string }): Promise<Replicas> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await openNatsServer());
  const signer = await createTestSigner();
  const shared = { signer, vault: createFakeVault(), sessionStore: createSessionStore(), sessionIdKeys };
  const gateways: TestGateway[] = [];
  const start = async () => {
    const connection = await connect({ servers: nats.url });
    stack.defer(() => connection.close());
    const description = gateways[0]?.description;
    const gateway = stack.use(
      await startTestGateway({
        ...shared,
        backends: [{ name: 'b', url: backend.url }],
        peers: (bootId) =>
          createNatsPeers({
            connection,
            bootId,
            keys: sessionIdKeys,
            now: Date.now,
            log: { warn: () => {} },
          }),
        ...(description === undefined ? {} : { description }),
      }),
    );
    await connection.flush();
    gateways.push(gateway);
    return gateway;
  };
  for (let started = 0; started < count; started += 1) await start();
  return { gateways, signer, start, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Sends each request to the gateway that is chosen for it, as a balancer without stickiness does. */
function balance(choose: (method: string, body: string) => TestGateway, token: string): typeof fetch {
  return (input, init) => {
    const body = typeof init?.body === 'string' ? init.body : '';
    const { url } = choose(init?.method ?? 'GET', body);
    const headers = new Headers(init?.headers);
    headers.set('authorization', `Bearer ${token}`);
    return fetch(url + new URL(String(input)).search, { ...init, headers });
  };
}

const textOf = (result: unknown) => JSON.stringify((result as { content: unknown }).content);

test('a client of 2025-11-25 answers at one gateway what another asked it', async () => {
  await using backend = await openConformanceBackend('2025-11-25');
  await using replicas = await startReplicas(2, backend);
  const [first, second] = replicas.gateways as [TestGateway, TestGateway];
  const client = new OlderClient(info, { capabilities: { elicitation: { form: {} } } });
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: 'accept' as const,
    content: { response: 'from elsewhere' },
  }));
  // Calls go to the first, everything else to the second: answers above all.
  const send = balance(
    (_method, body) => (body.includes('"tools/call"') ? first : second),
    await replicas.signer.sign(),
  );
  const transport = new OlderTransport(new URL(first.url), { fetch: send });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  const result = await client.callTool({ name: 'b_test_elicitation', arguments: { message: 'Really?' } });
  assert.match(textOf(result), 'from elsewhere');
  await client.close();
});

test('a call that waits for an answer of a client of 2026-07-28 goes on at any gateway', async () => {
  await using backend = await openConformanceBackend('2025-11-25');
  await using replicas = await startReplicas(2, backend);
  let requests = 0;
  const client = new Client(info, {
    capabilities: { elicitation: { form: {} } },
    versionNegotiation: { mode: { pin: '2026-07-28' } },
  });
  client.setRequestHandler('elicitation/create', () => ({
    action: 'accept' as const,
    content: { response: 'yes' },
  }));
  const send = balance(
    () => {
      requests += 1;
      return replicas.gateways[requests % 2]!;
    },
    await replicas.signer.sign(),
  );
  await client.connect(
    new StreamableHTTPClientTransport(new URL(replicas.gateways[0]!.url), { fetch: send }),
  );
  for (let round = 0; round < 4; round += 1) {
    const result = await client.callTool({ name: 'b_test_elicitation', arguments: { message: 'Really?' } });
    assert.match(textOf(result), /action=accept.*yes/);
  }
  await client.close();
});

test('one that fails is told as a failure at any gateway, at once', async () => {
  await using backend = await openConformanceBackend('2025-11-25');
  await using replicas = await startReplicas(2, backend);
  let requests = 0;
  const client = new Client(info, {
    capabilities: { elicitation: { form: {} } },
    versionNegotiation: { mode: { pin: '2026-07-28' } },
  });
  client.setRequestHandler('elicitation/create', async () => {
    await backend[Symbol.asyncDispose]();
    return { action: 'accept' as const, content: { response: 'yes' } };
  });
  const send = balance(
    () => {
      requests += 1;
      return replicas.gateways[requests % 2]!;
    },
    await replicas.signer.sign(),
  );
  const [{ url }] = replicas.gateways as [TestGateway];
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch: send }));
  const result = await client.callTool({ name: 'b_test_elicitation', arguments: { message: 'Really?' } });
  assert.is(result.isError, true);
  assert.match(textOf(result), /backend .*b.* could not be reached/);
  await client.close();
});

test('a gateway that cannot answer another says so', async () => {
  await using nats = await openNatsServer();
  const connection = await connect({ servers: nats.url });
  const warnings: object[] = [];
  const create = (bootId: string) =>
    createNatsPeers({
      ...{ connection, bootId, keys: sessionIdKeys, now: Date.now },
      log: { warn: (about: object) => void warnings.push(about) },
    });
  using one = create('boot_a');
  using other = create('boot_b');
  other.serve('throw', () => Promise.reject(new Error('no')));
  // NATS takes a mebibyte.
  other.serve('pour', () => ({ much: 'x'.repeat(2_000_000) }));
  await connection.flush();
  for (const operation of ['throw', 'pour']) assert.is(await one.ask('boot_b', operation, {}), null);
  assert.is(warnings.length, 2);
  await connection.close();
});

test('level and watched resources of a session are known at a gateway that was started later', async () => {
  await using backend = await openEverythingBackend();
  await using replicas = await startReplicas(1, backend);
  const [first] = replicas.gateways as [TestGateway];
  let serving = first;
  const send = balance(() => serving, await replicas.signer.sign());
  const open = async (sessionId?: string) => {
    const client = new OlderClient(info);
    const transport = new OlderTransport(new URL(first.url), {
      fetch: send,
      ...(sessionId === undefined ? {} : { sessionId }),
    });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return { client, transport };
  };
  const before = await open();
  const { uri } = (await before.client.listResources()).resources[0]!;
  await before.client.setLoggingLevel('debug');
  await before.client.subscribeResource({ uri });
  const { sessionId } = before.transport;
  // The session goes on; a client that lost its stream would open another, and one message goes on one stream.
  await before.client.close();

  serving = await replicas.start();
  await first[Symbol.asyncDispose]();
  const after = await open(sessionId!);
  const updated = Promise.withResolvers<string>();
  const logged = Promise.withResolvers<void>();
  after.client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
    updated.resolve(params.uri),
  );
  after.client.setNotificationHandler(LoggingMessageNotificationSchema, () => logged.resolve());
  // Upon this it opens its stream.
  await after.transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  await after.client.callTool({ name: 'b_toggle-subscriber-updates', arguments: {} });
  await after.client.callTool({ name: 'b_toggle-simulated-logging', arguments: {} });
  assert.is(await updated.promise, uri);
  await logged.promise;
  await after.client.close();
});

test('whoever holds the stream of a session hears of the backends that it uses at another gateway', async () => {
  await using backend = await openConformanceBackend('2026-07-28');
  await using replicas = await startReplicas(2, backend);
  const [first, second] = replicas.gateways as [TestGateway, TestGateway];
  const client = new OlderClient(info);
  const told = Promise.withResolvers<void>();
  let waiting = true;
  client.fallbackNotificationHandler = async ({ method }) => {
    if (method === 'notifications/prompts/list_changed') told.resolve();
  };
  told.promise.then(() => {
    waiting = false;
  });
  const send = balance((method) => (method === 'GET' ? first : second), await replicas.signer.sign());
  const transport = new OlderTransport(new URL(first.url), { fetch: send });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  while (waiting) {
    await client.callTool({ name: 'b_test_trigger_prompt_change', arguments: {} });
    await Promise.race([told.promise, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  await client.close();
});

test('what gateways say to each other is sealed, and nothing else is listened to', async () => {
  await using nats = await openNatsServer();
  const connection = await connect({ servers: nats.url });
  const spy = await connect({ servers: nats.url });
  const heard: string[] = [];
  spy.subscribe('latchkey.gateway.>', {
    callback: (_error, message) => {
      const text = Buffer.from(message.data).toString();
      if (heard.includes(text)) return;
      heard.push(text);
      // Sent again as it is, and to another one.
      for (const subject of [message.subject, message.subject.replace('all', 'boot_b')])
        spy.publish(subject, message.data);
    },
  });
  const told: unknown[] = [];
  const create = (bootId: string) =>
    createNatsPeers({ connection, bootId, keys: sessionIdKeys, now: Date.now, log: { warn: () => {} } });
  using one = create('boot_a');
  using other = create('boot_b');
  other.serve('note', (note) => {
    told.push(note);
    return { echo: note };
  });
  await spy.flush();
  assert.equal(await one.ask('boot_b', 'note', { secret: 'words' }), { echo: { secret: 'words' } });
  one.tell('note', { secret: 'more' });
  assert.is(await one.ask('boot_gone', 'note', {}), null);
  for (const client of [connection, spy, connection]) await client.flush();
  assert.equal(told, [{ secret: 'words' }, { secret: 'more' }], 'each once');
  assert.ok(heard.length > 2);
  assert.not.match(heard.join(), /words|more|secret/);
  connection.publish('latchkey.gateway.boot_b.note', Buffer.from('{"content":{"secret":"forged"}}'));
  await connection.flush();
  assert.is(told.length, 2);
  await connection.close();
  await spy.close();
});

test.run();
