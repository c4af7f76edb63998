/**
 * Backends of the versions before 2026-07-28: an `initialize` handshake, a session that the server may name, requests
 * of the server in the middle of a call, and one stream beside the calls (MCP 2025-11-25, streamable HTTP).
 */
import { BackendAnswerError } from './backend.ts';
import type { BackendConnection, Listening, OpenOptions } from './backend-connection.ts';
import { BackendHttpError, type ExchangeEvents, readResult } from './backend-exchange.ts';
import type { BackendResponse, Credentials } from './backend-fetch.ts';
import { type JsonObject, JsonRpcError, type RequestId } from './json-rpc.ts';
import { readMessages } from './message-stream.ts';
import { backendVersions, withoutEnvelope } from './protocol.ts';
import { hearServer } from './server-messages.ts';
import { createWaitLimit, type WaitLimit } from './wait-limit.ts';

/** The backend has forgotten the session, so it has not worked on the request. */
export class BackendSessionLostError extends Error {
  override readonly name = 'BackendSessionLostError';
  readonly code = 'backend-session-lost';
  /** Servers differ: some say so by an error that is meant for something else. */
  readonly answer: JsonRpcError | null;

  constructor(answer: JsonRpcError | null) {
    super('the backend does not know the session');
    this.answer = answer;
  }
}

const closeLimitMs = 2_000;

export async function openOlderConnection(options: OpenOptions): Promise<BackendConnection> {
  const { backend, client, send, maxMessageBytes } = options;
  let session: Readonly<Record<string, string>> = {};
  let latest = options.credentials;
  let nextId = 1;

  function post(body: JsonObject, credentials: Credentials, signal: AbortSignal): Promise<BackendResponse> {
    latest = credentials;
    return send(
      {
        method: 'POST',
        headers: {
          accept: 'application/json, text/event-stream',
          'content-type': 'application/json',
          ...session,
        },
        body: { jsonrpc: '2.0', ...body },
        signal,
      },
      credentials,
    );
  }

  async function tell(body: JsonObject, credentials: Credentials): Promise<void> {
    using limit = createWaitLimit(backend.timeoutMs, null);
    const response = await post(body, credentials, limit.signal);
    response.cancel();
  }

  /** What is not told is what the backend would not hear either. */
  const tellInPassing = (body: JsonObject, credentials: Credentials): void => {
    tell(body, credentials).catch(() => {});
  };

  const hear = (
    message: JsonObject,
    events: ExchangeEvents,
    credentials: Credentials,
    limit: WaitLimit | null,
  ): void => hearServer(message, { events, limit, tell: (body) => tellInPassing(body, credentials) });

  const openStream = (credentials: Credentials, signal: AbortSignal, lastEventId?: string) =>
    send(
      {
        method: 'GET',
        headers: {
          accept: 'text/event-stream',
          ...session,
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal,
      },
      credentials,
    );

  async function exchange(
    message: { method: string; params: JsonObject },
    events: ExchangeEvents & { signal: AbortSignal | null; timeoutMs: number },
    credentials: Credentials,
    onResponse: (response: BackendResponse) => void = () => {},
  ): Promise<JsonObject> {
    const id: RequestId = nextId++;
    using limit = createWaitLimit(events.timeoutMs, events.signal);
    try {
      const response = await post({ id, ...message }, credentials, limit.signal);
      onResponse(response);
      return await readResult(response, {
        id,
        maxMessageBytes,
        limit,
        room: events.room,
        largeResult: events.largeResult,
        onMessage: (other) => hear(other, events, credentials, limit),
        resume: (lastEventId) => openStream(credentials, limit.signal, lastEventId),
      });
    } catch (error) {
      if (!limit.signal.aborted) throw error;
      if (message.method !== 'initialize')
        tellInPassing({ method: 'notifications/cancelled', params: { requestId: id } }, credentials);
      throw limit.signal.reason;
    }
  }

  const initialized = await exchange(
    {
      method: 'initialize',
      params: {
        protocolVersion: backendVersions[0],
        capabilities: client.capabilities,
        clientInfo: client.info,
      },
    },
    { signal: null, timeoutMs: backend.timeoutMs },
    latest,
    (response) => {
      const id = response.header('mcp-session-id');
      if (id !== null) session = { 'mcp-session-id': id };
    },
  );
  const { protocolVersion, capabilities } = initialized;
  if (typeof protocolVersion !== 'string' || !backendVersions.includes(protocolVersion))
    throw new BackendAnswerError('not-json-rpc');
  session = { ...session, 'mcp-protocol-version': protocolVersion };
  await tell({ method: 'notifications/initialized' }, latest);

  return {
    protocol: 'older',
    capabilities: (capabilities ?? {}) as JsonObject,
    isOpen: () => true,
    async request(asked, credentials) {
      const message = { method: asked.method, params: withoutEnvelope(asked.params) };
      try {
        return await exchange(message, asked, credentials);
      } catch (error) {
        throw sessionLoss(error) ?? error;
      }
    },
    notify: (notification, credentials) => tell({ ...notification }, credentials),
    async listen(listening: Listening, credentials) {
      const response = await openStream(credentials, listening.signal);
      if (!response.ok || !response.header('content-type')?.startsWith('text/event-stream')) {
        response.cancel();
        if (response.status === 404) throw new BackendSessionLostError(null);
        if (response.status >= 500) throw new BackendHttpError(response.status);
        return false;
      }
      listening.onReady();
      for await (const { message } of readMessages(response, { maxMessageBytes }))
        if (message !== null) hear(message, listening, credentials, null);
      return true;
    },
    async close() {
      if (session['mcp-session-id'] === undefined) return;
      using limit = createWaitLimit(closeLimitMs, null);
      try {
        const response = await send({ method: 'DELETE', headers: session, signal: limit.signal }, latest);
        response.cancel();
      } catch {
        // It ends there by itself.
      }
    },
  };
}

/** 404 by the specification; 400 by servers that answer so. Either way the request was not worked on. */
function sessionLoss(error: unknown): BackendSessionLostError | null {
  if (error instanceof JsonRpcError)
    return error.httpStatus === 404 || error.httpStatus === 400 ? new BackendSessionLostError(error) : null;
  return error instanceof BackendHttpError && (error.status === 404 || error.status === 400)
    ? new BackendSessionLostError(null)
    : null;
}
