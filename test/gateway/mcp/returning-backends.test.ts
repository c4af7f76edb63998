/** Backends that fail while somebody lists: whoever listens is told when they list again, however short it was. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { newerRequest } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp returning backends');

/** @param version 2025-11-25: in a session */
async function watch(version: '2025-11-25' | '2026-07-28', gateway: TestGateway) {
  const heard: string[] = [];
  const client = new Client(
    { name: 'watcher', version: '1' },
    { versionNegotiation: { mode: version === '2026-07-28' ? { pin: version } : 'legacy' } },
  );
  for (const what of ['tools', 'prompts'] as const)
    client.setNotificationHandler(`notifications/${what}/list_changed`, () => void heard.push(what));
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  if (version === '2026-07-28') await client.listen({ toolsListChanged: true, promptsListChanged: true });
  return {
    heard,
    names: async () =>
      (await client.listTools({}, { cacheMode: 'bypass' })).tools.map(({ name }) => name).sort(),
    hears: async (what: string, poke = async () => {}) => {
      for (; !heard.includes(what); await new Promise((resolve) => setTimeout(resolve, 20))) await poke();
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function listAs(sub: string, method: string, gateway: TestGateway): Promise<void> {
  const { body, ...request } = newerRequest(method, {}, await gateway.signer.sign({ sub }));
  await (await fetch(gateway.url, { ...request, body })).text();
}

const failOn = (backend: TestBackend, ...methods: string[]) => {
  backend.intercept = (_req, res, body) => {
    if (!methods.some((method) => body.includes(`"${method}"`))) return false;
    res.writeHead(500).end();
    return true;
  };
};

/** Who has not been there yet finds the backend away, and there again: what was told before comes before that. */
async function markedIn(
  watcher: { hears(what: string): Promise<void> },
  backend: TestBackend,
  gateway: TestGateway,
): Promise<void> {
  failOn(backend, 'server/discover');
  await listAs('usr_cleo', 'prompts/list', gateway);
  backend.intercept = () => false;
  await listAs('usr_cleo', 'prompts/list', gateway);
  await watcher.hears('prompts');
}

for (const version of ['2025-11-25', '2026-07-28'] as const)
  test(`${version}: one that was away for a moment is announced when it is there again`, async () => {
    const home = createServer();
    await new Promise<void>((resolve) => {
      home.listen(0, '127.0.0.1', resolve);
    });
    const { port } = home.address() as AddressInfo;
    await new Promise((resolve) => home.close(resolve));
    await using open = await startTestBackend();
    await using gateway = await startTestGateway({
      backends: [
        { name: 'away', url: `http://127.0.0.1:${port}/mcp` },
        { name: 'open', url: open.url },
      ],
    });
    await using watcher = await watch(version, gateway);
    assert.equal(await watcher.names(), ['open_count', 'open_fail', 'open_whoami']);
    await using _back = await startTestBackend('2026-07-28', port);
    // The stream of a session may be opened only after its first list.
    await watcher.hears('tools', () => gateway.gateway.probeBackends());
    assert.ok((await watcher.names()).includes('away_whoami'));
  });

test('whoever was given a list without a backend is told when somebody else was given one with it', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using watcher = await watch('2026-07-28', gateway);
  failOn(backend, 'tools/list');
  assert.equal(await watcher.names(), []);
  backend.intercept = () => false;
  await listAs('usr_ben', 'tools/list', gateway);
  await watcher.hears('tools');
  assert.ok((await watcher.names()).includes('b_whoami'));
});

test('one that fails for somebody alone is not announced because it lists to others', async () => {
  await using backend = await startTestBackend();
  const strategy = { type: 'upstream_inject', providerName: 'gitlab' } as const;
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url, strategy }] });
  for (const name of ['anna', 'ben', 'cleo'])
    gateway.vault.hold(`usr_${name}`, 'gitlab', okAnswer(`of-${name}`));
  await using watcher = await watch('2026-07-28', gateway);
  backend.intercept = (req, res, body) => {
    if (!body.includes('"tools/list"') || req.headers.authorization !== 'Bearer of-anna') return false;
    res.writeHead(500).end();
    return true;
  };
  assert.equal(await watcher.names(), []);
  await listAs('usr_ben', 'tools/list', gateway);
  await markedIn(watcher, backend, gateway);
  assert.equal(watcher.heard, ['prompts']);
});

test('one that fails every other time is announced now and then, not each time', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using watcher = await watch('2026-07-28', gateway);
  let asked = 0;
  backend.intercept = (_req, res, body) => {
    if (!body.includes('"tools/list"')) return false;
    asked += 1;
    if (asked % 2 === 1) res.writeHead(500).end();
    else {
      // Not to be remembered.
      const result = { resultType: 'complete', tools: [], ttlMs: 0, cacheScope: 'private' };
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result }));
    }
    return true;
  };
  const began = performance.now();
  for (let time = 0; time < 12; time += 1) await listAs('usr_ben', 'tools/list', gateway);
  const most = 1 + Math.floor((performance.now() - began) / 5_000);
  assert.is(asked, 12);
  await markedIn(watcher, backend, gateway);
  const told = watcher.heard.filter((what) => what === 'tools').length;
  assert.ok(told >= 1 && told <= most, `told ${told} times`);
});

test('one that is there and never lists is announced more and more seldom', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using watcher = await watch('2026-07-28', gateway);
  failOn(backend, 'tools/list');
  assert.equal(await watcher.names(), []);
  for (let probes = 0; probes < 10; probes += 1) await gateway.gateway.probeBackends();
  await markedIn(watcher, backend, gateway);
  assert.equal(watcher.heard, ['tools', 'tools', 'tools', 'tools', 'prompts']);
});

test.run();
