/** Many backends as one: names, filters, those that are slow or dead, and accounts that are not connected. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFakeVault, type FakeVault, okAnswer } from '../fake-vault.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, type TestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp aggregation');
const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;

const namesOf = ({ tools }: { tools: { name: string }[] }) => tools.map(({ name }) => name).sort();
const callsOf = ({ requests }: TestBackend) =>
  requests.filter(({ body }) => body.includes('tools/call')).length;

/** Tells each list of tools that may be another. */
async function watchTools(gateway: TestGateway, onChange: () => void): Promise<Client> {
  const client = new Client(
    { name: 'watcher', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  );
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  client.setNotificationHandler('notifications/tools/list_changed', onChange);
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  await client.listen({ toolsListChanged: true });
  return client;
}

test('what is filtered, renamed or hidden is listed so, and what is not listed cannot be called', async () => {
  await using git = await startTestBackend();
  await using wiki = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [
      {
        name: 'git',
        url: git.url,
        tools: {
          hidden: false,
          filter: ['me', 'fail'],
          overrides: { whoami: { name: 'me', description: 'Who I am', annotations: { readOnlyHint: true } } },
        },
      },
      { name: 'wiki', url: wiki.url, tools: { hidden: true, filter: null, overrides: {} } },
    ],
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const listed = await client.listTools();
    assert.equal(namesOf(listed), ['git_fail', 'git_me']);
    const me = listed.tools.find(({ name }) => name === 'git_me') as Record<string, unknown>;
    assert.is(me.description, 'Who I am');
    assert.equal(me.annotations, { readOnlyHint: true });
    assert.is(textOf(await client.callTool({ name: 'git_me' })), 'nothing');
    const before = callsOf(git) + callsOf(wiki);
    for (const name of ['git_whoami', 'git_count', 'wiki_whoami']) {
      const error = await client.callTool({ name }).catch((reason) => reason);
      assert.is(error.code, -32602, name);
    }
    assert.is(callsOf(git) + callsOf(wiki), before);
  }
});

test("priority: a name that several have is the first backend's, and calls go there", async () => {
  await using git = await startTestBackend();
  await using wiki = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [
      { name: 'git', url: git.url },
      { name: 'wiki', url: wiki.url },
    ],
    settings: { aggregation: { conflictResolution: 'priority', priorityOrder: ['wiki', 'git'] } },
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    assert.equal(namesOf(await client.listTools()), ['count', 'fail', 'whoami']);
    const before = callsOf(wiki);
    assert.is(textOf(await client.callTool({ name: 'whoami' })), 'nothing');
    assert.is(callsOf(wiki), before + 1);
    assert.is(textOf(await client.callTool({ name: 'count' })), 'counted');
    assert.is((await client.callTool({ name: 'git_whoami' }).catch((error) => error)).code, -32602);
  }
});

test('manual: a name that several have is shown when an override parts them', async () => {
  await using git = await startTestBackend();
  await using wiki = await startTestBackend('sessions');
  const aggregation = { conflictResolution: 'manual', priorityOrder: [] } as const;
  const backends = [
    { name: 'git', url: git.url },
    { name: 'wiki', url: wiki.url },
  ];
  await using unresolved = await startTestGateway({ backends, settings: { aggregation } });
  await using before = await connectClient(clientKinds[0], unresolved.url, await unresolved.signer.sign());
  assert.equal(namesOf(await before.listTools()), ['count', 'fail']);
  assert.match(unresolved.logged(), /several backends have these names/);

  const tools = { hidden: false, filter: null, overrides: { whoami: { name: 'wiki_me' } } };
  await using gateway = await startTestGateway({
    backends: [backends[0]!, { ...backends[1]!, tools }],
    settings: { aggregation },
  });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  assert.equal(namesOf(await client.listTools()), ['count', 'fail', 'whoami', 'wiki_me']);
  assert.is(textOf(await client.callTool({ name: 'wiki_me' })), 'nothing');
  assert.is(callsOf(wiki), 1);
});

