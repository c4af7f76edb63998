/** The conformance suite as a backend: what a proxy asks of one is what a client may ask. */
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runClientConformance } from '../../world/conformance-suite.ts';

const test = suite('gateway/mcp conformance as a client');
const client = fileURLToPath(new URL('../../world/conformance-client-process.ts', import.meta.url));

for (const [scenario, revision] of [
  ['initialize', '2025-11-25'],
  ['tools_call', '2025-11-25'],
  ['sse-retry', '2025-11-25'],
  ['tools_call', '2026-07-28'],
  ['request-metadata', '2026-07-28'],
] as const)
  test(`${revision}: the gateway is a client that passes ${scenario}`, async () => {
    assert.is(await runClientConformance(client, scenario, revision), null);
  });

test.run();
