/**
 * Backends of the versions before 2026-07-28: an `initialize` handshake, a session that the server may name, requests
 * of the server in the middle of a call, and one stream beside the calls (MCP 2025-11-25, streamable HTTP).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { BackendAnswerError } from './backend.ts';
import type { BackendConnection, Listening, OpenOptions } from './backend-connection.ts';
import { BackendHttpError, type BackendPlace, type ExchangeEvents, readResult } from './backend-exchange.ts';
import type { BackendResponse, Credentials } from './backend-fetch.ts';
import { findRequest, type JsonObject, JsonRpcError, type RequestId, rpcCodes } from './json-rpc.ts';
import { backendVersions, withoutEnvelope } from './protocol.ts';
import { isGone } from './running-requests.ts';
import { createServerMessages } from './server-messages.ts';
import { createStandingStream } from './standing-stream.ts';
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
/** A backend may not have noticed yet that the stream is read by nobody any more. */
const [conflictPauseMs, maxConflicts] = [200, 10];
type SessionHeaders = BackendPlace['session'];

export async function openOlderConnection(options: OpenOptions): Promise<BackendConnection> {
  const { backend, client, send, maxMessageBytes } = options;
  let ownSession: SessionHeaders = {};
  /** What is answered to the backend goes with these: a token may be renewed while a stream stands or a person is asked. */
  let latest = options.credentials;
  let nextId = 1;
  const hearServer = createServerMessages(client.capabilities);
  const canBeAsked = Object.keys(client.capabilities).length > 0;
  /** In the order in which they were made. */
  const calls = new Set<{ readonly events: ExchangeEvents; readonly limit: WaitLimit }>();
  const standing = createStandingStream({
    async open(credentials, signal) {
      const response = await openStream(credentials, signal);
      if (response.status !== 404) return response;
      response.cancel();
      throw new BackendSessionLostError(null);
    },
    maxMessageBytes,
    hear: hearBeside,
  });
  /** Answers for the rest of which a client may come back. */
  const left = new Set<string>();

  function post(
    body: JsonObject,
    credentials: Credentials,
    signal: AbortSignal,
    session = ownSession,
  ): Promise<BackendResponse> {
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

  async function tell(body: JsonObject, credentials: Credentials, session = ownSession): Promise<void> {
    using limit = createWaitLimit(backend.timeoutMs, null);
    const response = await post(body, credentials, limit.signal, session);
    response.cancel();
  }

  /** What is not told is what the backend would not hear either. */
  const tellInPassing = (body: JsonObject, credentials: Credentials, session?: SessionHeaders) =>
    tell(body, credentials, session).catch(() => {});

  const hear = (
    message: JsonObject,
    events: ExchangeEvents,
    limit: WaitLimit | null,
    session?: SessionHeaders,
  ): void =>
    hearServer(message, {
      ...{ events, limit },
      tell: (body, renewed) => tell(body, renewed ?? latest, session),
    });

  /** What belongs to no call is for whoever listens. Who asks there all the same means the call that was made last. */
  function hearBeside(message: JsonObject, listeners: readonly Listening[]): void {
    const call = [...calls].at(-1);
    if (findRequest(message) !== null) {
      const listener = listeners.findLast(({ onRequest }) => onRequest !== undefined);
      if (listener === undefined) hear(message, call?.events ?? {}, call?.limit ?? null);
      else hear(message, listener, null);
    } else if (listeners.length > 0) for (const listener of listeners) hear(message, listener, null);
    else if (call !== undefined) hear(message, call.events, call.limit);
  }

  function openStream(
    credentials: Credentials,
    signal: AbortSignal,
    lastEventId?: string,
    session = ownSession,
  ): Promise<BackendResponse> {
    return send(
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
  }

  async function exchange(
    message: { method: string; params: JsonObject },
    events: ExchangeEvents & { signal: AbortSignal | null; timeoutMs: number },
    credentials: Credentials,
    onResponse: (response: BackendResponse) => void = () => {},
  ): Promise<JsonObject> {
    const id: RequestId = nextId++;
    return await follow(
      { id, session: () => ownSession, mayCancel: message.method !== 'initialize' },
      events,
      credentials,
      async (signal) => {
        const response = await post({ id, ...message }, credentials, signal);
        onResponse(response);
        return response;
      },
    );
  }

  /** Reads the answer to a request to its end, wherever it begins. */
  async function follow(
    { id, session, mayCancel }: { id: RequestId; session: () => SessionHeaders; mayCancel: boolean },
    events: ExchangeEvents & { signal: AbortSignal | null; timeoutMs: number },
    credentials: Credentials,
    open: (signal: AbortSignal) => Promise<BackendResponse>,
    isRest = false,
  ): Promise<JsonObject> {
    using limit = createWaitLimit(events.timeoutMs, events.signal);
    let hasPlace = isRest;
    const call = { events, limit };
    calls.add(call);
    try {
      return await readResult(await open(limit.signal), {
        id,
        maxMessageBytes,
        limit,
        room: events.room,
        largeResult: events.largeResult,
        onEventId(eventId, isAlone, retryMs) {
          if (events.onPlace?.({ id, eventId, session: session() }, isAlone, retryMs)) hasPlace = true;
        },
        onMessage: (other) => hear(other, events, limit, session()),
        resume: (lastEventId) => openStream(credentials, limit.signal, lastEventId, session()),
      });
    } catch (error) {
      if (!limit.signal.aborted) throw error;
      const { reason } = limit.signal;
      if (hasPlace && isGone(reason)) left.add(nameOf(id, session()));
      else if (mayCancel)
        void tellInPassing(
          { method: 'notifications/cancelled', params: { requestId: id } },
          credentials,
          session(),
        );
      throw reason;
    } finally {
      calls.delete(call);
    }
  }

  /** As soon as the backend has noticed that nobody reads it any more. */
  async function openRest(
    { eventId, session }: BackendPlace,
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<BackendResponse> {
    for (let conflicts = 0; ; conflicts += 1) {
      const response = await openStream(credentials, signal, eventId, session);
      if (response.status !== 409 || conflicts === maxConflicts) return response;
      response.cancel();
      await pause(conflictPauseMs, undefined, { signal });
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
      if (id !== null) ownSession = { 'mcp-session-id': id };
    },
  );
  const { protocolVersion, capabilities } = initialized;
  if (typeof protocolVersion !== 'string' || !backendVersions.includes(protocolVersion))
    throw new BackendAnswerError('not-json-rpc');
  ownSession = { ...ownSession, 'mcp-protocol-version': protocolVersion };
  await tell({ method: 'notifications/initialized' }, latest);

  return {
    protocol: 'older',
    capabilities: (capabilities ?? {}) as JsonObject,
    isOpen: () => true,
    async request(asked, credentials) {
      const message = { method: asked.method, params: withoutEnvelope(asked.params) };
      if (asked.onRequest !== undefined && canBeAsked) await standing.hold(credentials);
      try {
        return await exchange(message, asked, credentials);
      } catch (error) {
        throw sessionLoss(error) ?? error;
      }
    },
    async resume(place, events, credentials) {
      const { id, session } = place;
      const result = await follow(
        { id, session: () => session, mayCancel: true },
        events,
        credentials,
        (signal) => openRest(place, credentials, signal),
        true,
      );
      left.delete(nameOf(id, session));
      return result;
    },
    notify: (notification, credentials) => tell({ ...notification }, credentials),
    listen(listening, credentials) {
      latest = credentials;
      return standing.listen(listening, credentials);
    },
    async close() {
      standing.close();
      // What is left in it could not be fetched any more.
      if (ownSession['mcp-session-id'] === undefined || left.size > 0) return;
      using limit = createWaitLimit(closeLimitMs, null);
      try {
        const response = await send({ method: 'DELETE', headers: ownSession, signal: limit.signal }, latest);
        response.cancel();
      } catch {
        // It ends there by itself.
      }
    },
  };
}

const nameOf = (id: RequestId, session: SessionHeaders) => JSON.stringify([session['mcp-session-id'], id]);

/**
 * 404 by the specification; 400 by servers that answer so, if what they say is not of the request itself. Either way the
 * request was not worked on.
 */
function sessionLoss(error: unknown): BackendSessionLostError | null {
  if (error instanceof JsonRpcError) {
    const { httpStatus } = error;
    const isLoss = httpStatus === 404 || (httpStatus === 400 && !isOfRequest(error.error.code));
    return isLoss ? new BackendSessionLostError(error) : null;
  }
  return error instanceof BackendHttpError && (error.status === 404 || error.status === 400)
    ? new BackendSessionLostError(null)
    : null;
}

const codesOfRequest: readonly number[] = [
  rpcCodes.methodNotFound,
  rpcCodes.invalidParams,
  rpcCodes.resourceNotFound,
];

/** Codes of what was asked for, and those that servers make up for themselves (JSON-RPC 2.0 section 5.1). */
const isOfRequest = (code: number): boolean => codesOfRequest.includes(code) || code > -32_000;
