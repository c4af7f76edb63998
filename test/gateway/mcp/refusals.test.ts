/** The table of what the MCP endpoint answers to a caller who will not do, and to messages that will not do. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import { createTestSigner } from '../signing.ts';
import { startTestBackend } from '../test-backend.ts';
import {
  clientKinds,
  connectClient,
  createSessionStore,
  startTestGateway,
  type TestGateway,
} from '../test-gateway.ts';

const test = suite('gateway/mcp refusals');
const metadata =
  'resource_metadata="http://localhost:4483/.well-known/oauth-protected-resource/mcp", scope="mcp"';

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};

function post(
  { url }: TestGateway,
  body: unknown,
  headers: Record<string, string> = {},
  method = 'POST',
): Promise<Response> {
  return fetch(url, {
    method,
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    },
    ...(method === 'POST' ? { body: typeof body === 'string' ? body : JSON.stringify(body) } : {}),
  });
}

async function errorOf(response: Response): Promise<{ status: number; code: number; message: string }> {
  const { error } = (await response.json()) as { error: { code: number; message: string } };
  return { status: response.status, ...error };
}

/** Sends `initialize` and gives the session id. */
async function openSession(gateway: TestGateway, token: string): Promise<string> {
  const response = await post(gateway, initialize, { authorization: `Bearer ${token}` });
  assert.is(response.status, 200);
  await response.text();
  return response.headers.get('mcp-session-id')!;
}

test('401 names the metadata and the scope, and an error only where a token was sent', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  const stranger = await createTestSigner('key-9');
  const sign = gateway.signer.sign;
  for (const method of ['POST', 'GET', 'DELETE']) {
    for (const headers of [{}, { authorization: 'Basic eDp5' }, { authorization: 'Bearer' }] as Record<
      string,
      string
    >[]) {
      const response = await post(gateway, initialize, headers, method);
      assert.is(response.status, 401);
      assert.is(response.headers.get('www-authenticate'), `Bearer ${metadata}`);
    }
  }
  for (const token of [
    'not-a-jwt',
    'a b',
    await sign({ exp: 1 }),
    await sign({ aud: 'https://other.example/mcp' }),
    await stranger.sign(),
  ]) {
    const response = await post(gateway, initialize, { authorization: `Bearer ${token}` });
    assert.is(response.status, 401);
    const challenge = response.headers.get('www-authenticate')!;
    assert.match(challenge, /^Bearer error="invalid_token", error_description="[^"]+", resource_metadata=/);
    assert.ok(challenge.endsWith(metadata));
  }
  assert.is(gateway.vault.asked.length, 0);
});

test('403 insufficient_scope where the token lacks the scope', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  const token = await gateway.signer.sign({ scope: 'openid' });
  const response = await post(gateway, initialize, { authorization: `bearer ${token}` });
  assert.is(response.status, 403);
  assert.match(
    response.headers.get('www-authenticate')!,
    /^Bearer error="insufficient_scope", .*scope="mcp"$/,
  );
});

test('a session that has ended is 401 invalid_token, for every request', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  const token = await gateway.signer.sign();
  const session = await openSession(gateway, token);
  gateway.vault.fail(new RefusedError('session-ended', 'the session has ended'));
  for (const message of [
    { jsonrpc: '2.0', id: 2, method: 'tools/list' },
    { jsonrpc: '2.0', id: 3, method: 'ping' },
    initialize,
  ]) {
    const response = await post(gateway, message, {
      authorization: `Bearer ${token}`,
      'mcp-session-id': session,
    });
    assert.is(response.status, 401);
    assert.match(response.headers.get('www-authenticate')!, /error="invalid_token"/);
  }
});

test('vault away is 503 with Retry-After and no challenge, also where the key of a token is not known', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  gateway.vault.fail(new NoRespondersError('nobody answers'));
  const response = await post(gateway, initialize, {
    authorization: `Bearer ${await gateway.signer.sign()}`,
  });
  assert.is(response.status, 503);
  assert.match(response.headers.get('retry-after')!, /^[1-9]\d*$/);
  assert.is(response.headers.get('www-authenticate'), null);
  gateway.vault.fail(null);
  assert.is(
    (await post(gateway, initialize, { authorization: `Bearer ${await gateway.signer.sign()}` })).status,
    200,
  );
});

test('a session is kept by a refreshed token, and is unknown to another person', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'open', url: backend.url }] });
  for (const kind of clientKinds.slice(0, 2)) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    assert.match(client.sessionId!, /^mcs_[\w-]{64,}$/);
    client.use(await gateway.signer.sign({ jti: 'refreshed' }));
    await client.listTools();
    assert.ok(!client.statuses.includes(404));

    const foreign = await post(
      gateway,
      { jsonrpc: '2.0', id: 5, method: 'tools/list' },
      {
        authorization: `Bearer ${await gateway.signer.sign({ sub: 'usr_mallory' })}`,
        'mcp-session-id': client.sessionId!,
      },
    );
    assert.equal(await errorOf(foreign), { status: 404, code: -32001, message: 'Session not found' });
    const invented = await post(
      gateway,
      { jsonrpc: '2.0', id: 5, method: 'tools/list' },
      {
        authorization: `Bearer ${await gateway.signer.sign()}`,
        'mcp-session-id': `mcs_${'A'.repeat(48)}`,
      },
    );
    assert.equal(await errorOf(invented), { status: 404, code: -32001, message: 'Session not found' });
    // The attempt has not ended the session.
    await client.listTools();
  }
});

