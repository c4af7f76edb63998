/**
 * The conformance suite as a backend: what a proxy asks of one is what a client may ask, whichever version the proxy's own
 * client speaks. Left out are the scenarios of signing in, for a gateway has no tokens but those it is given.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runClientConformance } from '../../world/conformance-suite.ts';

const test = suite('gateway/mcp conformance as a client');

const scenarios = {
  '2025-11-25': [
    'initialize',
    'tools_call',
    'elicitation-sep1034-client-defaults',
    'sse-retry',
    'json-schema-2020-12-preservation',
  ],
  '2026-07-28': [
    'tools_call',
    'request-metadata',
    'sep-2322-client-request-state',
    'http-standard-headers',
    'http-custom-headers',
    'http-invalid-tool-headers',
    'json-schema-ref-no-deref',
    'json-schema-2020-12-preservation',
  ],
} as const;

for (const revision of ['2025-11-25', '2026-07-28'] as const)
  for (const scenario of scenarios[revision])
    for (const clientVersion of ['2025-11-25', '2026-07-28'] as const)
      test(`${revision}: the gateway passes ${scenario} for a client of ${clientVersion}`, async () => {
        assert.is(await runClientConformance(scenario, revision, clientVersion), null);
      });

test.run();
