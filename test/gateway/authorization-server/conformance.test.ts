/** The MCP project's conformance suite for authorization servers: every scenario that it has. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../../world/browser.ts';
import { runAuthorizationConformance } from '../../world/conformance-suite.ts';
import { findFreePorts } from '../../world/free-ports.ts';
import { registerClient, startServer } from './started-server.ts';

const test = suite('authorization-server/conformance');

test('every check of the suite passes', async () => {
  await using server = await startServer();
  const [callbackPort] = (await findFreePorts(1)) as [number];
  const callback = `http://127.0.0.1:${callbackPort}/callback`;
  const { client_id: clientId } = await registerClient(server, { redirect_uris: [callback] });
  const { issuer, resource } = server;
  const results = await runAuthorizationConformance(
    { issuer, clientId, resource, callbackPort },
    async (address) => {
      const browser = new Browser();
      await browser.goto(address);
      await browser.submit({}, { button: 'approve' });
    },
  );
  assert.equal(Object.fromEntries(results), {
    'authorization-code-grant: authorization-code-grant': 'SUCCESS',
    'authorization-server-metadata-endpoint: authorization-server-metadata': 'SUCCESS',
    'authorization-server-metadata-endpoint: authorization-server-metadata-cimd': 'SUCCESS',
  });
});

test.run();
