/** An MCP server on a free port with a tool, a prompt and a resource, whose answers are wrong in some way, by a seed. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createMutation } from './mutation.ts';

export type FuzzedKind = '2026-07-28' | '2025-11-25' | 'sse';
export const fuzzedKinds: readonly FuzzedKind[] = ['2026-07-28', '2025-11-25', 'sse'];

const capabilities = {
  tools: { listChanged: true },
  prompts: {},
  resources: { subscribe: true },
  completions: {},
  logging: {},
};
const serverInfo = { name: 'fuzzed', version: '1' };
const right: Record<string, (kind: FuzzedKind) => object> = {
  initialize: (kind) => ({
    protocolVersion: kind === 'sse' ? '2024-11-05' : '2025-11-25',
    ...{ capabilities, serverInfo },
  }),
  'server/discover': () => ({ supportedVersions: ['2026-07-28'], capabilities, serverInfo }),
  'tools/list': () => ({ tools: [{ name: 't', inputSchema: { type: 'object' } }], ttlMs: 0 }),
  'prompts/list': () => ({ prompts: [{ name: 'p' }], ttlMs: 0 }),
  'resources/list': () => ({ resources: [{ uri: 'x://1', name: 'r' }], ttlMs: 0 }),
  'resources/templates/list': () => ({
    resourceTemplates: [{ uriTemplate: 'x://{id}', name: 'r' }],
    ttlMs: 0,
  }),
  'tools/call': () => ({
    content: [{ type: 'text', text: 'right' }],
    structuredContent: { a: [1, { b: null }] },
  }),
  'prompts/get': () => ({ messages: [{ role: 'user', content: { type: 'text', text: 'right' } }] }),
  'resources/read': () => ({ contents: [{ uri: 'x://1', text: 'right' }] }),
  'completion/complete': () => ({ completion: { values: ['right'] } }),
};
const asides: readonly object[] = [
  { method: 'notifications/message', params: { level: 'info', data: 'x' } },
  { method: 'notifications/tools/list_changed' },
  { method: 'notifications/resources/updated', params: { uri: 'x://1' } },
  { id: 'q1', method: 'ping' },
  { id: 'q2', method: 'roots/list' },
  { id: 'q3', method: 'elicitation/create', params: { message: 'who?', requestedSchema: {} } },
  { id: 1, result: {} },
];
const oddValues = [
  null,
  true,
  -1,
  1e308,
  '',
  'x'.repeat(70_000),
  '\u0000',
  '\ud800',
  '\u2028',
  [],
  {},
  [[[[]]]],
];
const oddStatuses = [
  201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 405, 406, 409, 410, 413, 429, 500, 503, 599,
];
const oddHeaders: readonly [string, string][] = [
  ['content-type', 'text/html'],
  ['content-type', 'application/json; charset=utf-16'],
  ['content-type', ''],
  ['content-encoding', 'gzip'],
  ['retry-after', 'soon'],
  ['www-authenticate', 'Bearer resource_metadata="'],
  ['location', 'http://127.0.0.1:1/'],
  ['mcp-session-id', 'x'.repeat(9_000)],
  ['mcp-session-id', 'é'],
  ['content-length', '3'],
];

export interface FuzzedBackend extends AsyncDisposable {
  readonly url: string;
  /** Every answer is right from now on. */
  recover(): void;
}

