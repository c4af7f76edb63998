/** Two thousand requests that are wrong in some way, the same ones each time: no crash, specified answers, no leak. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRandom } from '../../world/random.ts';
import { createMutation } from '../mutation.ts';
import { startTestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp fuzz');
const rounds = 2_000;

const envelope = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': { elicitation: {} },
};
const methods = [
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'prompts/get',
  'prompts/list',
  'resources/read',
  'resources/subscribe',
  'resources/templates/list',
  'completion/complete',
  'logging/setLevel',
  'server/discover',
  'notifications/cancelled',
  'notifications/initialized',
  'tasks/get',
  '__proto__',
];
const oddValues = [
  null,
  true,
  -1,
  1e308,
  '',
  'x'.repeat(5_000),
  '\u0000',
  '\ud800',
  [],
  {},
  [[[[]]]],
  { __proto__: { a: 1 } },
  { name: 'b_whoami' },
  'b_whoami',
  '../../etc/passwd',
];
const oddHeaders: [string, string][] = [
  ['accept', 'text/html'],
  ['accept', ''],
  ['content-type', 'text/plain'],
  ['content-type', 'application/json; charset=utf-16'],
  ['mcp-protocol-version', '1999-01-01'],
  ['mcp-protocol-version', '2026-07-28'],
  ['mcp-session-id', 'mcs_AAAA'],
  ['mcp-session-id', 'x'.repeat(3_000)],
  ['mcp-method', 'tools/list'],
  ['mcp-name', '=?base64?%%%?='],
  ['mcp-name', 'other'],
  ['authorization', 'Bearer nonsense'],
  ['authorization', 'Basic eDp5'],
  ['last-event-id', '1'],
  ['origin', 'http://evil.example'],
  ['content-encoding', 'gzip'],
];
/** JSON-RPC's, MCP's, and what the backends of this test may answer. */
const knownCodes = [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32020, -32021, -32022];

interface Fuzzed {
  method: string;
  headers: Record<string, string>;
  body: Buffer;
  /** Closes the connection in the middle of the body. */
  cutOff: boolean;
}

function createFuzzer(random: () => number, token: string, session: string) {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const chance = (share: number) => random() < share;

  const names = ['extra', 'result', 'error', 'method', 'id'];
  const mutate = createMutation({ pick, chance, share: 0.15, values: oddValues, names });

  return (): Fuzzed => {
    const newer = chance(0.5);
    const method = pick(methods);
    const params = {
      name: pick(['b_whoami', 'b_fail', 'unknown', 'b_']),
      uri: 'test://x',
      arguments: { a: [1, { b: 2 }] },
      level: 'debug',
      cursor: chance(0.3) ? 'WzEsImEiXQ' : undefined,
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'c', version: '1' },
      ref: { type: pick(['ref/prompt', 'ref/resource', 'x']), name: 'b_p', uri: 'test://x' },
      argument: { name: 'a', value: 'b' },
      requestState: chance(0.2) ? 'abc' : undefined,
      ...(newer ? { _meta: envelope } : {}),
    };
    const message = { jsonrpc: '2.0', id: pick([1, 'a', 0, -5]), method, params };
    const text = JSON.stringify(chance(0.9) ? mutate(message) : [mutate(message), message]) ?? '';
    const whole = Buffer.from(text);
    const headers: Record<string, string> = {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(newer
        ? { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, 'mcp-name': params.name }
        : { 'mcp-session-id': session }),
    };
    for (let count = Math.floor(random() * 3); count > 0; count -= 1) {
      if (chance(0.3)) delete headers[pick(Object.keys(headers))];
      else {
        const [name, value] = pick(oddHeaders);
        headers[name] = value;
      }
    }
    return {
      method: chance(0.93) ? 'POST' : pick(['PUT', 'PATCH', 'OPTIONS', 'HEAD', 'DELETE']),
      headers,
      body: chance(0.9) ? whole : whole.subarray(0, Math.floor(random() * whole.length)),
      cutOff: chance(0.03),
    };
  };
}