test('a session lives on at another gateway of the instance, and ends by DELETE', async () => {
  const signer = await createTestSigner();
  const sessionStore = createSessionStore();
  await using first = await startTestGateway({ backends: [], signer, sessionStore });
  const { description } = first;
  await using second = await startTestGateway({ backends: [], signer, description, sessionStore });
  const authorization = `Bearer ${await signer.sign()}`;
  const session = await openSession(first, await signer.sign());
  const ping = { jsonrpc: '2.0', id: 2, method: 'ping' };
  const headers = { authorization, 'mcp-session-id': session };
  assert.is((await post(second, ping, headers)).status, 200);
  const mallory = { ...headers, authorization: `Bearer ${await signer.sign({ sub: 'usr_mallory' })}` };
  assert.is((await post(second, null, mallory, 'DELETE')).status, 404);
  assert.is((await post(second, ping, headers)).status, 200);
  assert.is((await post(second, null, headers, 'DELETE')).status, 204);
  assert.is((await post(second, ping, headers)).status, 404);
  await using third = await startTestGateway({ backends: [], signer, description, sessionStore });
  assert.is((await post(third, ping, headers)).status, 404, 'also at a gateway that was started later');
});

test('malformed requests get their specified errors', async () => {
  await using gateway = await startTestGateway({ backends: [], limits: { bodyBytes: 2_500 } });
  const token = await gateway.signer.sign();
  const authorization = `Bearer ${token}`;
  const session = await openSession(gateway, token);
  const inSession = { authorization, 'mcp-session-id': session };
  const modern = (method: string, params = {}) => ({
    jsonrpc: '2.0',
    id: 7,
    method,
    params: {
      ...params,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
      },
    },
  });
  for (const [what, body, headers, status, code] of [
    ['no JSON', '{"jsonrpc": ', inSession, 400, -32700],
    ['nothing', '', inSession, 400, -32700],
    ['broken UTF-8 is tried elsewhere; a lone word', 'nonsense', inSession, 400, -32700],
    ['1,001 lists in each other', `${'['.repeat(1_001)}${']'.repeat(1_001)}`, inSession, 400, -32700],
    ['1,000 lists in each other', `${'['.repeat(1_000)}${']'.repeat(1_000)}`, inSession, 400, -32600],
    ['null', 'null', inSession, 400, -32600],
    ['a string', '"x"', inSession, 400, -32600],
    ['no JSON-RPC', '{"hello":1}', inSession, 400, -32600],
    ['another JSON-RPC', '{"jsonrpc":"1.0","id":1,"method":"ping"}', inSession, 400, -32600],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', inSession, 400, -32600],
    ['no session id', { jsonrpc: '2.0', id: 2, method: 'tools/list' }, { authorization }, 400, -32000],
    ['a wrong content type', 'x', { ...inSession, 'content-type': 'text/plain' }, 415, -32000],
    [
      'a wrong Accept',
      { jsonrpc: '2.0', id: 2, method: 'ping' },
      { ...inSession, accept: 'text/html' },
      406,
      -32000,
    ],
    [
      'an unknown protocol version',
      { jsonrpc: '2.0', id: 2, method: 'ping' },
      { ...inSession, 'mcp-protocol-version': '1999-01-01' },
      400,
      -32000,
    ],
    ['too much', JSON.stringify({ ...initialize, x: 'y'.repeat(2_500) }), { authorization }, 413, -32000],
    ['2026-07-28 without its headers', modern('tools/list'), { authorization }, 400, -32020],
    [
      '2026-07-28 with another name in the header',
      modern('tools/call', { name: 'a_b' }),
      { authorization, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'c_d' },
      400,
      -32020,
    ],
    [
      'a method that is not offered',
      modern('tasks/list'),
      { authorization, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tasks/list' },
      404,
      -32601,
    ],
  ] as [string, unknown, Record<string, string>, number, number][]) {
    const error = await errorOf(await post(gateway, body, headers));
    assert.is(error.status, status, `${what}: ${error.status} ${error.message}`);
    assert.is(error.code, code, `${what}: ${error.message}`);
  }
  const broken = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      ...inSession,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: Buffer.from([0x22, 0xff, 0xfe, 0x22]),
  });
  assert.is((await errorOf(broken)).code, -32700);

  const unknownMethod = await post(gateway, { jsonrpc: '2.0', id: 2, method: 'tasks/list' }, inSession);
  assert.match(await unknownMethod.text(), /-32601/);
  const put = await post(gateway, null, inSession, 'PUT');
  assert.is(put.status, 405);
  assert.is(put.headers.get('allow'), 'GET, POST, DELETE');
});

test('pages of other sites and foreign host names are refused before anything else', async () => {
  await using gateway = await startTestGateway({ backends: [] });
  const authorization = `Bearer ${await gateway.signer.sign()}`;
  for (const origin of ['http://evil.example', 'null', 'http://localhost.evil.example'])
    assert.is((await post(gateway, initialize, { authorization, origin })).status, 403, origin);
  for (const origin of ['http://localhost:6274', 'http://127.0.0.1:9'])
    assert.is((await post(gateway, initialize, { authorization, origin })).status, 200, origin);
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    request(gateway.url, { method: 'POST', headers: { host: 'rebound.example', authorization } }, (res) => {
      res.resume();
      resolve(res.statusCode);
    })
      .on('error', reject)
      .end('{}');
  });
  assert.is(status, 403);
});

test.run();
