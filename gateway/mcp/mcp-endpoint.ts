/**
 * `/mcp`: streamable HTTP for MCP clients of the protocol versions 2026-07-28 (stateless), 2025-11-25 and 2025-06-18
 * (sessions). Nothing is looked at before the caller's own token; then one look-up says who calls and which upstream
 * tokens the request's target needs; only then is the message worked on. The caller's token goes no further.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isJsonContentType } from '@modelcontextprotocol/server';
import type { Log } from '../../schemas/log.ts';
import { BodyTooLargeError, readBody } from '../http/request.ts';
import type { OriginVerdict } from '../http/request-origin.ts';
import { type JsonRpcId, sendJsonRpcError } from '../http/respond.ts';
import type { AccessToken, AccessTokenVerifier } from '../identity/access-token.ts';
import { refusalOf } from '../identity/challenge.ts';
import type { Identities } from '../identity/identity.ts';
import type { SessionGuard } from '../identity/session-guard.ts';
import type { Caller } from './caller.ts';
import type { ClientSession, ClientSessions } from './client-sessions.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { EventIds } from './event-ids.ts';
import { isTextDeeperThan, maxDepth } from './json-depth.ts';
import { findNotification, findRequest, isObject, type JsonObject, rpcCodes } from './json-rpc.ts';
import { createMessageRoutes } from './message-route.ts';
import type { NewerClients } from './newer-clients.ts';
import type { OlderClients } from './older-clients.ts';
import { type ClientProfile, newerVersion, olderVersions, profileOfMeta, toProfile } from './protocol.ts';
import { accepts, acceptsBoth, findHeaderFault, headerOf, paramHeadersIn } from './request-headers.ts';
import type { Need, Router } from './router.ts';
import type { RunningRequests } from './running-requests.ts';
import type { SessionIds } from './session-ids.ts';
import type { SharedSessions } from './shared-sessions.ts';

export interface McpEndpoint {
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>;
  /** Streams on which clients listen end; what runs is let run. */
  endStreams(): void;
  close(): Promise<void>;
}

export interface McpEndpointOptions {
  /** As clients see it: the resource that challenges name. */
  readonly mcpUrl: string;
  /** The iss of principals. */
  readonly realm: string;
  readonly checkOrigin: (req: IncomingMessage) => OriginVerdict;
  readonly verifier: AccessTokenVerifier;
  /** A request with this token begins. @throws SessionRefusedError */
  readonly admit: SessionGuard['admit'];
  readonly identities: Identities;
  readonly sessionIds: SessionIds;
  readonly eventIds: EventIds;
  readonly sessions: ClientSessions;
  readonly shared: SharedSessions;
  readonly running: RunningRequests;
  readonly pool: ConnectionPool;
  readonly router: Router;
  readonly newerClients: NewerClients;
  readonly olderClients: OlderClients;
  /** Headers of requests that backends are sent, in lower case. */
  readonly passthroughHeaders: readonly string[];
  readonly now: () => number;
  readonly log: Pick<Log, 'warn' | 'error' | 'debug'>;
  readonly maxBodyBytes?: number;
}

const sessionHeaderMissing = {
  code: rpcCodes.refused,
  message: 'Bad Request: Mcp-Session-Id header is required',
};
const eventUnknown = {
  code: rpcCodes.refused,
  message: 'Bad Request: Last-Event-ID is of no event of this session',
};
const sessionUnknown = { code: rpcCodes.sessionNotFound, message: 'Session not found' };
const notAcceptable = {
  code: rpcCodes.refused,
  message: 'Not Acceptable: Client must accept both application/json and text/event-stream',
};

