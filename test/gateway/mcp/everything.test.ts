/** The MCP project's reference server behind the gateway, used by the clients of both SDKs. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openEverythingBackend } from '../../world/backends/everything.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp with server-everything');
const info = { name: 'test-client', version: '1' };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: { listChanged: true } };

async function connectOlder(gateway: TestGateway): Promise<OlderClient> {
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const client = new OlderClient(info, { capabilities });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'sampled words' },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' as const }));
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///work' }] }));
  const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return client;
}

test('SDK 1: tools, resources, prompts, completions, sampling, elicitation, progress, subscriptions, logging', async () => {
  await using backend = await openEverythingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'all', url: backend.url }] });
  const direct = new OlderClient(info, { capabilities });
  await direct.connect(
    new OlderTransport(new URL(backend.url)) as unknown as Parameters<typeof direct.connect>[0],
  );
  const client = await connectOlder(gateway);
  try {
    const through = (await client.listTools()).tools;
    const there = (await direct.listTools()).tools;
    assert.equal(
      through.map((tool) => ({ ...tool, name: tool.name.replace(/^all_/, '') })),
      there,
      'every definition, unchanged but for its name',
    );
    assert.equal(await client.listResources(), await direct.listResources());
    assert.equal(await client.listResourceTemplates(), await direct.listResourceTemplates());
    const { prompts } = await direct.listPrompts();
    assert.equal(
      (await client.listPrompts()).prompts.map(({ name }) => name),
      prompts.map(({ name }) => `all_${name}`),
    );
    const { resources } = await client.listResources();
    const { uri } = resources[0]!;
    assert.equal(await client.readResource({ uri }), await direct.readResource({ uri }));

    for (const [name, args] of [
      ['echo', { message: 'ünïcode' }],
      ['get-sum', { a: 2, b: 3 }],
      ['get-structured-content', { location: 'Chicago' }],
      ['get-annotated-message', { messageType: 'success', includeImage: true }],
      ['get-tiny-image', {}],
      ['get-resource-links', { count: 2 }],
    ] as const) {
      const result = await client.callTool({ name: `all_${name}`, arguments: args });
      assert.equal(result, await direct.callTool({ name, arguments: args }), name);
    }
    const sampled = await client.callTool({
      name: 'all_trigger-sampling-request',
      arguments: { prompt: 'Say something', maxTokens: 10 },
    });
    assert.match(JSON.stringify(sampled), 'sampled words');
    const elicited = await client.callTool({ name: 'all_trigger-elicitation-request', arguments: {} });
    assert.match(JSON.stringify(elicited), /declin/);
    const steps: number[] = [];
    await client.callTool(
      { name: 'all_trigger-long-running-operation', arguments: { duration: 1, steps: 4 } },
      undefined,
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    assert.equal(steps, [1, 2, 3, 4]);

    const updated = Promise.withResolvers<void>();
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, () => updated.resolve());
    await client.subscribeResource({ uri });
    await client.callTool({ name: 'all_toggle-subscriber-updates', arguments: {} });
    await updated.promise;

    const logged = Promise.withResolvers<void>();
    client.setNotificationHandler(LoggingMessageNotificationSchema, () => logged.resolve());
    await client.setLoggingLevel('debug');
    await client.callTool({ name: 'all_toggle-simulated-logging', arguments: {} });
    await logged.promise;
  } finally {
    await client.close();
    await direct.close();
  }
});

for (const version of ['2025-11-25', '2026-07-28'] as const) {
  test(`SDK 2 (${version}): the same server`, async () => {
    await using backend = await openEverythingBackend();
    await using gateway = await startTestGateway({ backends: [{ name: 'all', url: backend.url }] });
    const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
    const client = new Client(info, {
      capabilities,
      versionNegotiation: { mode: version === '2026-07-28' ? { pin: version } : 'legacy' },
    });
    client.setRequestHandler('sampling/createMessage', () => ({
      role: 'assistant' as const,
      model: 'm',
      content: { type: 'text' as const, text: 'sampled words' },
    }));
    client.setRequestHandler('elicitation/create', () => ({ action: 'decline' as const }));
    client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///work' }] }));
    await client.connect(
      new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }),
    );
    const names = (await client.listTools()).tools.map(({ name }) => name);
    assert.ok(names.includes('all_echo') && names.includes('all_trigger-sampling-request'), names.join());
    const sampled = await client.callTool({
      name: 'all_trigger-sampling-request',
      arguments: { prompt: 'Say something', maxTokens: 10 },
    });
    assert.match(JSON.stringify(sampled), 'sampled words');
    const structured = await client.callTool({
      name: 'all_get-structured-content',
      arguments: { location: 'Chicago' },
    });
    assert.ok(structured.structuredContent !== undefined);
    const { resources } = await client.listResources();
    assert.ok((await client.readResource({ uri: resources[0]!.uri })).contents.length > 0);
    await client.close();
  });
}

test.run();
