/** Backends that fail while somebody lists: whoever listens is told when they list again, however short it was. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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

test('one that is there and never lists is announced more and more seldom', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using watcher = await watch('2026-07-28', gateway);
  failOn(backend, 'tools/list');
  assert.equal(await watcher.names(), []);
  for (let probes = 0; probes < 10; probes += 1) await gateway.gateway.probeBackends();
  // What comes by the same stream comes after it.
  failOn(backend, 'server/discover');
  await listAs('usr_ben', 'prompts/list', gateway);
  backend.intercept = () => false;
  await listAs('usr_ben', 'prompts/list', gateway);
  await watcher.hears('prompts');
  assert.equal(watcher.heard, ['tools', 'tools', 'tools', 'tools', 'prompts']);
});

test.run();
