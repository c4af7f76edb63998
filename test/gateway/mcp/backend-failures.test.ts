/** What a caller sees when a backend rejects, redirects, hangs or is dead, or when an upstream account will not do. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BackendAuthorizationError } from '../../../gateway/mcp/backend-call.ts';
import { describeFailure } from '../../../gateway/mcp/error-result.ts';
import { UpstreamTokenNotFoundError } from '../../../gateway/strategies/outgoing-strategy.ts';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import type { UpstreamTokenAnswer } from '../../../schemas/messages/find-upstream-tokens.ts';
import { okAnswer } from '../fake-vault.ts';
import { newerToolCall } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import {
  clientKinds,
  connectClient,
  startTestGateway,
  type TestClient,
  type TestGateway,
  textOf,
} from '../test-gateway.ts';

const test = suite('gateway/mcp backend failures');
const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;

interface World extends AsyncDisposable {
  backend: TestBackend;
  gateway: TestGateway;
  client: TestClient;
}

async function startWorld(kind: (typeof clientKinds)[number] = 'sdk 2 (2025-11-25)'): Promise<World> {
  const stack = new AsyncDisposableStack();
  const backend = stack.use(await startTestBackend());
  const gateway = stack.use(
    await startTestGateway({ backends: [{ name: 'git', url: backend.url, strategy: gitlab }] }),
  );
  const client = stack.use(await connectClient(kind, gateway.url, await gateway.signer.sign()));
  return { backend, gateway, client, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Answers like a resource server that does not want the token, with all that must not get through. */
function rejectToken(backend: TestBackend, token: string | null, status = 401): void {
  backend.intercept = (req, res) => {
    if (token !== null && req.headers.authorization !== `Bearer ${token}`) return false;
    res.writeHead(status, {
      'www-authenticate':
        'Bearer error="invalid_token", resource_metadata="http://evil.example/.well-known/oauth-protected-resource"',
      location: 'http://evil.example/',
      'set-cookie': 'backend=1',
      'x-upstream-text': 'secret words of the backend',
    });
    res.end('secret words of the backend');
    return true;
  };
}

for (const kind of clientKinds) {
  test(`${kind}: a rejected token is refreshed once, the call repeated once, and the person sees nothing`, async () => {
    await using world = await startWorld(kind);
    const { backend, gateway, client } = world;
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old', 4), okAnswer('new', 5));
    rejectToken(backend, 'old');
    const result = await client.callTool({ name: 'git_whoami' });
    assert.is(textOf(result), 'new');
    assert.is(result.isError, undefined);
    assert.equal(
      gateway.vault.asked.filter(({ rejected }) => rejected !== undefined).map(({ rejected }) => rejected),
      [{ gitlab: 4 }],
    );
    assert.is(gateway.facts.length, 1);
    const { fact, backend: name, provider, version, session } = gateway.facts[0]!;
    assert.equal([fact, name, provider, version], ['refresh-requested', 'git', 'gitlab', 4]);
    assert.match(session!, /^ses_/);
    assert.ok(client.statuses.every((status) => status < 400 || status === 405));
  });
}

test('a token that is rejected again is an error result that says what to do, and nothing of the backend', async () => {
  await using world = await startWorld();
  const { backend, gateway, client } = world;
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token-1', 1), okAnswer('token-2', 2));
  rejectToken(backend, null);
  const result = await client.callTool({ name: 'git_whoami' });
  assert.is(result.isError, true);
  assert.match(textOf(result), /"git".*"gitlab".*Sign in again/);
  assert.not.match(textOf(result), /secret|evil|401|token-/);
  const sentTokens = backend.requests.map(({ headers }) => headers.authorization);
  assert.equal([...new Set(sentTokens)], ['Bearer token-1', 'Bearer token-2']);
  assert.is(gateway.vault.asked.filter(({ rejected }) => rejected !== undefined).length, 1);
});