export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const { mcpUrl, realm, verifier, identities, sessionIds, sessions, shared, running, router, log } = options;
  const { newerClients, olderClients, eventIds } = options;
  const maxBodyBytes = options.maxBodyBytes ?? 4 * 1024 * 1024;
  const routeOf = createMessageRoutes();

  async function authenticate(req: IncomingMessage, res: ServerResponse): Promise<AccessToken> {
    const token = await verifier.verify(req.headersDistinct.authorization ?? []);
    options.admit(token, res);
    return token;
  }

  const validMs = ({ expiresAt }: AccessToken): number =>
    Math.min(Math.max(0, expiresAt * 1000 - options.now()), 2 ** 31 - 1);

  /** The caller as the vault knows them now. */
  async function findCaller(
    req: IncomingMessage,
    token: AccessToken,
    owner: string,
    client: ClientProfile,
    { providers, isOfOneBackend }: Need,
  ): Promise<Caller> {
    // What one backend needs alone can be waited for at once.
    const find = isOfOneBackend ? identities.findSettled : identities.find;
    const identity = await find(token, { providers });
    return {
      identity,
      owner,
      client,
      passedHeaders: passedHeaders(req, options.passthroughHeaders),
      async settled(needed) {
        const isPending = needed.some((name) => identity.upstreamTokens.get(name)?.status === 'pending');
        return isPending ? await identities.findSettled(token, { providers: needed }) : identity;
      },
      lookUpAgain: ({ provider, version }) =>
        identities.findSettled(token, { providers: [provider], rejected: { [provider]: version } }),
    };
  }

  async function post(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const token = await authenticate(req, res);
    if (!isJsonContentType(req.headers['content-type'] ?? null))
      return sendJsonRpcError(res, 415, {
        code: rpcCodes.refused,
        message: 'Unsupported Media Type: Content-Type must be application/json',
      });
    const bytes = await readBody(req, maxBodyBytes);
    const isTooDeep = isTextDeeperThan(maxDepth, bytes);
    const body = isTooDeep ? undefined : parseJson(bytes);
    if (body === undefined) {
      const what = isTooDeep ? `is nested more than ${maxDepth} deep` : 'is not JSON';
      const message = `Parse error: the body ${what}`;
      return sendJsonRpcError(res, 400, { code: rpcCodes.parseError, message });
    }
    if (Array.isArray(body))
      return sendJsonRpcError(res, 400, {
        code: rpcCodes.invalidRequest,
        message: 'Batches are not supported',
      });

    const route = routeOf(req, body);
    const message = isObject(body) ? body : {};
    if (route.kind === 'refused')
      return sendJsonRpcError(res, route.httpStatus, route.error, { id: idOf(message) });
    if (!acceptsBoth(req)) return sendJsonRpcError(res, 406, notAcceptable, { id: idOf(message) });
    if (route.kind === 'newer') await postNewer(req, res, token, message, route.revision);
    else await postOlder(req, res, token, message, route.opensSession);
  }

  async function postNewer(
    req: IncomingMessage,
    res: ServerResponse,
    token: AccessToken,
    body: JsonObject,
    version: string | null,
  ): Promise<void> {
    const message = findRequest(body);
    const id = message?.id ?? null;
    if (version !== newerVersion) {
      const data = { supported: [newerVersion], requested: version ?? 'unknown' };
      const code = rpcCodes.unsupportedProtocolVersion;
      return sendJsonRpcError(res, 400, { code, message: 'Unsupported protocol version', data }, { id });
    }
    // There is none that a client has to say over HTTP.
    if (message === null) return void res.writeHead(202).end();
    const fault = findHeaderFault(req, message);
    if (fault !== null)
      return sendJsonRpcError(res, 400, { code: headerMismatch, message: `Bad Request: ${fault}` }, { id });

    const owner = JSON.stringify([token.sub, token.tsid, token.clientId]);
    const client = profileOfMeta(message.params._meta);
    const find = (need: Need) => findCaller(req, token, owner, client, need);
    const caller = await find(router.needOf(message.method, message.params));
    using request = running.begin(owner, null, res);
    await newerClients.serve({
      message,
      caller,
      clientId: token.clientId,
      paramHeaders: paramHeadersIn(req),
      renew: ({ strategy }) => find({ providers: strategy.providers, isOfOneBackend: true }),
      validMs: validMs(token),
      signal: request.signal,
      res,
    });
  }

  /** null: it was answered that there is no such session. */
  async function findSession(req: IncomingMessage, res: ServerResponse, token: AccessToken) {
    const sessionId = headerOf(req, 'mcp-session-id');
    const client = sessionId === null ? null : sessionIds.open(sessionId, { iss: realm, sub: token.sub });
    if (sessionId === null) {
      sendJsonRpcError(res, 400, sessionHeaderMissing);
      return null;
    }
    const session = client === null ? null : await sessions.open(sessionId, client);
    if (session === null) sendJsonRpcError(res, 404, sessionUnknown);
    return session;
  }

  function isVersionKnown(req: IncomingMessage, res: ServerResponse): boolean {
    const version = headerOf(req, 'mcp-protocol-version');
    if (version === null || olderVersions.includes(version)) return true;
    const message = `Bad Request: Unsupported protocol version (supported versions: ${olderVersions.join(', ')})`;
    sendJsonRpcError(res, 400, { code: rpcCodes.refused, message });
    return false;
  }

  async function postOlder(
    req: IncomingMessage,
    res: ServerResponse,
    token: AccessToken,
    body: JsonObject,
    opensSession: boolean,
  ): Promise<void> {
    const message = findRequest(body);
    const begun = opensSession && message !== null ? openSession(token, message.params) : null;
    const session = begun ?? (await findSession(req, res, token));
    if (session === null || (begun === null && !isVersionKnown(req, res))) return;
    const { id: owner, client } = session;
    const need = message === null ? nothing : router.needOf(message.method, message.params);
    const caller = await findCaller(req, token, owner, client, need);

    if (message === null) {
      const notification = findNotification(body);
      if (notification === null) await shared.answer(session, body);
      else if (notification.method === 'notifications/cancelled')
        shared.cancel(owner, notification.params?.requestId);
      else await olderClients.notify(owner, notification);
      res.writeHead(202).end();
      return;
    }
    using request = running.begin(owner, message.id, res);
    await olderClients.serve({
      message,
      caller,
      clientId: token.clientId,
      session,
      headers: begun === null ? {} : { 'mcp-session-id': owner },
      version: headerOf(req, 'mcp-protocol-version'),
      signal: request.signal,
      res,
    });
  }

  function openSession(token: AccessToken, { clientInfo, capabilities }: JsonObject) {
    const principal = { iss: realm, sub: token.sub };
    const id = sessionIds.create(principal, toProfile(clientInfo, capabilities));
    return sessions.begin(id, sessionIds.open(id, principal)!);
  }

  async function listen(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const token = await authenticate(req, res);
    if (!accepts(req, 'text/event-stream'))
      return sendJsonRpcError(res, 406, {
        code: rpcCodes.refused,
        message: 'Not Acceptable: Client must accept text/event-stream',
      });
    const session = await findSession(req, res, token);
    if (session === null || !isVersionKnown(req, res)) return;
    const find = (need: Need) => findCaller(req, token, session.id, session.client, need);
    const lastEventId = headerOf(req, 'last-event-id');
    if (lastEventId !== null) return await resume(req, res, token, session, lastEventId, find);
    await find(nothing);
    using request = running.begin(session.id, null, res);
    await olderClients.stream({
      session,
      owner: session.id,
      renew: ({ strategy }) => find({ providers: strategy.providers, isOfOneBackend: true }),
      validMs: validMs(token),
      signal: request.signal,
      res,
    });
  }

  async function resume(
    req: IncomingMessage,
    res: ServerResponse,
    token: AccessToken,
    session: ClientSession,
    lastEventId: string,
    find: (need: Need) => Promise<Caller>,
  ): Promise<void> {
    const place = eventIds.open(lastEventId, session.id);
    const backend = place === null ? null : router.findBackend(place.backend);
    const caller = await find({ providers: backend?.strategy.providers ?? [], isOfOneBackend: true });
    if (place === null || backend === null) return sendJsonRpcError(res, 400, eventUnknown);
    shared.leave(session.id, place.requestId);
    using request = running.begin(session.id, place.requestId, res);
    await olderClients.resume({
      ...{ caller, clientId: token.clientId, session, place, backend },
      version: headerOf(req, 'mcp-protocol-version'),
      signal: request.signal,
      res,
    });
  }

  async function endSession(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const session = await findSession(req, res, await authenticate(req, res));
    if (session === null) return;
    await shared.end(session.id);
    res.writeHead(204).end();
  }

  return {
    async handle(req, res) {
      try {
        const verdict = options.checkOrigin(req);
        if (verdict !== 'ok') {
          const what = verdict === 'foreign-host' ? 'Host' : 'Origin';
          return sendJsonRpcError(res, 403, {
            code: rpcCodes.refused,
            message: `Forbidden: foreign ${what}`,
          });
        }
        if (req.method === 'POST') return await post(req, res);
        if (req.method === 'GET') return await listen(req, res);
        if (req.method === 'DELETE') return await endSession(req, res);
        await authenticate(req, res);
        sendJsonRpcError(
          res,
          405,
          { code: rpcCodes.refused, message: 'Method not allowed.' },
          { headers: { allow: 'GET, POST, DELETE' } },
        );
      } catch (error) {
        answerError(res, error);
      }
    },
    endStreams() {
      newerClients.close();
      olderClients.close();
    },
    async close() {
      await options.pool.close();
    },
  };

  function answerError(res: ServerResponse, error: unknown): void {
    // Its client has gone away, which is no failure.
    if (res.destroyed || res.socket?.destroyed !== false) return;
    if (res.headersSent) {
      log.error({ error }, 'an MCP request failed inside');
      res.destroy();
      return;
    }
    const refusal = refusalOf(error, mcpUrl, verifier.scopes);
    if (refusal !== null) {
      if (refusal.status === 503) log.warn({ error }, 'the vault does not answer');
      const { status, headers, message } = refusal;
      sendJsonRpcError(res, status, { code: rpcCodes.refused, message }, { headers });
    } else if (error instanceof BodyTooLargeError) {
      const message = `Payload Too Large: at most ${maxBodyBytes} bytes`;
      sendJsonRpcError(res, 413, { code: rpcCodes.refused, message }, { headers: { connection: 'close' } });
    } else {
      log.error({ error }, 'an MCP request failed inside');
      sendJsonRpcError(res, 500, { code: rpcCodes.internalError, message: 'Internal error' });
    }
  }
}

const nothing: Need = { providers: [], isOfOneBackend: false };
const headerMismatch = -32020;
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

function passedHeaders(req: IncomingMessage, names: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of names) {
    const value = req.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}
