/** Where nobody is asked who they are, everybody may call, and the operator is told so. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectClient, textOf } from '../gateway/test-gateway.ts';
import { openExternalInstallation } from '../world/external-installation.ts';

const test = suite('anonymous');

test('everybody may call, with a loud warning at the start, and none of the paths of a sign-in is there', async () => {
  await using installation = await openExternalInstallation({ anonymous: true });
  const { mcpUrl, origin } = installation;
  await using client = await connectClient('sdk 2 (2026-07-28)', mcpUrl, 'none');
  const result = await client.callTool({ name: 'everything_echo', arguments: { message: 'hello' } });
  assert.match(textOf(result), 'hello');
  assert.match(installation.output(), /"level":"warn".*ANONYMOUS/);
  for (const path of ['/.well-known/oauth-protected-resource/mcp', '/oauth/authorize', '/oauth/token']) {
    const response = await fetch(origin + path);
    await response.body?.cancel();
    assert.is(response.status, 404, path);
  }
  const readiness = await fetch(`${origin}/readyz`);
  await readiness.body?.cancel();
  assert.is(readiness.status, 200);
  const page = await (await fetch(`${origin}/`)).text();
  assert.match(page, 'For any client that speaks streamable HTTP.');
  assert.not.match(page, /sign (you )?in/i);
});

test.run();
