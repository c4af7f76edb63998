/**
 * `/mcp`: streamable HTTP for MCP clients of the protocol versions 2026-07-28 (stateless), 2025-11-25 and 2025-06-18
 * (sessions). Nothing is looked at before the caller's own token; then one look-up says who calls and which upstream
 * tokens the request's target needs; only then is the message worked on. The caller's token goes no further.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { classifyInboundRequest, createMcpHandler, isJsonContentType } from '@modelcontextprotocol/server';
import type { Log } from '../../schemas/log.ts';
import { BodyTooLargeError, readBody } from '../http/request.ts';
import type { OriginVerdict } from '../http/request-origin.ts';
import { type JsonRpcId, sendJsonRpcError, sendResponse } from '../http/respond.ts';
import type { AccessToken, AccessTokenVerifier } from '../identity/access-token.ts';
import { refusalOf } from '../identity/challenge.ts';
import type { Identities } from '../identity/identity.ts';
import type { Backend } from './backend.ts';
import type { Caller } from './caller.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { createProtocolServer } from './protocol-server.ts';
import { createRunningRequests } from './running-requests.ts';
import type { SessionIds } from './session-ids.ts';
import type { ToolNames } from './tool-names.ts';
import type { Tools } from './tools.ts';

export interface McpEndpoint {
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>;
  close(): Promise<void>;
}

export interface McpEndpointOptions {
  /** As clients see it: the resource that challenges name. */
  readonly mcpUrl: string;
  /** The iss of principals. */
  readonly realm: string;
  readonly gateway: { readonly name: string; readonly version: string };
  readonly backends: readonly Backend[];
  readonly checkOrigin: (req: IncomingMessage) => OriginVerdict;
  readonly verifier: AccessTokenVerifier;
  readonly identities: Identities;
  readonly sessionIds: SessionIds;
  readonly pool: ConnectionPool;
  readonly names: ToolNames;
  readonly tools: Tools;
  readonly log: Pick<Log, 'warn' | 'error' | 'debug'>;
  readonly maxBodyBytes?: number;
}

const parseError = -32700;
const invalidRequest = -32600;
const internalError = -32603;
/** Of the range that JSON-RPC leaves to servers; both as the SDKs use them. */
const refused = -32000;
const sessionNotFound = -32001;

/** What the protocol library looks at; the caller's token is not among it. */
const protocolHeaders = [
  'accept',
  'content-type',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-session-id',
];