test('a token that the vault did not renew is not sent again', async () => {
  await using world = await startWorld();
  const { backend, gateway, client } = world;
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old', 7));
  rejectToken(backend, null);
  const before = backend.requests.length;
  assert.is((await client.callTool({ name: 'git_whoami' })).isError, true);
  assert.is(backend.requests.length - before, 1);
});

test('a backend that forbids (403) is not asked twice, and its scope challenge goes nowhere', async () => {
  await using world = await startWorld();
  const { backend, gateway, client } = world;
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('narrow'));
  rejectToken(backend, null, 403);
  const result = await client.callTool({ name: 'git_whoami' });
  assert.is(result.isError, true);
  assert.match(textOf(result), /"git" does not allow this to your account at "gitlab"/);
  assert.is(backend.requests.length, 1);
  assert.is(gateway.facts.length, 0);
});

test('what a backend rejects is counted and shown, and nothing of its answer gets through', async () => {
  await using world = await startWorld();
  const { backend, gateway } = world;
  const { body, ...request } = newerToolCall('git_whoami', await gateway.signer.sign());
  for (const [status, rejections] of [
    [401, 2],
    [403, 3],
  ] as const) {
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token', 1), okAnswer('renewed', 2));
    rejectToken(backend, null, status);
    const response = await fetch(gateway.url, { ...request, body });
    assert.is(response.status, 200);
    for (const name of ['www-authenticate', 'location', 'set-cookie', 'x-upstream-text'])
      assert.is(response.headers.get(name), null, name);
    assert.not.match(await response.text(), /secret words|evil|insufficient_scope|resource_metadata/);
    const { backends } = (await (await fetch(new URL('/status', gateway.url))).json()) as {
      backends: object;
    };
    assert.equal(backends, [{ name: 'git', status: 'healthy', failuresInARow: 0, rejections }]);
  }
});

for (const [answer, text, fact] of [
  [{ status: 'missing' }, /"git".*"gitlab".*none is connected.*Sign in again/, 'token-needed'],
  [{ status: 'reauth-required' }, /"git".*"gitlab".*Sign in again/, 'token-needed'],
  [{ status: 'refresh-failed', retryAfterSeconds: 7 }, /"git".*"gitlab" does not answer.*in 7 s/, null],
] as [UpstreamTokenAnswer, RegExp, string | null][]) {
  test(`an account that is ${answer.status} fails the call by an error result, and never by a status`, async () => {
    for (const kind of clientKinds) {
      await using world = await startWorld(kind);
      const { backend, gateway, client } = world;
      gateway.vault.hold('usr_anna', 'gitlab', answer);
      const result = await client.callTool({ name: 'git_whoami' });
      assert.is(result.isError, true);
      assert.match(textOf(result), text);
      assert.is(backend.requests.length, 0);
      assert.equal(
        gateway.facts.map((told) => [told.fact, told.provider, told.reason]),
        fact === null ? [] : [[fact, 'gitlab', answer.status]],
      );
      assert.ok(client.statuses.every((status) => status < 400 || status === 405));
    }
  });
}

test('a token that is still being renewed is not blamed on its provider', () => {
  const pending = new UpstreamTokenNotFoundError('gitlab', 'pending');
  const text = describeFailure('git', new BackendAuthorizationError('no-token', 'git', 'gitlab', pending));
  assert.match(text, /"git".*"gitlab".*being renewed.*Try again later/);
  assert.not.match(text, 'does not answer');
});

test('a session that ends, or a vault that goes away, between the two look-ups is an error result', async () => {
  for (const [failure, text] of [
    [new RefusedError('session-ended', 'x'), /session has ended/],
    [new NoRespondersError('x'), /vault does not answer/],
  ] as const) {
    await using world = await startWorld();
    const { backend, gateway, client } = world;
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old'));
    backend.intercept = (_req, res) => {
      gateway.vault.fail(failure);
      res.writeHead(401).end();
      return true;
    };
    assert.match(textOf(await client.callTool({ name: 'git_whoami' })), text);
  }
});

