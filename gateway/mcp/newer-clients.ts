/** Clients of 2026-07-28: each request stands alone, and changes come on the stream of `subscriptions/listen`. */
import type { ServerResponse } from 'node:http';
import { SERVER_INFO_META_KEY, SUBSCRIPTION_ID_META_KEY } from '@modelcontextprotocol/server';
import type { Backend } from './backend.ts';
import type { ListenFilter } from './backend-connection.ts';
import type { Caller } from './caller.ts';
import { type ChangeListeners, maxStreamsPerOwner } from './change-listeners.ts';
import { createClientExchange, openEventStream } from './client-exchange.ts';
import { maxWatched } from './client-sessions.ts';
import {
  createRpcError,
  isObject,
  type JsonObject,
  JsonRpcError,
  type RequestMessage,
  rpcCodes,
} from './json-rpc.ts';
import type { Router } from './router.ts';

export interface NewerRequest {
  readonly message: RequestMessage;
  readonly caller: Caller;
  readonly clientId: string;
  readonly paramHeaders: Readonly<Record<string, string>>;
  readonly renew: (backend: Backend) => Promise<Caller>;
  /** Milliseconds until the caller's token is none any more. */
  readonly validMs: number;
  readonly signal: AbortSignal;
  readonly res: ServerResponse;
}

export interface NewerClients {
  serve(request: NewerRequest): Promise<void>;
  /** The open streams end with a result. */
  close(): void;
}

/** Of the range that 2026-07-28 gives to what is wrong with the request as such. */
const badRequests = [-32020, -32021, -32022];

export function createNewerClients(options: {
  gateway: { readonly name: string; readonly version: string };
  router: Router;
  listeners: ChangeListeners;
}): NewerClients {
  const { gateway, router, listeners } = options;
  const streams = new Map<string, Set<() => void>>();

  async function listen(request: NewerRequest): Promise<void> {
    const { message, caller, res } = request;
    const { owner } = caller;
    const filter = toFilter(message.params.notifications);
    const open = streams.get(owner) ?? new Set();
    if (open.size >= maxStreamsPerOwner)
      throw createRpcError(rpcCodes.internalError, 'Subscription limit reached');
    const stamp = { [SUBSCRIPTION_ID_META_KEY]: message.id };
    const stream = openEventStream(res);
    const ended = new AbortController();
    const signal = AbortSignal.any([request.signal, ended.signal]);
    const tell = (method: string, params: JsonObject = {}) =>
      stream.send({
        jsonrpc: '2.0',
        method,
        params: { ...params, _meta: { ...(isObject(params._meta) ? params._meta : {}), ...stamp } },
      });
    const end = () => {
      if (signal.aborted) return;
      const _meta = { ...stamp, [SERVER_INFO_META_KEY]: gateway };
      stream.send({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', _meta } });
      stream[Symbol.dispose]();
      ended.abort();
    };
    const expiry = setTimeout(end, request.validMs);
    streams.set(owner, open.add(end));
    signal.addEventListener('abort', () => {
      clearTimeout(expiry);
      open.delete(end);
      if (open.size === 0) streams.delete(owner);
    });
    const before: [string, JsonObject | undefined][] = [];
    let acknowledged = false;
    if (Object.keys(filter).length > 0)
      await listeners.open({
        owner,
        filter: () => filter,
        renew: request.renew,
        deliver: ({ method, params }) => {
          if (acknowledged) tell(method, params);
          else before.push([method, params]);
        },
        isNewer: true,
        isOf: async (uri, backend, as) =>
          (await router.findResource(uri, { caller: as, signal }))?.backend === backend,
        signal,
        end,
      });
    tell('notifications/subscriptions/acknowledged', { notifications: filter });
    acknowledged = true;
    for (const [method, params] of before) tell(method, params);
    if (Object.keys(filter).length === 0) end();
    if (!signal.aborted)
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
  }

  return {
    async serve(request) {
      const { message, res, caller, clientId, paramHeaders, signal } = request;
      using exchange = createClientExchange({ res, id: message.id, statusOf });
      try {
        if (message.method === 'subscriptions/listen') return await listen(request);
        exchange.finish(
          await router.handle({
            ...message,
            caller,
            clientId,
            session: null,
            requestId: null,
            exchange,
            paramHeaders,
            signal,
          }),
        );
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof JsonRpcError)) throw error;
        exchange.fail(error);
      }
    },
    close() {
      for (const open of streams.values()) for (const end of open) end();
    },
  };
}

function statusOf({ error: { code } }: JsonRpcError): number {
  return code === rpcCodes.methodNotFound ? 404 : badRequests.includes(code) ? 400 : 200;
}

/** What the client asked for and the gateway tells: a member that is false is none. */
function toFilter(given: unknown): ListenFilter {
  if (!isObject(given))
    throw createRpcError(rpcCodes.invalidParams, 'Invalid params: notifications must be an object');
  const { resourceSubscriptions: uris } = given;
  if (uris !== undefined && !(Array.isArray(uris) && uris.every((uri) => typeof uri === 'string')))
    throw createRpcError(rpcCodes.invalidParams, 'Invalid params: resourceSubscriptions must be URIs');
  if (uris !== undefined && uris.length > maxWatched)
    throw createRpcError(rpcCodes.internalError, 'Subscription limit reached');
  const wanted = (key: string) => (given[key] === true ? { [key]: true } : {});
  return {
    ...wanted('toolsListChanged'),
    ...wanted('promptsListChanged'),
    ...wanted('resourcesListChanged'),
    ...(uris === undefined || uris.length === 0 ? {} : { resourceSubscriptions: uris as string[] }),
  };
}