function send(url: string, agent: Agent, { method, headers, body, cutOff }: Fuzzed) {
  return new Promise<{ status: number; text: string } | null>((resolve, reject) => {
    const sent = request(
      url,
      { method, agent, headers: { ...headers, 'content-length': body.length + (cutOff ? 10 : 0) } },
      (res: IncomingMessage) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
        res.on('error', () => resolve(null));
      },
    );
    sent.on('error', (error) => (cutOff ? resolve(null) : reject(error)));
    if (!cutOff) return void sent.end(body);
    sent.write(body, () => sent.destroy());
  });
}

async function openSession({ url }: TestGateway, token: string): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  await response.text();
  return response.headers.get('mcp-session-id')!;
}

const isOpen = (kind: string) => /TCP|Pipe|HTTP/.test(kind) && !/Server/.test(kind);
setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** MiB that live, when all that could be let go has been. */
async function heapMiB(): Promise<number> {
  for (let time = 0; time < 3; time += 1) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage().heapUsed / 2 ** 20;
}

const openHandles = () => process.getActiveResourcesInfo().filter(isOpen).length;

/** How the requests of this seed were answered. */
async function sendAll(
  gateway: TestGateway,
  agent: Agent,
  { token, session: first }: { token: string; session: string },
): Promise<ReadonlyMap<number, number>> {
  let session = first;
  const random = createRandom(20_260_728);
  const statuses = new Map<number, number>();
  for (let round = 0; round < rounds; round += 8) {
    const create = createFuzzer(random, token, session);
    const batch = Array.from({ length: 8 }, create);
    const answers = await Promise.all(batch.map((fuzzed) => send(gateway.url, agent, fuzzed)));
    for (const [index, answer] of answers.entries()) {
      if (answer === null) continue;
      const { status, text } = answer;
      const what = `${JSON.stringify(batch[index])} -> ${status} ${text.slice(0, 300)}`;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      assert.ok(status < 500, what);
      const code = /"error":\{[^}]*"code":(-?\d+)/.exec(text)?.[1];
      if (code !== undefined) assert.ok(knownCodes.includes(Number(code)), what);
      assert.not.match(text, /node_modules|\.ts:\d|TypeError|RangeError/);
      // Some of them end the session, as they may.
      if (batch[index]!.method === 'DELETE') session = await openSession(gateway, token);
    }
  }
  return statuses;
}

test('each gets an answer that says what is wrong, and the gateway goes on', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const token = await gateway.signer.sign();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  try {
    const statuses = await sendAll(gateway, agent, { token, session: await openSession(gateway, token) });
    assert.equal(
      gateway
        .logged()
        .split('\n')
        .filter((line) => line.includes('failed inside')),
      [],
    );
    assert.equal(
      [200, 202, 400, 401, 403, 404, 405, 406, 415].filter((status) => !statuses.has(status)),
      [],
      'all kinds were among them',
    );
    const { result } = (await (
      await fetch(gateway.url, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json, text/event-stream',
          'content-type': 'application/json',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'b_whoami',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'b_whoami', _meta: envelope },
        }),
      })
    ).json()) as { result: { content: { text: string }[] } };
    assert.is(result.content[0]?.text, 'nothing');
  } finally {
    agent.destroy();
  }
  // What was opened for the requests is closed or reused, however many there were.
  while (openHandles() > 60) await new Promise((resolve) => setTimeout(resolve, 20));
});

test('the same ones again and again take no more memory and no more handles', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const token = await gateway.signer.sign();
  const session = await openSession(gateway, token);
  const heap: number[] = [];
  const handles: number[] = [];
  for (let time = 0; time < 4; time += 1) {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    await sendAll(gateway, agent, { token, session });
    agent.destroy();
    // This test's own.
    backend.requests.length = 0;
    backend.tokens.length = 0;
    gateway.vault.asked.length = 0;
    heap.push(await heapMiB());
    handles.push(openHandles());
  }
  // The first time fills what is remembered on purpose.
  const [, before = 0, , after = 0] = heap;
  assert.ok(after - before < 1, `${heap.map((mib) => mib.toFixed(1))} MiB`);
  assert.ok(handles.at(-1)! <= handles[1]! + 5, `${handles} handles`);
});

test.run();
