/**
 * Clients of 2025-11-25 and 2025-06-18: the `initialize` handshake, sessions, requests of ours in the streams of
 * theirs, and one more stream for what belongs to no request.
 */
import type { ServerResponse } from 'node:http';
import type { Backend } from './backend.ts';
import type { Caller } from './caller.ts';
import { type ChangeListeners, maxStreamsPerOwner } from './change-listeners.ts';
import { type ClientExchange, createClientExchange, openEventStream } from './client-exchange.ts';
import type { ClientSession } from './client-sessions.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { CallPlace } from './event-ids.ts';
import {
  createRpcError,
  type JsonObject,
  JsonRpcError,
  type NotificationMessage,
  type RequestId,
  type RequestMessage,
  rpcCodes,
} from './json-rpc.ts';
import { isBelow } from './log-levels.ts';
import { olderVersions } from './protocol.ts';
import { offered, type Router } from './router.ts';

export interface OlderRequest {
  readonly message: RequestMessage;
  readonly caller: Caller;
  readonly clientId: string;
  readonly session: ClientSession;
  /** Of a new session. */
  readonly headers: Readonly<Record<string, string>>;
  /** As the client says with the request; null: it does not. */
  readonly version: string | null;
  readonly signal: AbortSignal;
  readonly res: ServerResponse;
}

export interface ResumedRequest extends Omit<OlderRequest, 'message' | 'headers'> {
  readonly place: CallPlace;
  readonly backend: Backend;
}

export interface OlderStream {
  readonly session: ClientSession;
  readonly owner: string;
  readonly renew: (backend: Backend) => Promise<Caller>;
  /** Milliseconds until the caller's token is none any more. */
  readonly validMs: number;
  readonly signal: AbortSignal;
  readonly res: ServerResponse;
}

export interface OlderClients {
  serve(request: OlderRequest): Promise<void>;
  /** The rest of the answer to a request. */
  resume(request: ResumedRequest): Promise<void>;
  /** Until either side ends it. */
  stream(stream: OlderStream): Promise<void>;
  /** To the backends with which the session speaks. */
  notify(owner: string, notification: NotificationMessage): Promise<void>;
  close(): void;
}

/** What a client says to a server that is not about a request of its own. */
const passedOn = ['notifications/roots/list_changed', 'notifications/progress'];

export function createOlderClients(options: {
  gateway: { readonly name: string; readonly version: string };
  router: Router;
  listeners: ChangeListeners;
  pool: ConnectionPool;
  /** A stream of the session was opened. */
  onListen: (owner: string) => Promise<void>;
}): OlderClients {
  const { gateway, router, listeners, pool, onListen } = options;
  const streams = new Map<string, Set<() => void>>();

  function initialize({ protocolVersion }: JsonObject): JsonObject {
    if (typeof protocolVersion !== 'string')
      throw createRpcError(rpcCodes.invalidParams, 'Invalid params: protocolVersion must be a string');
    return {
      protocolVersion: olderVersions.includes(protocolVersion) ? protocolVersion : olderVersions[0],
      capabilities: offered,
      serverInfo: gateway,
    };
  }

  async function answer(
    { version, signal, res }: Pick<OlderRequest, 'version' | 'signal' | 'res'>,
    id: RequestId,
    headers: OlderRequest['headers'],
    work: (exchange: ClientExchange) => Promise<JsonObject> | JsonObject,
  ): Promise<void> {
    const knowsPriming = version === olderVersions[0];
    using exchange = createClientExchange({ res, id, headers, statusOf: null, knowsPriming });
    try {
      exchange.finish(await work(exchange));
    } catch (error) {
      // A request that its client has cancelled is not answered.
      if (signal.aborted) return exchange.end();
      if (!(error instanceof JsonRpcError)) throw error;
      exchange.fail(error);
    }
  }

  return {
    async serve(request) {
      const { message, caller, clientId, session, signal } = request;
      const requestId = message.id;
      await answer(request, requestId, request.headers, (exchange) =>
        message.method === 'initialize'
          ? initialize(message.params)
          : router.handle({
              ...message,
              ...{ caller, clientId, session, requestId, exchange, paramHeaders: {}, signal },
            }),
      );
    },

    async resume(request) {
      const { caller, clientId, session, place, backend, signal } = request;
      const { method, requestId } = place;
      await answer(request, requestId, {}, (exchange) =>
        router.resume(
          {
            ...{ method, params: {}, caller, clientId, session, requestId, exchange },
            ...{ paramHeaders: {}, signal },
          },
          backend,
          place,
        ),
      );
    },

    async stream({ session, owner, renew, validMs, signal: closed, res }) {
      using stream = openEventStream(res);
      const ended = new AbortController();
      const end = () => ended.abort();
      const signal = AbortSignal.any([closed, ended.signal]);
      const expiry = setTimeout(end, validMs);
      const open = streams.get(owner) ?? new Set();
      // A client that opens one after another has most likely lost the first.
      const [oldest] = open;
      if (oldest !== undefined && open.size >= maxStreamsPerOwner) {
        open.delete(oldest);
        oldest();
      }
      streams.set(owner, open.add(end));
      session.streams.add(stream);
      try {
        await listeners.open({
          owner,
          filter: () => ({
            toolsListChanged: true,
            promptsListChanged: true,
            resourcesListChanged: true,
            resourceSubscriptions: [...session.watched],
          }),
          renew,
          deliver: (notification) => {
            if (session.logLevel !== null && isBelow(session.logLevel, notification)) return;
            // One message goes on one stream.
            if ([...session.streams].at(-1) === stream) stream.send({ jsonrpc: '2.0', ...notification });
          },
          onRequest: (method, params, withdrawn) =>
            session.ask(stream, method, params, AbortSignal.any([signal, withdrawn])),
          isNewer: false,
          isOf: async (uri, backend, caller) =>
            (await router.findResource(uri, { caller, signal }))?.backend === backend,
          signal,
          end,
        });
        await onListen(owner);
        if (!signal.aborted)
          await new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
      } finally {
        clearTimeout(expiry);
        open.delete(end);
        if (open.size === 0) streams.delete(owner);
        session.streams.delete(stream);
      }
    },

    async notify(owner, notification) {
      if (!passedOn.includes(notification.method)) return;
      for (const { connection, credentials } of await pool.opened(owner))
        connection.notify(notification, credentials).catch(() => {});
    },

    close() {
      for (const open of streams.values()) for (const end of open) end();
    },
  };
}