export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const { mcpUrl, backends, verifier, identities, sessionIds, pool, names, tools, log } = options;
  const maxBodyBytes = options.maxBodyBytes ?? 4 * 1024 * 1024;
  const allProviders = [...new Set(backends.flatMap(({ strategy }) => strategy.providers))];
  const served = new WeakMap<Request, { caller: Caller; method: string }>();
  const running = createRunningRequests();
  const handler = createMcpHandler(
    ({ requestInfo }) => {
      const request = requestInfo === undefined ? undefined : served.get(requestInfo);
      if (request === undefined) throw new TypeError('an MCP request without a caller');
      return createProtocolServer({ gateway: options.gateway, tools, ...request });
    },
    {
      maxRequestBodySize: maxBodyBytes,
      onerror: (error) => log.debug({ error }, 'an MCP message was refused'),
    },
  );

  /** What the request's target needs, and no more. */
  function providersOf(method: unknown, params: unknown): readonly string[] {
    if (method === 'tools/list') return allProviders;
    if (method !== 'tools/call') return [];
    const name = (params as { name?: unknown } | undefined)?.name;
    return typeof name === 'string' ? (names.findTarget(name)?.backend.strategy.providers ?? []) : [];
  }

  async function authenticate(req: IncomingMessage): Promise<AccessToken> {
    return await verifier.verify(req.headersDistinct.authorization ?? []);
  }

  async function post(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const token = await authenticate(req);
    if (!isJsonContentType(req.headers['content-type'] ?? null))
      return sendJsonRpcError(res, 415, {
        code: refused,
        message: 'Unsupported Media Type: Content-Type must be application/json',
      });
    const body = parseJson(await readBody(req, maxBodyBytes));
    if (body === undefined)
      return sendJsonRpcError(res, 400, { code: parseError, message: 'Parse error: the body is not JSON' });
    if (Array.isArray(body))
      return sendJsonRpcError(res, 400, { code: invalidRequest, message: 'Batches are not supported' });

    const route = classifyInboundRequest({
      httpMethod: 'POST',
      ...standardHeaders(req),
      body,
    });
    const message = body as { id?: JsonRpcId; method?: unknown; params?: unknown };
    const id = idOf(message);
    if (route.kind === 'reject')
      return sendJsonRpcError(res, route.httpStatus, { code: route.code, message: route.message }, { id });

    const principal = { iss: options.realm, sub: token.sub };
    const opensSession = route.kind === 'legacy' && route.reason === 'initialize';
    let sessionId: string | null = null;
    if (opensSession) {
      sessionId = sessionIds.create(principal);
    } else if (route.kind === 'legacy') {
      sessionId = headerOf(req, 'mcp-session-id');
      if (sessionId === null)
        return sendJsonRpcError(res, 400, {
          code: refused,
          message: 'Bad Request: Mcp-Session-Id header is required',
        });
      if (!sessionIds.isLive(sessionId, principal))
        return sendJsonRpcError(res, 404, { code: sessionNotFound, message: 'Session not found' });
    }

    const identity = await identities.find(token, { providers: providersOf(message.method, message.params) });
    const owner = sessionId ?? JSON.stringify([token.sub, token.tsid, token.clientId]);
    if (sessionId !== null && message.method === 'notifications/cancelled')
      running.cancel(owner, (message.params as { requestId?: unknown } | undefined)?.requestId);

    using request = running.begin(owner, id, res);
    const webRequest = new Request(mcpUrl, {
      method: 'POST',
      headers: forwarded(req),
      signal: request.signal,
    });
    const caller: Caller = {
      identity,
      owner,
      lookUpAgain: ({ provider, version }) =>
        identities.find(token, { providers: [provider], rejected: { [provider]: version } }),
    };
    served.set(webRequest, { caller, method: typeof message.method === 'string' ? message.method : '' });
    const response = await handler.fetch(webRequest, { parsedBody: body });
    await sendResponse(res, response, opensSession ? { 'mcp-session-id': sessionId! } : {});
  }

  async function endSession(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const token = await authenticate(req);
    const sessionId = headerOf(req, 'mcp-session-id');
    if (sessionId === null)
      return sendJsonRpcError(res, 400, {
        code: refused,
        message: 'Bad Request: Mcp-Session-Id header is required',
      });
    if (!sessionIds.isLive(sessionId, { iss: options.realm, sub: token.sub }))
      return sendJsonRpcError(res, 404, { code: sessionNotFound, message: 'Session not found' });
    sessionIds.end(sessionId);
    running.cancelAll(sessionId);
    pool.end(sessionId);
    res.writeHead(204).end();
  }

  return {
    async handle(req, res) {
      try {
        const verdict = options.checkOrigin(req);
        if (verdict !== 'ok') {
          const what = verdict === 'foreign-host' ? 'Host' : 'Origin';
          return sendJsonRpcError(res, 403, { code: refused, message: `Forbidden: foreign ${what}` });
        }
        if (req.method === 'POST') return await post(req, res);
        if (req.method === 'DELETE') return await endSession(req, res);
        await authenticate(req);
        sendJsonRpcError(
          res,
          405,
          { code: refused, message: 'Method not allowed.' },
          { headers: { allow: 'POST, DELETE' } },
        );
      } catch (error) {
        answerError(res, error);
      }
    },
    async close() {
      await handler.close();
      await pool.close();
    },
  };

  function answerError(res: ServerResponse, error: unknown): void {
    if (res.headersSent || res.destroyed) {
      res.destroy();
      return;
    }
    const refusal = refusalOf(error, mcpUrl);
    if (refusal !== null) {
      if (refusal.status === 503) log.warn({ error }, 'the vault does not answer');
      const { status, headers, message } = refusal;
      sendJsonRpcError(res, status, { code: refused, message }, { headers });
    } else if (error instanceof BodyTooLargeError) {
      const message = `Payload Too Large: at most ${maxBodyBytes} bytes`;
      sendJsonRpcError(res, 413, { code: refused, message }, { headers: { connection: 'close' } });
    } else {
      log.error({ error }, 'an MCP request failed inside');
      sendJsonRpcError(res, 500, { code: internalError, message: 'Internal error' });
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** undefined: not JSON (RFC 8259 wants UTF-8). */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

function idOf(message: { id?: unknown; method?: unknown }): JsonRpcId {
  const { id, method } = message ?? {};
  return typeof method === 'string' && (typeof id === 'string' || typeof id === 'number') ? id : null;
}

function headerOf(req: IncomingMessage, name: string): string | null {
  const value = req.headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function standardHeaders(req: IncomingMessage) {
  const version = headerOf(req, 'mcp-protocol-version');
  const method = headerOf(req, 'mcp-method');
  const name = headerOf(req, 'mcp-name');
  return {
    ...(version === null ? {} : { protocolVersionHeader: version }),
    ...(method === null ? {} : { mcpMethodHeader: method }),
    ...(name === null ? {} : { mcpNameHeader: name }),
  };
}

function forwarded(req: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of protocolHeaders) {
    const value = headerOf(req, name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}
