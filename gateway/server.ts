/**
 * The gateway's HTTP server: the authorization server first, then `/mcp`, `/health`, `/readyz`, `/status` and a page at `/`, and
 * 404 for everything else. Malformed HTTP gets its status (RFC 9110, RFC 6585) and the connection ends; a stop lets what runs
 * come to its end, up to a limit.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Log } from '../schemas/log.ts';
import type { Health, Readiness } from './health.ts';
import { parseRequestTarget } from './http/request.ts';
import { sendJson } from './http/respond.ts';
import { type Page, sendPage } from './pages/page.ts';

export interface RequestHandler {
  /** Resolves with false, and has done nothing, if the path is not its own. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<boolean>;
}

export interface GatewayServerOptions {
  readonly authorizationServer: RequestHandler;
  readonly mcp: { handle(req: IncomingMessage, res: ServerResponse): Promise<void> };
  /** Path of the MCP endpoint. */
  readonly mcpPath: string;
  /** Reached by https, so browsers are told to stay with it (RFC 6797). */
  readonly https: boolean;
  readonly health: Health;
  /** What `/status` tells beside the readiness. */
  readonly status: () => Promise<Readonly<Record<string, unknown>>>;
  /** For a person who opens the bare address. */
  readonly homePage: (readiness: Readiness) => Page;
  readonly log: Pick<Log, 'error'>;
}

export interface GatewayServer {
  /** Resolves with the port. Rejects with the error of the operating system (`EADDRINUSE`, ...). */
  listen(host: string, port: number): Promise<number>;
  /** Takes no new connection, waits for what runs, then ends what is left. */
  close(limitMs: number): Promise<void>;
}

const maxHeaderSize = 16 * 1024;
const ownPaths: readonly string[] = ['/', '/health', '/readyz', '/status'];

export function createGatewayServer(options: GatewayServerOptions): GatewayServer {
  const { authorizationServer, mcp, mcpPath, https, health, status, homePage, log } = options;

  async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    res.setHeader('x-content-type-options', 'nosniff');
    if (https) res.setHeader('strict-transport-security', 'max-age=31536000');
    const target = parseRequestTarget(req.url);
    // RFC 9112 section 3.2: of two Hosts a proxy in front may have believed the other one.
    if (target === null || (req.headersDistinct.host ?? []).length > 1)
      return sendJson(res, 400, { error: 'bad_request' }, { connection: 'close' });
    if (await authorizationServer.handle(req, res)) return;
    const { pathname } = target;
    if (pathname === mcpPath) return await mcp.handle(req, res);
    if (!ownPaths.includes(pathname)) return sendJson(res, 404, { error: 'not_found' });
    if (req.method !== 'GET' && req.method !== 'HEAD')
      return sendJson(res, 405, { error: 'method_not_allowed' }, { allow: 'GET, HEAD' });
    if (pathname === '/health') return sendJson(res, 200, { status: 'alive' });
    if (pathname === '/status') {
      const [readiness, more] = await Promise.all([health.check(), status()]);
      return sendJson(res, 200, { ...readiness, ...more });
    }
    const readiness = await health.check();
    if (pathname === '/') return sendPage(res, 200, homePage(readiness));
    sendJson(res, readiness.status === 'ready' ? 200 : 503, readiness);
  }

  const server = createServer(
    { maxHeaderSize, headersTimeout: 10_000, requestTimeout: 60_000, keepAliveTimeout: 65_000 },
    (req, res) => {
      route(req, res).catch((error) => {
        log.error({ error }, 'an HTTP request failed inside');
        if (res.headersSent) res.destroy();
        else sendJson(res, 500, { error: 'internal_error' });
      });
    },
  );
  server.on('clientError', answerMalformed);

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.off('error', reject);
          resolve((server.address() as AddressInfo).port);
        });
      }),
    close: (limitMs) => closeGently(server, limitMs),
  };
}

/** Connections that were kept alive for a next request are not waited for, whenever they become idle. */
async function closeGently(server: Server, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const hard = setTimeout(() => server.closeAllConnections(), limitMs);
  await closed;
  clearInterval(idle);
  clearTimeout(hard);
}

function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
