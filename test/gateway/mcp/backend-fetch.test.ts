import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Backend } from '../../../gateway/mcp/backend.ts';
import { createBackendFetch, createBackendSockets } from '../../../gateway/mcp/backend-fetch.ts';

const test = suite('gateway/mcp backend fetch');

test('what is signed is the very request that is sent, at the origin of the backend, wherever its path points', async () => {
  const received: string[] = [];
  const server = createServer((req, res) => {
    received.push(`${req.method} ${req.headers.host} ${req.url} ${req.headers['x-signed']}`);
    res.end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = createBackendSockets();
  try {
    const origin = `http://127.0.0.1:${port}`;
    const backend = { name: 'aws', url: new URL(`${origin}/mcp?stage=1`) } as Backend;
    const send = createBackendFetch(backend, sockets);
    const sign = async ({ method, url }: { method: string; url: URL }) => ({
      'x-signed': `${method} ${url.href}`,
    });
    const signal = AbortSignal.timeout(10_000);
    for (const path of [undefined, '/messages?session=1', '//evil.example/messages']) {
      const request = { method: 'POST', headers: {}, body: {}, signal } as const;
      const response = await send(path === undefined ? request : { ...request, path }, { headers: {}, sign });
      response.cancel();
    }
    assert.equal(
      received,
      ['/mcp?stage=1', '/messages?session=1', '//evil.example/messages'].map(
        (path) => `POST 127.0.0.1:${port} ${path} POST ${origin}${path}`,
      ),
    );
  } finally {
    await sockets.close();
    server.closeAllConnections();
    server.close();
  }
});

test.run();
