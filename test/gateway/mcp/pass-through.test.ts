/** What goes both ways through the gateway, between clients and backends of either protocol version. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openConformanceBackend } from '../../world/backends/conformance.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp pass-through');
const info = { name: 'test-client', version: '1' };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: { listChanged: true } };
const sampled = { role: 'assistant' as const, model: 'm', content: { type: 'text' as const, text: 'Paris' } };
const rooted = { roots: [{ uri: 'file:///work', name: 'work' }] };
const answers: Record<string, object> = {
  name: { name: 'Anna' },
  color: { color: 'blue' },
  response: { response: 'yes' },
  ok: { ok: true },
};

type Content = { content: { type: string; text?: string }[]; isError?: boolean };

interface AskedClient extends AsyncDisposable {
  call(name: string, args?: Record<string, unknown>): Promise<string>;
  /** What the person was asked. */
  readonly asked: string[];
  readonly client: Client | OlderClient;
}

type Version = '2025-11-25' | '2026-07-28';

async function connect(version: Version, gateway: TestGateway, sub = 'usr_anna'): Promise<AskedClient> {
  const asked: string[] = [];
  const headers = { authorization: `Bearer ${await gateway.signer.sign({ sub })}` };
  const elicit = ({ params }: { params: { message: string; requestedSchema?: object } }) => {
    asked.push(params.message);
    const fields = Object.keys((params.requestedSchema as { properties: object }).properties);
    return { action: 'accept' as const, content: answers[fields[0]!] as Record<string, string | boolean> };
  };
  const textOf = ({ content }: Content) => content.map(({ text }) => text).join();
  if (version === '2025-11-25') {
    const client = new OlderClient(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, (request) => elicit(request as never));
    client.setRequestHandler(CreateMessageRequestSchema, () => sampled);
    client.setRequestHandler(ListRootsRequestSchema, () => rooted);
    const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return {
      asked,
      client,
      call: async (name, args = {}) => textOf((await client.callTool({ name, arguments: args })) as Content),
      [Symbol.asyncDispose]: () => client.close(),
    };
  }
  const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: version } } });
  client.setRequestHandler('elicitation/create', (request) => elicit(request as never));
  client.setRequestHandler('sampling/createMessage', () => sampled);
  client.setRequestHandler('roots/list', () => rooted);
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  return {
    asked,
    client,
    call: async (name, args = {}) => textOf((await client.callTool({ name, arguments: args })) as Content),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

for (const clientVersion of ['2025-11-25', '2026-07-28'] as const) {
  test(`a client of ${clientVersion} is asked by a backend of 2025-11-25 in the middle of a call`, async () => {
    await using backend = await openConformanceBackend('2025-11-25');
    await using gateway = await startTestGateway({ backends: [{ name: 'old', url: backend.url }] });
    await using client = await connect(clientVersion, gateway);
    assert.is(
      await client.call('old_test_elicitation', { message: 'Really?' }),
      'User response: action=accept, content={"response":"yes"}',
    );
    assert.equal(client.asked, ['Really?']);
    assert.is(await client.call('old_test_sampling', { prompt: 'Capital?' }), 'LLM response: Paris');
  });

  test(`a client of ${clientVersion} is asked by a backend of 2026-07-28, in several rounds`, async () => {
    await using backend = await openConformanceBackend('2026-07-28');
    await using gateway = await startTestGateway({ backends: [{ name: 'new', url: backend.url }] });
    await using client = await connect(clientVersion, gateway);
    assert.is(await client.call('new_test_input_required_result_multi_round'), 'Anna likes blue');
    assert.equal(client.asked, ['Step 1: What is your name?', 'Step 2: What is your favorite color?']);
    assert.is(
      await client.call('new_test_input_required_result_multiple_inputs'),
      'Paris Anna, 1 roots',
      'three questions at once',
    );
    assert.is(await client.call('new_test_input_required_result_request_state'), 'state-ok');
    assert.is(
      await client.call('new_test_x_mcp_header', { region: 'Zürich' }),
      'region=Zürich',
      'an argument in a header',
    );
  });

  for (const backendVersion of ['2025-11-25', '2026-07-28'] as const) {
    const pair = `client ${clientVersion}, backend ${backendVersion}`;

    test(`resources, templates, prompts and completions (${pair})`, async () => {
      await using backend = await openConformanceBackend(backendVersion);
      await using other = await openConformanceBackend(
        backendVersion === '2025-11-25' ? '2026-07-28' : '2025-11-25',
      );
      await using gateway = await startTestGateway({
        backends: [
          { name: 'a', url: backend.url },
          { name: 'b', url: other.url },
        ],
      });
      await using connected = await connect(clientVersion, gateway);
      const client = connected.client as Client;
      const { resources } = await client.listResources();
      assert.is(resources.filter(({ uri }) => uri === 'test://static-text').length, 1);
      const { resourceTemplates } = await client.listResourceTemplates();
      assert.is(resourceTemplates.length, 1);
      const read = await client.readResource({ uri: 'test://template/7/data' });
      assert.match(JSON.stringify(read.contents), 'Data for ID: 7');
      const missing = await client.readResource({ uri: 'other://nothing' }).catch((error) => error);
      assert.is(missing.code, clientVersion === '2025-11-25' ? -32002 : -32602);

      const { prompts } = await client.listPrompts();
      const names = prompts.map(({ name }) => name);
      assert.ok(names.includes('a_test_simple_prompt') && names.includes('b_test_simple_prompt'));
      const prompt = await client.getPrompt({
        name: 'b_test_prompt_with_arguments',
        arguments: { arg1: 'x', arg2: 'y' },
      });
      assert.match(JSON.stringify(prompt.messages), "arg1='x', arg2='y'");
      for (const ref of [
        { type: 'ref/prompt' as const, name: 'a_test_prompt_with_arguments' },
        { type: 'ref/resource' as const, uri: 'test://template/{id}/data' },
      ]) {
        const { completion } = await client.complete({ ref, argument: { name: 'arg1', value: 'pa' } });
        assert.equal(completion.values, ['paris', 'park']);
      }
      const { tools } = await client.listTools();
      const kept = tools.find(({ name }) => name === 'a_json_schema_2020_12_tool');
      assert.equal(Object.keys(kept!.inputSchema).sort(), [
        '$defs',
        '$schema',
        'additionalProperties',
        'allOf',
        'else',
        'if',
        'properties',
        'then',
        'type',
      ]);
    });

    test(`changes that a backend tells of reach who listens (${pair})`, async () => {
      await using backend = await openConformanceBackend(backendVersion);
      await using gateway = await startTestGateway({ backends: [{ name: 'a', url: backend.url }] });
      const told = Promise.withResolvers<void>();
      await using connected = await connect(clientVersion, gateway);
      const { client } = connected;
      if (client instanceof Client) {
        client.setNotificationHandler('notifications/tools/list_changed', () => told.resolve());
        await client.listen({ toolsListChanged: true });
      } else {
        client.fallbackNotificationHandler = async ({ method }) => {
          if (method === 'notifications/tools/list_changed') told.resolve();
        };
      }
      // A session listens to the backends that it uses, from the first use on; until then nothing is missed.
      let waiting = true;
      told.promise.then(() => {
        waiting = false;
      });
      while (waiting) {
        await connected.call('a_test_trigger_tool_change');
        await Promise.race([told.promise, new Promise((resolve) => setTimeout(resolve, 50))]);
      }
    });
  }
}

test('state of a backend is sealed for one person, one client, one request', async () => {
  await using backend = await openConformanceBackend('2026-07-28');
  await using gateway = await startTestGateway({ backends: [{ name: 'new', url: backend.url }] });
  const method = 'tools/call';
  const ask = async (sub: string, tool: string, params: object) => {
    const name = `new_test_input_required_result_${tool}`;
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await gateway.signer.sign({ sub })}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        'mcp-name': name,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method,
        params: {
          name,
          arguments: {},
          ...params,
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientInfo': info,
            'io.modelcontextprotocol/clientCapabilities': capabilities,
          },
        },
      }),
    });
    return (await response.json()) as {
      result?: { requestState?: string; content?: unknown };
      error?: { code: number };
    };
  };
  const { requestState } = (await ask('usr_anna', 'request_state', {})).result!;
  const inputResponses = { confirm: { action: 'accept', content: { ok: true } } };
  const retry = { requestState, inputResponses };
  assert.is((await ask('usr_ben', 'request_state', retry)).error?.code, -32602, 'of another person');
  assert.is((await ask('usr_anna', 'tampered_state', retry)).error?.code, -32602, 'for another tool');
  for (const changed of [`${requestState}A`, requestState!.slice(1), '', 7])
    assert.is(
      (await ask('usr_anna', 'request_state', { ...retry, requestState: changed })).error?.code,
      -32602,
    );
  assert.match(JSON.stringify((await ask('usr_anna', 'request_state', retry)).result), 'state-ok');
});

test.run();
