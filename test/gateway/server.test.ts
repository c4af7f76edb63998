import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHealth } from '../../gateway/health.ts';
import { createHomePage } from '../../gateway/pages/home-page.ts';
import { createGatewayServer, type GatewayServer, type GatewayServerOptions } from '../../gateway/server.ts';
import { createInstanceId } from '../../schemas/ids.ts';
import type { InstanceDescription } from '../../schemas/messages/describe-instance.ts';
import { createTestSigner, issuer } from './signing.ts';

const test = suite('gateway/server');
const homePage: GatewayServerOptions['homePage'] = (readiness) =>
  createHomePage({
    ...{ name: 'team <tools>', clientEntry: 'latchkey', mcpUrl: 'http://localhost:4483/mcp' },
    ...{ signsIn: true, readiness },
  });
const signer = await createTestSigner();
const description: InstanceDescription = {
  instanceId: createInstanceId(),
  issuer,
  realm: 'r',
  partitions: 64,
  signingKeys: [signer.publicKey],
};

interface Started extends AsyncDisposable {
  readonly server: GatewayServer;
  readonly port: number;
  readonly origin: string;
}

async function start(
  options: Partial<GatewayServerOptions> = {},
  health: Partial<Parameters<typeof createHealth>[0]> = {},
): Promise<Started> {
  const server = createGatewayServer({
    authorizationServer: {
      async handle(req, res) {
        if (!req.url?.startsWith('/oauth/')) return false;
        res.end('authorization server');
        return true;
      },
    },
    status: async () => ({ backends: [{ name: 'git', status: 'healthy' }] }),
    mcp: {
      async handle(_req, res) {
        res.end('mcp');
      },
    },
    mcpPath: '/mcp',
    https: false,
    homePage,
    health: createHealth({
      pingNats: async () => {},
      fetchDescription: async () => description,
      instanceId: description.instanceId,
      issuer,
      limitMs: 50,
      ...health,
    }),
    log: { error: () => {} } as never,
    ...options,
  });
  const port = await server.listen('127.0.0.1', 0);
  return {
    server,
    port,
    origin: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server.close(100),
  };
}