export async function startFuzzedBackend(kind: FuzzedKind, random: () => number): Promise<FuzzedBackend> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  let share = 0.5;
  const chance = (of: number) => share > 0 && random() < of;
  let stream: ServerResponse | null = null;

  const names = ['extra', 'result', 'error', 'method', 'id', 'nextCursor'];
  const mutate = createMutation({ pick, chance, share: 0.08, values: oddValues, names });

  function damage(bytes: Buffer): Buffer {
    const at = Math.floor(random() * bytes.length);
    return pick([
      () => bytes.subarray(0, at),
      () =>
        Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from([Math.floor(random() * 256)]),
          bytes.subarray(at + 1),
        ]),
      () =>
        Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(pick(['\n', '\r\n\r\n', '"', '}', '\\', '\ufeff', '\ndata: 1\n\n'])),
          bytes.subarray(at),
        ]),
      () => Buffer.concat([bytes, bytes.subarray(at)]),
    ])();
  }

  const message = (whole: object) =>
    JSON.stringify(chance(share) ? mutate(whole) : whole, null, chance(0.4) ? 2 : 0) ?? 'null';
  const event = (data: string) =>
    `event: message\n${data
      .split('\n')
      .map((line) => `data: ${line}\n`)
      .join('')}\n`;

  /** In pieces, and perhaps not to the end. */
  async function pour(res: ServerResponse, bytes: Buffer, ends: boolean): Promise<void> {
    const whole = chance(bytes.length > 70_000 ? share : share / 3) ? damage(bytes) : bytes;
    for (let at = 0; at < whole.length; ) {
      const size = chance(0.3) ? 1 + Math.floor(random() * (whole.length / 4)) : whole.length;
      if (chance(0.01)) return void res.socket?.resetAndDestroy();
      res.write(whole.subarray(at, at + size));
      at += size;
      if (chance(0.2)) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (chance(0.02)) return;
    if (ends) res.end();
  }

  function answerTo({ id, method }: { id: unknown; method: string }): object {
    if (kind !== '2026-07-28' && method === 'server/discover')
      return { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } };
    const result = {
      ...(kind === '2026-07-28' ? { resultType: 'complete' } : {}),
      // What is large goes on while it comes.
      ...(method === 'tools/call' && chance(0.4) ? { _meta: { large: 'é"\n\\'.repeat(40_000) } } : {}),
      ...right[method]?.(kind),
    };
    if (chance(0.1)) return { jsonrpc: '2.0', id, error: { code: -32000, message: 'no', data: { a: 1 } } };
    return { jsonrpc: '2.0', id, result };
  }

  const server = createServer(async (req, res) => {
    res.on('error', () => {});
    const body = await text(req).catch(() => '');
    if (req.method === 'GET') {
      if (kind === '2026-07-28' || chance(0.1)) return void res.writeHead(405).end();
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (kind !== 'sse')
        return void (await pour(
          res,
          Buffer.from(event(message({ jsonrpc: '2.0', ...pick(asides) }))),
          chance(0.5),
        ));
      stream = res;
      const endpoint = chance(0.1) ? pick(['//evil.example/', 'http://[', '']) : '/post';
      return void res.write(`event: endpoint\ndata: ${endpoint}\n\n`);
    }
    const asked = body === '' ? null : JSON.parse(body);
    if (chance(0.02)) return void req.socket.resetAndDestroy();
    if (chance(0.02))
      return void req.socket.end(
        pick(['HTTP/1.1 abc\r\n\r\n', '\0\0\0', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n']),
      );
    if (chance(0.02)) return; // hangs
    if (asked === null || asked.id === undefined || asked.method === undefined)
      return void res.writeHead(asked === null ? 200 : 202).end();
    const answer = message(answerTo(asked));
    const progressToken = asked.params?._meta?.progressToken;
    const progress = { method: 'notifications/progress', params: { progressToken, progress: 1 } };
    const aside = progressToken === undefined || chance(0.3) ? pick(asides) : progress;
    const before = chance(0.4) ? event(message({ jsonrpc: '2.0', ...aside })) : '';
    if (kind === 'sse') {
      res.writeHead(chance(0.05) ? pick(oddStatuses) : 202).end();
      if (stream !== null) await pour(stream, Buffer.from(before + event(answer)), chance(0.05));
      return;
    }
    const asEvents = before !== '' || random() < 0.5;
    const headers: Record<string, string> = {
      'content-type': asEvents ? 'text/event-stream' : 'application/json',
      ...(asked.method === 'initialize' ? { 'mcp-session-id': 's1' } : {}),
    };
    if (chance(share / 4)) {
      const [name, value] = pick(oddHeaders);
      headers[name] = Buffer.from(value).toString('latin1');
    }
    res.writeHead(chance(share / 4) ? pick(oddStatuses) : 200, headers);
    await pour(res, Buffer.from(asEvents ? before + event(answer) : answer), true);
  });
  server.on('clientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    recover() {
      share = 0;
      // What was begun wrongly has its end, as when such a server is started again.
      server.closeAllConnections();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
