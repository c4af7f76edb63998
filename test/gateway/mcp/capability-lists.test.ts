/** How long what a backend offers is taken for true: as long as it says, unless it or an account has changed meanwhile. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, type TestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp capability lists');
const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;

const isOf = (method: string) => (request: { body: string }) => request.body.includes(`"method":"${method}"`);
const listsAt = ({ requests }: TestBackend) => requests.filter(isOf('tools/list')).length;

/** Answers `tools/list` with what is given then, true for ten minutes. */
function listTools(backend: TestBackend, toolsOf: (cursor: string | undefined) => object): void {
  backend.intercept = (_req, res, body) => {
    if (!isOf('tools/list')({ body })) return false;
    const { id, params } = JSON.parse(body);
    const result = {
      resultType: 'complete',
      ttlMs: 600_000,
      cacheScope: 'private',
      ...toolsOf(params.cursor),
    };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    return true;
  };
}

const named = (...names: string[]) => names.map((name) => ({ name, inputSchema: { type: 'object' } }));

async function connect(gateway: TestGateway, onChange: () => void): Promise<Client> {
  const client = new Client(
    { name: 'watcher', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  );
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  client.setNotificationHandler('notifications/tools/list_changed', onChange);
  await client.listen({ toolsListChanged: true });
  return client;
}

const namesAt = async (client: Client) =>
  (await client.listTools({}, { cacheMode: 'bypass' })).tools.map(({ name }) => name);

test('a list is asked for anew when its backend says that it has changed, and not before', async () => {
  await using backend = await startTestBackend();
  let names = ['x'];
  listTools(backend, () => ({ tools: named(...names) }));
  const list = backend.intercept;
  const changed = Promise.withResolvers<void>();
  backend.intercept = async (req, res, body) => {
    if (!isOf('subscriptions/listen')({ body })) return list(req, res, body);
    const say = (method: string, params = {}) =>
      res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`);
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    say('notifications/subscriptions/acknowledged', { notifications: {} });
    await changed.promise;
    say('notifications/tools/list_changed');
    return true;
  };
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const told = Promise.withResolvers<void>();
  const client = await connect(gateway, () => told.resolve());
  assert.equal(await namesAt(client), ['b_x']);
  names = ['y', 'z'];
  assert.equal(await namesAt(client), ['b_x']);
  assert.is(listsAt(backend), 1);
  changed.resolve();
  await told.promise;
  assert.equal(await namesAt(client), ['b_y', 'b_z']);
  assert.is(listsAt(backend), 2);
  await client.close();
});

test('a list that changed while it was asked for is not taken for true afterwards', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  const asked = Promise.withResolvers<void>();
  const changed = Promise.withResolvers<void>();
  backend.intercept = async (_req, res, body) => {
    const { id, method } = JSON.parse(body);
    const say = (message: object) => res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
    if (method !== 'tools/list' && method !== 'tools/call') return false;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    if (method === 'tools/call') {
      say({ method: 'notifications/tools/list_changed' });
      say({ id, result: { resultType: 'complete', content: [{ type: 'text', text: 'changed' }] } });
    } else {
      const isFirst = listsAt(backend) === 1;
      asked.resolve();
      if (isFirst) await changed.promise;
      const tools = named(isFirst ? 'former' : 'present');
      say({ id, result: { resultType: 'complete', ttlMs: 600_000, cacheScope: 'private', tools } });
    }
    res.end();
    return true;
  };
  const first = client.listTools();
  await asked.promise;
  assert.is(textOf(await client.callTool({ name: 'b_x' })), 'changed');
  changed.resolve();
  await first;
  const { tools } = await client.listTools();
  assert.equal(
    tools.map(({ name }) => name),
    ['b_present'],
  );
});

test('an account that is linked or unlinked has its list at once, however long the other one was true', async () => {
  await using backend = await startTestBackend();
  backend.needsToken = true;
  listTools(backend, () => ({ tools: named('x') }));
  const list = backend.intercept;
  backend.intercept = (req, res, body) => req.headers.authorization !== undefined && list(req, res, body);
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
  });
  for (const kind of clientKinds) {
    // A client may remember a list by itself, so each time another one asks.
    const names = async () => {
      await using asking = await connectClient(kind, gateway.url, await gateway.signer.sign());
      return (await asking.listTools()).tools.map(({ name }) => name);
    };
    for (const [answer, shown] of [
      [{ status: 'missing' }, 'git_connect'],
      [okAnswer('token'), 'git_x'],
      [{ status: 'missing' }, 'git_connect'],
      [{ status: 'reauth-required' }, 'git_connect'],
      [okAnswer('another', 2), 'git_x'],
    ] as const) {
      gateway.vault.hold('usr_anna', 'gitlab', answer);
      assert.equal(await names(), [shown], `${kind}: ${answer.status}`);
    }
  }
});

test('a backend that lists to everybody is listed to whoever has no account there, without a token of anybody', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
  });
  gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const { tools } = await client.listTools();
    assert.equal(tools.map(({ name }) => name).sort(), ['git_count', 'git_fail', 'git_whoami']);
    const sent = backend.requests.length;
    const result = await client.callTool({ name: 'git_whoami' });
    assert.is(result.isError, true);
    assert.match(textOf(result), /"git".*"gitlab".*none is connected/);
    assert.is(backend.requests.length, sent, 'a call is made with the account or not at all');
  }
  assert.ok(backend.requests.every(({ headers }) => headers.authorization === undefined));
  const { backends } = (await (await fetch(new URL('/status', gateway.url))).json()) as {
    backends: { rejections: number }[];
  };
  assert.is(backends[0]!.rejections, 0);
});

test('one that wants a token is not asked without one again and again', async () => {
  await using backend = await startTestBackend();
  backend.needsToken = true;
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
  });
  for (const sub of ['usr_anna', 'usr_ben', 'usr_anna']) {
    await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign({ sub }));
    await client.listTools();
  }
  assert.is(backend.requests.length, 1);
});

test('all pages of a backend are one list, and a cursor that repeats itself ends it', async () => {
  await using backend = await startTestBackend();
  const pages = [
    { tools: named('a'), nextCursor: '1' },
    { tools: named('b'), nextCursor: '2' },
    { tools: named('c') },
  ];
  listTools(backend, (cursor) => pages[Number(cursor ?? 0)]!);
  await using endless = await startTestBackend();
  listTools(endless, () => ({ tools: named('x'), nextCursor: 'again' }));
  await using gateway = await startTestGateway({
    backends: [
      { name: 'b', url: backend.url },
      { name: 'e', url: endless.url },
    ],
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const { tools } = await client.listTools();
    assert.equal(
      tools.map(({ name }) => name),
      ['b_a', 'b_b', 'b_c', 'e_x'],
    );
  }
});

test.run();
