/** What becomes of a session's calls at a gateway when the vault tells that it has ended. */
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BackendKind, startTestBackend, type TestBackend } from '../test-backend.ts';
import { connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('session guard');

const ended = `ses_${'e'.repeat(32)}`;
const other = `ses_${'o'.repeat(32)}`;

async function startWorld(kind: BackendKind = '2026-07-28') {
  const stack = new AsyncDisposableStack();
  const backend = stack.use(await startTestBackend(kind));
  const gateway = stack.use(await startTestGateway({ backends: [{ name: 'git', url: backend.url }] }));
  const connect = async (tsid: string) =>
    stack.use(await connectClient('sdk 2 (2026-07-28)', gateway.url, await gateway.signer.sign({ tsid })));
  return { backend, gateway, connect, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const sessionsOf = (requests: TestBackend['requests']) => [
  ...new Set(requests.flatMap(({ headers }) => headers['mcp-session-id'] ?? [])),
];

test('a call that runs is cut, its backend hears of it, and other sessions go on', async () => {
  await using world = await startWorld();
  const { backend, gateway } = world;
  const [theirs, others] = [await world.connect(ended), await world.connect(other)];
  const reached = Promise.withResolvers<void>();
  const cut = Promise.withResolvers<void>();
  backend.intercept = (_req, res, body) => {
    if (!body.includes('tools/call') || !body.includes('count')) return false;
    res.once('close', () => cut.resolve());
    reached.resolve();
    return true;
  };
  const call = theirs.callTool({ name: 'git_count' }).then(
    () => 'answered',
    () => 'cut',
  );
  await reached.promise;
  gateway.endSession(ended);
  assert.is(await call, 'cut');
  await cut.promise;
  assert.is(textOf(await others.callTool({ name: 'git_whoami' })), 'nothing');
});

test('its sessions at backends are ended, with its token, and those of others go on', async () => {
  await using world = await startWorld('sessions');
  const { backend, gateway } = world;
  for (const tsid of [ended, other]) await (await world.connect(tsid)).callTool({ name: 'git_whoami' });
  const [theirs, others] = sessionsOf(backend.requests);
  gateway.endSession(ended);
  const over = () => backend.requests.filter(({ method }) => method === 'DELETE');
  while (over().length === 0) await pause(10);
  assert.equal(sessionsOf(over()), [theirs]);
  assert.is.not(theirs, others);
});

test('an open stream of the session ends', async () => {
  await using world = await startWorld();
  const { gateway } = world;
  const authorization = `Bearer ${await gateway.signer.sign({ tsid: ended })}`;
  const client = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const opened = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      authorization,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: client }),
  });
  await opened.text();
  const stream = await fetch(gateway.url, {
    headers: {
      authorization,
      accept: 'text/event-stream',
      'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
      'mcp-protocol-version': '2025-11-25',
    },
  });
  assert.is(stream.status, 200);
  const read = stream.text().then(
    () => 'over',
    () => 'over',
  );
  assert.is(await Promise.race([read, Promise.resolve('open')]), 'open');
  gateway.endSession(ended);
  assert.is(await read, 'over');
});

test('from then on its tokens are refused with invalid_token, every method, without a question to the vault', async () => {
  await using world = await startWorld();
  const { gateway } = world;
  const token = await gateway.signer.sign({ tsid: ended });
  gateway.endSession(ended);
  const asked = gateway.vault.asked.length;
  for (const method of ['POST', 'GET', 'DELETE']) {
    const response = await fetch(gateway.url, { method, headers: { authorization: `bearer ${token}` } });
    assert.is(response.status, 401, method);
    const challenge = response.headers.get('www-authenticate') ?? '';
    assert.match(challenge, /^Bearer error="invalid_token".*resource_metadata=/, method);
  }
  assert.is(gateway.vault.asked.length, asked);
  const fresh = await gateway.signer.sign({ tsid: other });
  const response = await fetch(gateway.url, { headers: { authorization: `Bearer ${fresh}` } });
  assert.is.not(response.status, 401, 'another session');
});

test('what is no token of ours is left to the endpoint', async () => {
  await using world = await startWorld();
  const { gateway } = world;
  gateway.endSession(ended);
  for (const [authorization, error] of [
    ['Bearer x.y.z', true],
    ['Bearer not-a-jwt', true],
    ['Basic eDp5', false],
  ] as const) {
    const response = await fetch(gateway.url, { method: 'POST', headers: { authorization } });
    assert.is(response.status, 401, authorization);
    const challenge = response.headers.get('www-authenticate') ?? '';
    assert.is(challenge.includes('error="invalid_token"'), error, authorization);
  }
});

test.run();
