import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('anonymous callers');

for (const kind of clientKinds)
  test(`${kind} calls without a token, as nobody: no backend hears of one, and the vault of no call`, async () => {
    await using backend = await startTestBackend();
    await using other = await startTestBackend();
    await using gateway = await startTestGateway({
      anonymous: true,
      backends: [
        { name: 'open', url: backend.url },
        {
          name: 'fixed',
          url: other.url,
          strategy: { type: 'header_injection', headerName: 'X-API-Key', headerValue: 'the-same-for-all' },
        },
        // As if somebody had come past the rules of the configuration.
        {
          name: 'personal',
          url: other.url,
          strategy: { type: 'upstream_inject', providerName: 'gitlab' },
        },
      ],
    });
    const token = 'whatever-the-client-has';
    await using client = await connectClient(kind, gateway.url, token);
    assert.ok((await client.listTools()).tools.some(({ name }) => name === 'open_whoami'));
    assert.is(textOf(await client.callTool({ name: 'open_whoami', arguments: {} })), 'nothing');
    await client.callTool({ name: 'fixed_whoami', arguments: {} });
    assert.ok(other.requests.some(({ headers }) => headers['x-api-key'] === 'the-same-for-all'));
    const personal = await client
      .callTool({ name: 'personal_whoami', arguments: {} })
      .catch((error) => error);
    assert.ok(personal instanceof Error || personal.isError === true);
    assert.equal(gateway.vault.asked, []);
    assert.not.match(JSON.stringify([...backend.requests, ...other.requests]), token);
    assert.not.match(gateway.logged(), token);
  });

test('there is nothing to sign in at, and pages of other sites are kept away all the same', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    anonymous: true,
    backends: [{ name: 'open', url: backend.url }],
  });
  const { origin } = new URL(gateway.url);
  for (const path of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp']) {
    const response = await fetch(origin + path);
    await response.body?.cancel();
    assert.is(response.status, 404);
  }
  const post = (headers: Record<string, string>) =>
    fetch(gateway.url, { method: 'POST', headers, body: '' }).then(async (response) => {
      await response.body?.cancel();
      return [response.status, response.headers.get('www-authenticate')];
    });
  assert.equal(await post({ origin: 'https://evil.example' }), [403, null]);
  assert.equal(await post({ authorization: 'Basic x' }), [415, null]);
});

test.run();
