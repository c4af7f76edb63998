/** An MCP server on a free port that remembers what it was sent, in one of three kinds, and can misbehave. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer as OlderMcpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';

export type BackendKind = '2026-07-28' | 'stateless' | 'sessions';

export interface TestBackend extends AsyncDisposable {
  readonly url: string;
  readonly requests: { method: string; headers: IncomingHttpHeaders; body: string }[];
  /** Runs before the request is served; returning true means that it has answered. */
  intercept: (req: IncomingMessage, res: ServerResponse, body: string) => boolean | Promise<boolean>;
  /** Without a bearer token nothing is served, as by a resource server; as it is made, everything is. */
  needsToken: boolean;
  /** The sessions it knows are gone, as after a restart. Servers differ in what they answer then. */
  forgetSessions(status: 404 | 400): void;
  /** Bearer tokens that came with tool calls, in order. */
  readonly tokens: string[];
  readonly sessionsOpened: number;
}

const tools = {
  whoami: 'the token that came',
  fail: 'answers with an error result',
  count: 'tells its progress',
};

export async function startTestBackend(kind: BackendKind = '2026-07-28', port = 0): Promise<TestBackend> {
  const requests: TestBackend['requests'] = [];
  const tokens: string[] = [];
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  let sessionsOpened = 0;
  let lostSessionStatus = 404;

  const seen = (authorization: string | null | undefined) => {
    const text = authorization?.replace(/^Bearer /, '') ?? 'nothing';
    tokens.push(text);
    // More than the specification knows: it has to reach the client all the same.
    return { content: [{ type: 'text' as const, text }], _meta: { 'example.com/extra': [1, 2] } };
  };

  const newer = createMcpHandler(
    () => {
      const server = new McpServer({ name: 'test', version: '1' });
      server.registerTool('whoami', { description: tools.whoami }, (context) =>
        seen(context.http?.req?.headers.get('authorization')),
      );
      server.registerTool('count', { description: tools.count }, async ({ mcpReq: { _meta, notify } }) => {
        const progressToken = _meta?.progressToken ?? 'not asked for';
        for (const progress of [1, 2])
          await notify({
            method: 'notifications/progress',
            params: { progressToken, progress, total: 2, message: `step ${progress}` },
          });
        return { content: [{ type: 'text', text: 'counted' }] };
      });
      server.registerTool('fail', { description: tools.fail }, () => ({
        content: [{ type: 'text', text: 'no' }],
        isError: true,
      }));
      return server;
    },
    kind === '2026-07-28' ? { legacy: 'reject' } : {},
  );
  const newerHandler = toNodeHandler(newer);

  async function serveSessions(req: IncomingMessage, res: ServerResponse, body: string): Promise<void> {
    const id = req.headers['mcp-session-id'] as string | undefined;
    let transport = id === undefined ? undefined : sessions.get(id);
    if (id !== undefined && transport === undefined) {
      res
        .writeHead(lostSessionStatus)
        .end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    if (transport === undefined) {
      const opened = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (sessionId) => {
          sessionsOpened += 1;
          sessions.set(sessionId, opened);
        },
      });
      const server = new OlderMcpServer({ name: 'test', version: '1' });
      server.registerTool('whoami', { description: tools.whoami }, (extra) =>
        seen(extra.requestInfo?.headers.authorization as string | undefined),
      );
      await server.connect(opened as Parameters<typeof server.connect>[0]);
      transport = opened;
    }
    await transport.handleRequest(req, res, body === '' ? undefined : JSON.parse(body));
  }

  const backend = {
    requests,
    tokens,
    intercept: (() => false) as TestBackend['intercept'],
    needsToken: false,
    forgetSessions: (status: 404 | 400) => {
      sessions.clear();
      lostSessionStatus = status;
    },
    get sessionsOpened() {
      return sessionsOpened;
    },
  };
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    requests.push({ method: req.method ?? '', headers: req.headers, body });
    if (await backend.intercept(req, res, body)) return;
    if (backend.needsToken && req.headers.authorization === undefined) return void res.writeHead(401).end();
    if (kind === 'sessions') return await serveSessions(req, res, body);
    await newerHandler(
      req as Parameters<typeof newerHandler>[0],
      res,
      body === '' ? undefined : JSON.parse(body),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  return Object.assign(backend, {
    url,
    async [Symbol.asyncDispose]() {
      await newer.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
