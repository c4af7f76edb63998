// What the conformance suite starts as a client: a gateway in front of the suite's server, and a client that uses it.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { startTestGateway } from '../gateway/test-gateway.ts';

interface Tool {
  readonly name: string;
  readonly inputSchema: object;
}
interface Call {
  readonly name: string;
  readonly arguments: Record<string, unknown>;
}

const [version, url] = process.argv.slice(2) as [string, string];
/** Calls that a scenario wants to see. */
const { toolCalls = [] } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as { toolCalls?: Call[] };
const info = { name: 'test-client', version: '1' };
const capabilities = { elicitation: { form: { applyDefaults: true } } };
const accepted = { action: 'accept' as const, content: {} };

await using gateway = await startTestGateway({ backends: [{ name: 'suite', url, prefix: '' }] });
const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };

async function connect() {
  if (version !== '2026-07-28') {
    const client = new OlderClient(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, () => accepted);
    const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return client;
  }
  const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: version } } });
  client.setRequestHandler('elicitation/create', () => accepted);
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  return client;
}

function callsOf(tools: readonly Tool[]): readonly Call[] {
  if (toolCalls.length > 0) return toolCalls;
  const [first] = tools;
  const samples: Record<string, Record<string, unknown>> = {
    add_numbers: { a: 5, b: 3 },
    json_schema_echo: { schema: first?.inputSchema },
  };
  return tools.map(({ name }) => ({ name, arguments: samples[name] ?? {} }));
}

const client = await connect();
const { tools } = (await client.listTools()) as { tools: Tool[] };
for (const call of callsOf(tools)) {
  try {
    await client.callTool(call);
  } catch (error) {
    // Some scenarios have tools that cannot be called; what they want to see they look at themselves.
    console.error(`${call.name}: ${error}`);
  }
}
await client.close();
