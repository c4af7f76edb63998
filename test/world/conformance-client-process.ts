// What the conformance suite starts as a client: a gateway in front of the suite's server, and a client that uses it.
import { connectClient, startTestGateway } from '../gateway/test-gateway.ts';

const url = process.argv.at(-1)!;
const isNewer = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28';
const samples: Readonly<Record<string, Record<string, unknown>>> = { add_numbers: { a: 5, b: 3 } };

await using gateway = await startTestGateway({ backends: [{ name: 'suite', url, prefix: '' }] });
await using client = await connectClient(
  isNewer ? 'sdk 2 (2026-07-28)' : 'sdk 1 (2025-11-25)',
  gateway.url,
  await gateway.signer.sign(),
);
for (const { name } of (await client.listTools()).tools)
  await client.callTool({ name, arguments: samples[name] ?? {} });
