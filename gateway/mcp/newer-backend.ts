/**
 * Backends of 2026-07-28: no session, each request a POST that says in headers and `_meta` what it is and for whom, and
 * whose stream is all that belongs to it. Closing it cancels the request (2026-07-28, streamable HTTP).
 */
import { SUBSCRIPTION_ID_META_KEY } from '@modelcontextprotocol/server';
import type { BackendConnection, Listening, OpenOptions } from './backend-connection.ts';
import { BackendHttpError, readResult } from './backend-exchange.ts';
import type { Credentials } from './backend-fetch.ts';
import { createRpcError, findNotification, isObject, type JsonObject, rpcCodes } from './json-rpc.ts';
import { readMessages } from './message-stream.ts';
import { type ClientProfile, encodeHeaderValue, nameOf, newerVersion, withEnvelope } from './protocol.ts';
import { createWaitLimit } from './wait-limit.ts';

export async function openNewerConnection(options: OpenOptions): Promise<BackendConnection> {
  const { backend, send, maxMessageBytes } = options;
  let nextId = 1;

  async function post(
    message: { method: string; params: JsonObject; client: ClientProfile },
    credentials: Credentials,
    signal: AbortSignal,
    paramHeaders: Readonly<Record<string, string>> = {},
  ) {
    const { method, client } = message;
    const params = withEnvelope(message.params, client);
    const name = nameOf(method, params);
    const id = nextId++;
    const response = await send(
      {
        method: 'POST',
        headers: {
          accept: 'application/json, text/event-stream',
          'content-type': 'application/json',
          'mcp-protocol-version': newerVersion,
          'mcp-method': method,
          ...(name === null ? {} : { 'mcp-name': encodeHeaderValue(name) }),
          ...paramHeaders,
        },
        body: { jsonrpc: '2.0', id, method, params },
        signal,
      },
      credentials,
    );
    return { id, response };
  }

  const request: BackendConnection['request'] = async (asked, credentials) => {
    using limit = createWaitLimit(asked.timeoutMs, asked.signal);
    try {
      const { id, response } = await post(asked, credentials, limit.signal, asked.paramHeaders);
      return await readResult(response, {
        id,
        maxMessageBytes,
        limit,
        room: asked.room,
        largeResult: asked.largeResult,
        onMessage(message) {
          const notification = findNotification(message);
          if (notification !== null) asked.onNotification?.(notification);
        },
      });
    } catch (error) {
      if (limit.signal.aborted) throw limit.signal.reason;
      throw error;
    }
  };

  const discovered = await request(
    {
      method: 'server/discover',
      params: {},
      client: options.client,
      signal: null,
      timeoutMs: backend.timeoutMs,
    },
    options.credentials,
  );
  const versions = discovered.supportedVersions;
  if (!Array.isArray(versions) || !versions.includes(newerVersion))
    throw createRpcError(rpcCodes.unsupportedProtocolVersion, 'Unsupported protocol version');

  return {
    protocol: 'newer',
    capabilities: isObject(discovered.capabilities) ? discovered.capabilities : {},
    isOpen: () => true,
    request,
    notify: async () => {},
    listen,
    close: async () => {},
  };

  async function listen(listening: Listening, credentials: Credentials): Promise<boolean> {
    const { filter, client, signal } = listening;
    const method = 'subscriptions/listen';
    const { response } = await post(
      { method, params: { notifications: filter }, client },
      credentials,
      signal,
    );
    if (!response.ok) {
      response.cancel();
      if (response.status < 500) return false;
      throw new BackendHttpError(response.status);
    }
    for await (const { message } of readMessages(response, { maxMessageBytes })) {
      const notification = message === null ? null : findNotification(message);
      if (notification?.method === 'notifications/subscriptions/acknowledged') listening.onReady();
      else if (notification !== null)
        listening.onNotification?.({ ...notification, ...withoutSubscription(notification.params) });
      else if (message !== null && isObject(message.error)) return false;
    }
    return true;
  }
}

/** Each subscription has an id of its own, on either side of the gateway. */
function withoutSubscription(params: JsonObject | undefined): { params?: JsonObject } {
  if (params === undefined || !isObject(params._meta)) return {};
  const { [SUBSCRIPTION_ID_META_KEY]: _id, ...meta } = params._meta;
  const { _meta, ...rest } = params;
  return { params: Object.keys(meta).length === 0 ? rest : { ...rest, _meta: meta } };
}
