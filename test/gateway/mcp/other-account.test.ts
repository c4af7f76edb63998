/**
 * A person who has connected another account of a provider: what a backend was told, and has told, as the former one is
 * not mixed with it. A renewed token of the same account changes nothing.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp other account');
const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;

async function startWorld(kind: (typeof clientKinds)[number]) {
  const stack = new AsyncDisposableStack();
  const backend = stack.use(await startTestBackend('sessions'));
  const gateway = stack.use(
    await startTestGateway({ backends: [{ name: 'git', url: backend.url, strategy: gitlab }] }),
  );
  const client = stack.use(await connectClient(kind, gateway.url, await gateway.signer.sign()));
  return {
    ...{ backend, gateway, client },
    hold: (token: string, version: number, account: string) =>
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer(token, version, account)),
    call: async () => textOf(await client.callTool({ name: 'git_whoami' })),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** With which tokens each session at the backend was used. */
function tokensBySession({ requests }: TestBackend): Map<string, Set<string | undefined>> {
  const tokens = new Map<string, Set<string | undefined>>();
  for (const { headers } of requests) {
    const session = headers['mcp-session-id'];
    if (session === undefined) continue;
    const ofSession = tokens.get(String(session)) ?? new Set();
    tokens.set(String(session), ofSession.add(headers.authorization));
  }
  return tokens;
}

for (const kind of clientKinds)
  test(`${kind}: a session at a backend goes on with a renewed token, and never as another account`, async () => {
    await using w = await startWorld(kind);
    w.hold('one', 1, 'one');
    assert.is(await w.call(), 'one');
    w.hold('one-renewed', 2, 'one');
    assert.is(await w.call(), 'one-renewed');
    assert.is(w.backend.sessionsOpened, 1);
    w.hold('other', 1, 'other');
    assert.is(await w.call(), 'other');
    assert.is(w.backend.sessionsOpened, 2);
    const isOver = ({ method }: { method: string }) => method === 'DELETE';
    while (!w.backend.requests.some(isOver)) await pause(10);
    assert.is(w.backend.requests.find(isOver)?.headers.authorization, 'Bearer one-renewed');
    assert.equal(
      [...tokensBySession(w.backend).values()].map((tokens) => [...tokens]),
      [['Bearer one', 'Bearer one-renewed'], ['Bearer other']],
    );
  });

test('what one account was shown is not shown to the other', async () => {
  await using w = await startWorld(clientKinds[0]);
  w.backend.intercept = (req, res, body) => {
    if (!body.includes('"tools/list"')) return false;
    const name = `of_${req.headers.authorization?.replace('Bearer ', '')}`;
    const result = { tools: [{ name, inputSchema: { type: 'object' } }] };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result }));
    return true;
  };
  for (const account of ['one', 'other', 'one']) {
    w.hold(account, 1, account);
    const { tools } = await w.client.listTools();
    assert.equal(
      tools.map(({ name }) => name),
      [`git_of_${account}`],
    );
  }
});

test('whoever listens hears what the backend tells the account of now', async () => {
  await using w = await startWorld(clientKinds[0]);
  const listensAs = async (token: string) => {
    const isStream = ({ method, headers }: TestBackend['requests'][number]) =>
      method === 'GET' && headers.authorization === `Bearer ${token}`;
    while (!w.backend.requests.some(isStream)) await pause(10);
  };
  w.hold('one', 1, 'one');
  await w.call();
  await listensAs('one');
  w.hold('other', 1, 'other');
  await w.call();
  await listensAs('other');
});

test.run();
