/** The circuit breaker of a backend: who is sent, who tries it again, and who is not kept from it meanwhile. */
import type { ServerResponse } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBackendHealth, type ExchangeKind } from '../../../gateway/mcp/backend-health.ts';
import { backendOf } from '../sample-backend.ts';
import { startTestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp backend health');
const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;
const namesOf = ({ tools }: { tools: { name: string }[] }) => tools.map(({ name }) => name).sort();

const backend = backendOf('b');

/** Its circuit has just opened, for a minute. */
function openCircuit() {
  let at = 0;
  const circuit = { failureThreshold: 2, openMs: 60_000 };
  const settings = { circuit, unhealthyThreshold: 2 };
  const health = createBackendHealth({ backends: [backend], settings, elapsed: () => at });
  for (let failures = 0; failures < 2; failures += 1) {
    health.admit(backend, 'request');
    health.failed(backend);
  }
  return {
    health,
    pass: (ms: number) => {
      at += ms;
    },
    admits(kind: ExchangeKind) {
      try {
        health.admit(backend, kind);
        return true;
      } catch {
        return false;
      }
    },
    status: () => health.statuses()[0]!.status,
  };
}

test('nothing is sent while the circuit is open, then one request tries, and by its success all are sent', () => {
  const { health, pass, admits, status } = openCircuit();
  pass(59_999);
  assert.equal([admits('request'), status()], [false, 'unavailable']);
  pass(1);
  assert.equal([admits('request'), admits('request'), admits('stream')], [true, false, false]);
  health.succeeded(backend);
  assert.equal([admits('request'), admits('request'), status()], [true, true, 'healthy']);
});

test('one that fails again is left alone anew, and one whose caller goes away is tried by the next', () => {
  const { health, pass, admits } = openCircuit();
  pass(60_000);
  assert.ok(admits('request'));
  health.abandoned(backend, 'request');
  assert.ok(admits('request'));
  health.failed(backend);
  assert.not.ok(admits('request'));
  pass(60_000);
  assert.ok(admits('request'));
});

test('a request that goes on for long does not keep the others away', () => {
  const { pass, admits } = openCircuit();
  pass(60_000);
  assert.ok(admits('request'));
  pass(29_999);
  assert.not.ok(admits('request'));
  pass(1);
  assert.equal([admits('request'), admits('request')], [true, false]);
});

test('a stream keeps no request away, and its end says nothing', () => {
  const { health, pass, admits, status } = openCircuit();
  pass(60_000);
  assert.equal([admits('stream'), admits('stream')], [true, false]);
  assert.equal([admits('request'), admits('request'), admits('stream')], [true, false, false]);
  health.abandoned(backend, 'stream');
  assert.equal([admits('request'), status()], [false, 'unavailable']);
});

for (const kind of ['2026-07-28', 'sessions'] as const)
  test(`backend ${kind}: it came back, says nothing on its stream, and calls reach it`, async () => {
    await using b = await startTestBackend(kind);
    const isStream = (method: string | undefined, body: string) =>
      method === 'GET' || body.includes('"subscriptions/listen"');
    const streams: ServerResponse[] = [];
    let isDown = false;
    const silent = Promise.withResolvers<void>();
    b.intercept = (req, res, body) => {
      if (isStream(req.method, body)) streams.push(res);
      if (isDown) res.writeHead(500).end();
      else if (isStream(req.method, body) && streams.length > 1) silent.resolve();
      else return false;
      return true;
    };
    const circuit = { failureThreshold: 2, openMs: 100 };
    const failures = {
      ...{ healthCheckIntervalMs: 600_000, healthCheckTimeoutMs: 2_000, unhealthyThreshold: 2 },
      circuit,
    };
    await using gateway = await startTestGateway({
      backends: [{ name: 'b', url: b.url, timeoutMs: 60_000 }],
      settings: { failures },
    });
    await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
    const call = async () => textOf(await client.callTool({ name: 'b_whoami' }));
    assert.is(await call(), 'nothing');
    while (streams.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    // Its first stream breaks when it goes down, so that the next one is opened when it is back.
    isDown = true;
    streams[0]!.destroy();
    for (let calls = 0; calls < 2; calls += 1) await call();
    assert.match(gateway.logged(), /"status":500|backend-http-error/);
    isDown = false;
    await silent.promise;
    assert.is(await call(), 'nothing');
  });

test('a backend that keeps failing is left alone, by calls and lists, and /status says so', async () => {
  await using bad = await startTestBackend();
  await using good = await startTestBackend();
  bad.intercept = (_req, res) => {
    res.writeHead(500).end();
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'bad', url: bad.url },
      { name: 'good', url: good.url },
    ],
    settings: {
      failures: {
        healthCheckIntervalMs: 600_000,
        healthCheckTimeoutMs: 2_000,
        unhealthyThreshold: 1_000,
        circuit: { failureThreshold: 3, openMs: 600_000 },
      },
    },
  });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  for (let failures = 0; failures < 3; failures += 1)
    assert.match(textOf(await client.callTool({ name: 'bad_whoami' })), /could not be reached/);
  const sent = bad.requests.length;
  const refused = textOf(await client.callTool({ name: 'bad_whoami' }));
  assert.match(refused, /"bad" was not made: it has failed several times in a row.*Try again in \d+ s/);
  assert.ok(namesOf(await client.listTools()).every((name) => name.startsWith('good_')));
  assert.is(bad.requests.length, sent);
  const status = (await (await fetch(new URL('/status', gateway.url))).json()) as { backends: object[] };
  assert.equal(status.backends, [
    { name: 'bad', status: 'unavailable', failuresInARow: 3, rejections: 0 },
    { name: 'good', status: 'healthy', failuresInARow: 0, rejections: 0 },
  ]);
});

test('a backend that rejects what everybody sends is there, and /status says how often it did', async () => {
  await using rejecting = await startTestBackend();
  rejecting.intercept = (_req, res) => {
    res.writeHead(403).end();
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      {
        name: 'keyed',
        url: rejecting.url,
        strategy: { type: 'header_injection', headerName: 'x-kind', headerValue: 'wrong' },
      },
      { name: 'personal', url: rejecting.url, strategy: gitlab },
    ],
  });
  for (let probes = 0; probes < 3; probes += 1) await gateway.gateway.probeBackends();
  const status = (await (await fetch(new URL('/status', gateway.url))).json()) as { backends: object[] };
  assert.equal(status.backends, [
    { name: 'keyed', status: 'healthy', failuresInARow: 0, rejections: 3 },
    // It was not asked as a person.
    { name: 'personal', status: 'healthy', failuresInARow: 0, rejections: 0 },
  ]);
});

test.run();