test('a token that cannot stand in a header fails the calls of its owner alone', async () => {
  await using backend = await startTestBackend();
  const failures = {
    ...{ healthCheckIntervalMs: 600_000, healthCheckTimeoutMs: 2_000, unhealthyThreshold: 2 },
    circuit: { failureThreshold: 2, openMs: 600_000 },
  };
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
    settings: { failures },
  });
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('broken\nprecious'));
  gateway.vault.hold('usr_ben', 'gitlab', okAnswer('of-ben'));
  const connect = async (sub: string) =>
    connectClient(clientKinds[2], gateway.url, await gateway.signer.sign({ sub }));
  await using anna = await connect('usr_anna');
  await using ben = await connect('usr_ben');
  for (let calls = 0; calls < 3; calls += 1) {
    const result = await anna.callTool({ name: 'git_whoami' });
    assert.is(result.isError, true);
    assert.match(textOf(result), /"git" was not made.*a character that no HTTP header may have/);
  }
  assert.is(textOf(await ben.callTool({ name: 'git_whoami' })), 'of-ben');
  assert.not.match(gateway.logged(), /precious/);
});

for (const kind of ['sessions', '2026-07-28'] as const)
  test(`backend ${kind}: a stream that it rejects has the token renewed once, and not for as long as the client listens`, async () => {
    await using backend = await startTestBackend(kind);
    let streams = 0;
    backend.intercept = (req, res, body) => {
      if (req.method !== 'GET' && !body.includes('"subscriptions/listen"')) return false;
      streams += 1;
      res.writeHead(401).end();
      return true;
    };
    await using gateway = await startTestGateway({
      backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
    });
    const renewed = Array.from({ length: 50 }, (_, at) => okAnswer(`token-${at}`, at + 1));
    gateway.vault.hold('usr_anna', 'gitlab', ...renewed);
    await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
    await client.callTool({ name: 'git_whoami' });
    while (streams < 2) await pause(10);
    // The next try would come within this time, if there was one.
    await pause(1_500);
    assert.is(streams, 2);
    assert.is(gateway.facts.length, 1);
    // The account is taken away, and connected anew.
    gateway.vault.hold('usr_anna', 'gitlab', { status: 'missing' });
    await client.listTools();
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token-of-now', 1));
    while (streams === 2) await pause(10);
  });

test('facts neither delay nor fail a call', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'git', url: backend.url, strategy: gitlab }],
    publish: () => Promise.reject(new Error('no stream')),
  });
  await using client = await connectClient('sdk 2 (2026-07-28)', gateway.url, await gateway.signer.sign());
  assert.is((await client.callTool({ name: 'git_whoami' })).isError, true);
});

test('a redirect is not followed: the token reaches the configured origin alone', async () => {
  const elsewhere: unknown[] = [];
  const other = createServer((req, res) => {
    elsewhere.push(req.headers);
    res.end('{}');
  });
  await new Promise<void>((resolve) => {
    other.listen(0, '127.0.0.1', resolve);
  });
  try {
    for (const status of [301, 302, 303, 307, 308]) {
      await using world = await startWorld();
      const { backend, gateway, client } = world;
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('precious'));
      backend.intercept = (req, res) => {
        // Also to its own origin: who follows there may be led on.
        const target =
          req.url === '/mcp' ? '/other' : `http://127.0.0.1:${(other.address() as AddressInfo).port}/mcp`;
        res.writeHead(status, { location: target }).end();
        return true;
      };
      const result = await client.callTool({ name: 'git_whoami' });
      assert.is(result.isError, true);
      assert.match(textOf(result), /"git" redirects elsewhere/);
      assert.is(backend.requests.length, 1);
    }
    assert.equal(elsewhere, []);
  } finally {
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
  }
});

