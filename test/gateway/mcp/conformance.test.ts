/**
 * The MCP project's conformance suite, against a backend and through the gateway: what the one passes the other passes.
 */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openConformanceBackend } from '../../world/backends/conformance.ts';
import { type ConformanceResults, runServerConformance } from '../../world/conformance-suite.ts';
import { startTestBackend } from '../test-backend.ts';
import { startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp conformance');

/** The suite signs in nowhere, so the person's token is put into each of its requests on the way. */
async function openTokenProxy(target: string, token: string): Promise<AsyncDisposable & { url: string }> {
  const { port } = new URL(target);
  const server = createServer((req, res) => {
    const headers = { ...req.headers, authorization: `Bearer ${token}` };
    const onward = request(
      { host: '127.0.0.1', port, path: '/mcp', method: req.method, headers },
      (answer) => {
        res.writeHead(answer.statusCode ?? 500, answer.headers);
        res.flushHeaders();
        answer.pipe(res);
      },
    );
    onward.on('error', () => res.destroy());
    res.on('close', () => onward.destroy());
    req.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/mcp`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const passed = (results: ConformanceResults): string[] =>
  [...results].flatMap(([check, status]) => (status === 'SUCCESS' ? [check] : [])).sort();

for (const revision of ['2025-11-25', '2026-07-28'] as const) {
  test(`${revision}: what a backend passes, it passes through the gateway`, async () => {
    await using backend = await openConformanceBackend(revision);
    // With another one beside it, what a name or URI belongs to is looked up.
    await using beside = await startTestBackend();
    await using gateway = await startTestGateway({
      backends: [
        { name: 'conformance', url: backend.url, prefix: '' },
        { name: 'beside', url: beside.url },
      ],
    });
    await using proxy = await openTokenProxy(gateway.url, await gateway.signer.sign());
    const direct = await runServerConformance(backend.url, revision);
    const through = await runServerConformance(proxy.url, revision);
    assert.ok(passed(direct).length > 75, `${passed(direct).length} checks`);
    const lost = passed(direct).filter((check) => through.get(check) !== 'SUCCESS');
    assert.equal(
      lost.map((check) => `${check} -> ${through.get(check)}`),
      [],
    );
  });
}

test.run();