/** Sends raw bytes and gives all that comes back. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('end', () => resolve(received));
    socket.on('error', reject);
  });
}

test('the authorization server comes first, then /mcp, and everything else is 404 JSON', async () => {
  await using started = await start();
  const { origin } = started;
  assert.is(await (await fetch(`${origin}/oauth/x`)).text(), 'authorization server');
  assert.is(await (await fetch(`${origin}/mcp?x=1`)).text(), 'mcp');
  for (const path of ['/mcp/', '/mcp/x', '/admin', '/health/x']) {
    const response = await fetch(origin + path);
    assert.is(response.status, 404, path);
    assert.match(response.headers.get('content-type')!, /^application\/json/);
    assert.is(response.headers.get('x-content-type-options'), 'nosniff');
  }
});

test('/health is alive whatever is away; /readyz says what does not answer', async () => {
  const never = () => new Promise<never>(() => {});
  const away = () => Promise.reject(new Error('away'));
  for (const [health, status, told] of [
    [{}, 200, { status: 'ready', nats: 'ok', vault: 'ok', keys: 'ok' }],
    [{ pingNats: away }, 503, { status: 'not-ready', nats: 'no-answer', vault: 'ok', keys: 'ok' }],
    [
      { fetchDescription: never },
      503,
      { status: 'not-ready', nats: 'ok', vault: 'no-answer', keys: 'unknown' },
    ],
    [
      { fetchDescription: async () => ({ ...description, signingKeys: [] }) },
      503,
      { status: 'not-ready', nats: 'ok', vault: 'ok', keys: 'none' },
    ],
    [
      { fetchDescription: async () => ({ ...description, issuer: 'https://other.example' }) },
      503,
      { status: 'not-ready', nats: 'ok', vault: 'other-issuer', keys: 'ok' },
    ],
    [
      { instanceId: createInstanceId() },
      503,
      { status: 'not-ready', nats: 'ok', vault: 'other-instance', keys: 'ok' },
    ],
  ] as [Parameters<typeof start>[1], number, unknown][]) {
    await using started = await start({}, health);
    const ready = await fetch(`${started.origin}/readyz`);
    assert.is(ready.status, status);
    assert.equal(await ready.json(), told);
    const alive = await fetch(`${started.origin}/health`);
    assert.is(alive.status, 200);
    await alive.text();
    const posted = await fetch(`${started.origin}/readyz`, { method: 'POST' });
    assert.is(posted.status, 405);
    assert.is(posted.headers.get('allow'), 'GET, HEAD');
    await posted.text();
  }
});

test('strict transport security is sent where the gateway is reached by https, and only there', async () => {
  for (const https of [true, false]) {
    await using started = await start({ https });
    const response = await fetch(`${started.origin}/oauth/x`);
    assert.is(response.headers.has('strict-transport-security'), https);
    await response.text();
  }
});

test('malformed HTTP gets its status and the connection ends', async () => {
  await using started = await start();
  assert.match(await raw(started.port, 'NONSENSE\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.match(await raw(started.port, 'GET / HTTP/1.1\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.match(
    await raw(started.port, `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1.1 431 /,
  );
  for (const target of ['//evil.example/mcp', 'http://evil.example/mcp', '*'])
    assert.match(
      await raw(started.port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
      /^HTTP\/1.1 400 /,
      target,
    );
  assert.is((await fetch(`${started.origin}/health`)).status, 200);
});

test('an error inside is 500 without a word about it', async () => {
  await using started = await start({ mcp: { handle: () => Promise.reject(new Error('inner secret')) } });
  const response = await fetch(`${started.origin}/mcp`);
  assert.is(response.status, 500);
  assert.not.match(await response.text(), /secret/);
});

test('a stop lets a running request end, and cuts one that does not', async () => {
  const arrived = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const started = await start({
    mcp: {
      async handle(req, res) {
        if (req.url === '/mcp?hang') return;
        arrived.resolve();
        await goOn.promise;
        res.end('whole');
      },
    },
  });
  const running = fetch(`${started.origin}/mcp`);
  const hanging = fetch(`${started.origin}/mcp?hang`).then(
    () => 'answered',
    () => 'cut',
  );
  await arrived.promise;
  const closed = started.server.close(300);
  const late = await fetch(`${started.origin}/health`).then(
    () => 'served',
    () => 'refused',
  );
  assert.is(late, 'refused');
  goOn.resolve();
  assert.is(await (await running).text(), 'whole');
  assert.is(await hanging, 'cut');
  await closed;
});

test('the bare address tells a person how to connect a client', async () => {
  await using started = await start();
  const response = await fetch(`${started.origin}/`);
  assert.is(response.status, 200);
  assert.match(response.headers.get('content-security-policy') ?? '', "default-src 'none'");
  const page = await response.text();
  assert.match(page, 'Connect your MCP client to team &lt;tools&gt;');
  assert.match(page, 'claude mcp add --transport http latchkey http://localhost:4483/mcp');
  assert.is(page.match(/<li class="good">/g)?.length, 3);
  assert.not.match(page, 'Not everything answers');
  assert.not.match(page, description.instanceId);
  assert.is((await fetch(`${started.origin}/`, { method: 'POST' })).status, 405);
});

test('and what does not answer, from the same source as /readyz', async () => {
  const away = () => Promise.reject(new Error('nats://secret-host:4222 is away'));
  await using started = await start({}, { pingNats: away, fetchDescription: away });
  const response = await fetch(`${started.origin}/`);
  assert.is(response.status, 200);
  const page = await response.text();
  assert.match(page, 'Not everything answers right now');
  assert.match(page, '<li class="away">NATS<span>does not answer</span></li>');
  assert.match(page, '<li class="away">Token vault<span>does not answer</span></li>');
  assert.not.match(page, 'secret-host');
});

test('two Hosts in one request are refused', async () => {
  await using started = await start();
  const lines = ['GET / HTTP/1.1', 'Host: localhost', 'Host: evil.example', '', ''];
  assert.match(await raw(started.port, lines.join('\r\n')), /^HTTP\/1\.1 400 /);
});

test('a port in use is the error of the operating system', async () => {
  await using started = await start();
  await using other = await start();
  const again = createGatewayServer({
    authorizationServer: { handle: async () => false },
    mcp: { handle: async () => {} },
    mcpPath: '/mcp',
    https: false,
    homePage,
    health: { check: async () => ({ status: 'ready', nats: 'ok', vault: 'ok', keys: 'ok' }) },
    status: async () => ({}),
    log: { error: () => {} } as never,
  });
  const error = await again.listen('127.0.0.1', started.port).then(
    () => null,
    (reason) => reason,
  );
  assert.is(error?.code, 'EADDRINUSE');
  assert.is.not(other.port, started.port);
});

test.run();