test('dead, hanging, rejecting and babbling backends cost the others nothing in the list', async () => {
  await using good = await startTestBackend('sessions');
  await using wanting = await startTestBackend();
  wanting.needsToken = true;
  await using hanging = await startTestBackend();
  await using babbling = await startTestBackend();
  await using rejecting = await startTestBackend();
  hanging.intercept = () => true;
  babbling.intercept = (_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":"x","result":');
    return true;
  };
  rejecting.intercept = (_req, res) => {
    res.writeHead(500).end('secret words of the backend');
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'dead', url: 'http://127.0.0.1:1/mcp' },
      { name: 'hanging', url: hanging.url, timeoutMs: 60_000 },
      { name: 'good', url: good.url },
      { name: 'babbling', url: babbling.url },
      { name: 'rejecting', url: rejecting.url },
      { name: 'unlinked', url: wanting.url, strategy: gitlab },
    ],
    limits: { listMs: 300 },
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const { tools } = await client.listTools();
    assert.equal(
      tools.map(({ name }) => name),
      ['good_whoami', 'unlinked_connect'],
    );
  }
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  for (const name of ['dead', 'babbling', 'rejecting']) {
    const result = await client.callTool({ name: `${name}_x` });
    assert.is(result.isError, true);
    const why =
      name === 'dead'
        ? 'could not be reached. Try again later.'
        : 'could not be reached, or its answer made no sense. Whether it did something is not known.';
    assert.is(textOf(result), `The backend "${name}" ${why}`);
  }
  for (const name of ['dead', 'hanging', 'babbling', 'rejecting'])
    assert.match(gateway.logged(), new RegExp(`"backend":"${name}".*not listed`));
  assert.not.match(gateway.logged(), /secret words/);
});

test('a JSON-RPC error of the backend is its answer, and reaches the client as it is', async () => {
  await using backend = await startTestBackend();
  backend.intercept = (_req, res, body) => {
    if (!body.includes('tools/call')) return false;
    const { id } = JSON.parse(body) as { id: number };
    const error = { code: 1234, message: 'out of paper', data: { tray: 2 } };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id, error }));
    return true;
  };
  await using gateway = await startTestGateway({ backends: [{ name: 'print', url: backend.url }] });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const error = await client.callTool({ name: 'print_x' }).then(
      () => null,
      (reason) => reason,
    );
    assert.is(error?.code, 1234, kind);
    assert.match(error.message, /out of paper/);
    assert.equal(error.data, { tray: 2 });
  }
});

test('a backend that does not answer in time is an error result that says so', async () => {
  await using backend = await startTestBackend();
  backend.intercept = (_req, _res, body) => body.includes('tools/call');
  await using gateway = await startTestGateway({
    backends: [{ name: 'slow', url: backend.url, timeoutMs: 200 }],
  });
  await using client = await connectClient('sdk 2 (2026-07-28)', gateway.url, await gateway.signer.sign());
  assert.match(textOf(await client.callTool({ name: 'slow_whoami' })), /"slow" did not answer in time/);
});

test('a request that its client gives up ends at the backend as well', async () => {
  await using backend = await startTestBackend();
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  backend.intercept = (_req, res, body) => {
    if (!body.includes('tools/call')) return false;
    res.once('close', () => ended.resolve());
    begun.resolve();
    return true;
  };
  await using gateway = await startTestGateway({ backends: [{ name: 'slow', url: backend.url }] });
  await using client = await connectClient('sdk 2 (2025-11-25)', gateway.url, await gateway.signer.sign());
  const token = await gateway.signer.sign();
  const send = (body: unknown) =>
    fetch(gateway.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'mcp-session-id': client.sessionId!,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...(body as object) }),
    });
  const call = await send({ id: 77, method: 'tools/call', params: { name: 'slow_whoami' } });
  await begun.promise;
  const cancelled = await send({ method: 'notifications/cancelled', params: { requestId: 77 } });
  assert.is(cancelled.status, 202);
  await ended.promise;
  assert.is(await call.text(), '');
});

test.run();