test('a token that is under way keeps nothing back but the backend that needs it', async () => {
  await using git = await startTestBackend();
  await using wiki = await startTestBackend();
  const asked = Promise.withResolvers<void>();
  wiki.intercept = async (_req, _res, body) => {
    if (body.includes('tools/list')) asked.resolve();
    return false;
  };
  const held = createFakeVault();
  held.hold('usr_anna', 'gitlab', { status: 'pending' }, okAnswer('token'));
  const vault: FakeVault = {
    ...held,
    async findUpstreamTokens(principal, request, timeoutMs) {
      // Whoever waits for the token, waits until the other backend was asked.
      if (request.waits !== false) await asked.promise;
      return held.findUpstreamTokens(principal, request, timeoutMs);
    },
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'git', url: git.url, strategy: gitlab },
      { name: 'wiki', url: wiki.url },
    ],
    vault,
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const listed = namesOf(await client.listTools());
    for (const name of ['git_whoami', 'wiki_whoami']) assert.ok(listed.includes(name), String(listed));
  }
});

test('a slow backend is listed when it has answered, and whoever listens is told', async () => {
  await using fast = await startTestBackend();
  await using slow = await startTestBackend();
  const release = Promise.withResolvers<void>();
  slow.intercept = async (_req, _res, body) => {
    if (body.includes('"tools/list"')) await release.promise;
    return false;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'slow', url: slow.url, timeoutMs: 60_000 },
      { name: 'fast', url: fast.url },
    ],
    limits: { listMs: 100 },
  });
  const told = Promise.withResolvers<void>();
  const client = await watchTools(gateway, () => told.resolve());
  const names = async () => namesOf(await client.listTools({}, { cacheMode: 'bypass' }));
  assert.ok((await names()).every((name) => name.startsWith('fast_')));
  release.resolve();
  await told.promise;
  assert.ok((await names()).includes('slow_whoami'));
  await client.close();
});

test('a backend that is not connected shows one tool that says how, and its own when it is', async () => {
  await using git = await startTestBackend();
  git.needsToken = true;
  for (const connectTool of [true, false]) {
    await using gateway = await startTestGateway({
      backends: [{ name: 'git', url: git.url, strategy: gitlab }],
      settings: { connectTool },
    });
    for (const kind of clientKinds) {
      gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
      await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
      assert.equal(namesOf(await client.listTools()), connectTool ? ['git_connect'] : []);
      if (connectTool) {
        const result = await client.callTool({ name: 'git_connect' });
        assert.is(result.isError, true);
        assert.match(textOf(result), /"git".*"gitlab".*Sign in again/);
      }
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token'));
      await using later = await connectClient(kind, gateway.url, await gateway.signer.sign());
      assert.equal(namesOf(await later.listTools()), ['git_count', 'git_fail', 'git_whoami']);
    }
  }
});

test('whoever listens is told when an account has been connected', async () => {
  await using git = await startTestBackend();
  git.needsToken = true;
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: git.url, strategy: gitlab }],
  });
  gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
  const told = Promise.withResolvers<void>();
  const client = await watchTools(gateway, () => told.resolve());
  assert.equal(namesOf(await client.listTools()), ['git_connect']);
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token'));
  await told.promise;
  const { tools } = await client.listTools({}, { cacheMode: 'bypass' });
  assert.ok(tools.some(({ name }) => name === 'git_whoami'));
  await client.close();

  const older = Promise.withResolvers<void>();
  gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
  const session = new OlderClient({ name: 'watcher', version: '1' });
  session.fallbackNotificationHandler = async ({ method }) => {
    if (method === 'notifications/tools/list_changed') older.resolve();
  };
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
  await session.connect(transport as Parameters<typeof session.connect>[0]);
  let waiting = true;
  older.promise.then(() => {
    waiting = false;
  });
  await session.listTools();
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token'));
  // Its stream may have been opened only after its first list.
  while (waiting) {
    await Promise.race([older.promise, new Promise((resolve) => setTimeout(resolve, 500))]);
    gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
    if (waiting) await session.listTools();
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token'));
  }
  await session.close();
});

test('lists of two people are never mixed, and one that depends on nobody is asked once', async () => {
  await using own = await startTestBackend();
  own.needsToken = true;
  // It says nothing about how long its list holds; one of 2026-07-28 does.
  await using open = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [
      { name: 'own', url: own.url, strategy: gitlab },
      { name: 'open', url: open.url },
    ],
  });
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('of-anna'));
  const lists = ({ requests }: TestBackend) => requests.filter(({ body }) => body.includes('"tools/list"'));
  const people = ['usr_anna', 'usr_ben', 'usr_anna'];
  const clients = await Promise.all(
    people.map(async (sub) => connectClient(clientKinds[2], gateway.url, await gateway.signer.sign({ sub }))),
  );
  for (const [index, listed] of (await Promise.all(clients.map((client) => client.listTools()))).entries()) {
    const names = namesOf(listed);
    assert.is(names.includes('own_whoami'), people[index] === 'usr_anna');
    assert.is(names.includes('own_connect'), people[index] !== 'usr_anna');
    assert.ok(names.includes('open_whoami'));
  }
  for (const client of clients) await client[Symbol.asyncDispose]();
  assert.ok(lists(own).every(({ headers }) => [undefined, 'Bearer of-anna'].includes(headers.authorization)));
  assert.is(lists(open).length, 1);
});

test('two people whose names are words of the vault have a list each', async () => {
  // It says nothing about how long its list holds.
  await using own = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [{ name: 'own', url: own.url, strategy: gitlab }],
  });
  for (const sub of ['pending', 'ok']) {
    gateway.vault.hold(sub, 'gitlab', okAnswer(`of-${sub}`));
    const token = await gateway.signer.sign({ sub });
    await using client = await connectClient(clientKinds[2], gateway.url, token);
    await client.listTools();
  }
  const lists = own.requests.filter(({ body }) => body.includes('"tools/list"'));
  assert.equal(
    lists.map(({ headers }) => headers.authorization),
    ['Bearer of-pending', 'Bearer of-ok'],
  );
});

test('a dead backend is seen by probes, and when it is back its tools are announced', async () => {
  const home = createServer();
  await new Promise<void>((resolve) => {
    home.listen(0, '127.0.0.1', resolve);
  });
  const { port } = home.address() as AddressInfo;
  await new Promise((resolve) => home.close(resolve));
  await using rejecting = await startTestBackend();
  rejecting.intercept = (_req, res) => {
    res.writeHead(401).end();
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'away', url: `http://127.0.0.1:${port}/mcp` },
      { name: 'wanting', url: rejecting.url, strategy: gitlab },
    ],
  });
  const statusOf = async (name: string) => {
    const { backends } = (await (await fetch(new URL('/status', gateway.url))).json()) as {
      backends: { name: string; status: string }[];
    };
    return backends.find((backend) => backend.name === name)?.status;
  };
  for (let probes = 0; probes < 2; probes += 1) await gateway.gateway.probeBackends();
  assert.is(await statusOf('away'), 'unavailable');
  assert.is(await statusOf('wanting'), 'healthy', 'it is there, and wants a token');
  assert.ok(rejecting.requests.every(({ headers }) => headers.authorization === undefined));

  const told = Promise.withResolvers<void>();
  const client = await watchTools(gateway, () => told.resolve());
  assert.equal(namesOf(await client.listTools()), ['wanting_connect']);
  await using back = await startTestBackend('2026-07-28', port);
  await gateway.gateway.probeBackends();
  await told.promise;
  assert.is(await statusOf('away'), 'healthy');
  const { tools } = await client.listTools({}, { cacheMode: 'bypass' });
  assert.ok(tools.some(({ name }) => name === 'away_whoami'));
  assert.ok(back.requests.length > 0);
  await client.close();
});

test('headers of a caller reach backends where the configuration says so, and no others', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'open', url: backend.url }],
    settings: { passthroughHeaders: ['x-request-id'] },
  });
  const token = await gateway.signer.sign();
  const method = 'tools/call';
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      'mcp-name': 'open_whoami',
      'x-request-id': 'r-1',
      'x-other': 'o-1',
      cookie: 'a=b',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method,
      params: {
        name: 'open_whoami',
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  });
  assert.is(response.status, 200);
  const sent = backend.requests.find(({ body }) => body.includes(method))!.headers;
  assert.equal(
    [sent['x-request-id'], sent['x-other'], sent.cookie, sent.authorization],
    ['r-1', undefined, undefined, undefined],
  );
});

test.run();
