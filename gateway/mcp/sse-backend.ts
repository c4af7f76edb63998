/**
 * Backends that speak the transport of MCP 2024-11-05, HTTP with server-sent events: one stream on which everything
 * comes in, whose first event names where messages are posted. That place is at the backend's own origin or the
 * connection is none, for what is posted carries the caller's credentials.
 */
import { BackendAnswerError, BackendRedirectedError } from './backend.ts';
import type { BackendConnection, Listening, OpenOptions } from './backend-connection.ts';
import { BackendHttpError, type ExchangeEvents } from './backend-exchange.ts';
import { BackendCutOffError, type Credentials } from './backend-fetch.ts';
import { findResult, isObject, isRequestId, type JsonObject, type RequestId } from './json-rpc.ts';
import { readMessages } from './message-stream.ts';
import type { FindPassage } from './message-text.ts';
import { BackendSessionLostError } from './older-backend.ts';
import { sseVersions, withoutEnvelope } from './protocol.ts';
import { createServerMessages } from './server-messages.ts';
import { createSharedStream, type StreamUser } from './shared-stream.ts';
import { createWaitLimit } from './wait-limit.ts';

interface Call extends StreamUser {
  readonly events: ExchangeEvents;
  readonly progressToken: unknown;
  readonly answer: PromiseWithResolvers<JsonObject>;
}

const changes = /^notifications\/(?:(?:tools|prompts|resources)\/list_changed|resources\/updated)$/;

export async function openSseConnection(options: OpenOptions): Promise<BackendConnection> {
  const { backend, client, send, maxMessageBytes } = options;
  /** In the order in which they were made. */
  const calls = new Map<RequestId, Call>();
  /** What the backend may still answer, also where nobody waits for it any more. */
  const unanswered = new Set<RequestId>();
  const hearServer = createServerMessages(client.capabilities);
  const shared = createSharedStream(options.maxHoldUpMs);
  const listeners = new Set<Listening>();
  const endpoint = Promise.withResolvers<string>();
  const closing = new AbortController();
  let latest = options.credentials;
  let version: Readonly<Record<string, string>> = {};
  let isOpen = true;
  let nextId = 1;

  async function readStream(): Promise<void> {
    const response = await send(
      { method: 'GET', headers: { accept: 'text/event-stream' }, signal: closing.signal },
      latest,
    );
    if (!response.ok) {
      response.cancel();
      throw new BackendHttpError(response.status);
    }
    for await (const { message } of readMessages(response, { maxMessageBytes, findPassage, onEndpoint })) {
      const call = message === null ? undefined : receive(message);
      const room = call?.events.room?.() ?? null;
      const waiting = call === undefined || room === null ? null : shared.waitFor(call, room);
      if (waiting !== null) await waiting;
    }
    throw new BackendCutOffError({ cause: new Error('the stream has ended') });
  }

  function onEndpoint(place: string): void {
    const url = URL.parse(place, backend.url.href);
    if (url?.origin !== backend.url.origin) throw new BackendRedirectedError(backend.name);
    endpoint.resolve(`${url.pathname}${url.search}`);
  }

  /** A result that does not say first whose it is can be that of the only request that is not answered yet. */
  const findPassage: FindPassage = (named) => {
    const [only] = unanswered.size === 1 ? unanswered : [];
    const id = named ?? only;
    const call = id === undefined ? undefined : calls.get(id);
    const large = call?.events.largeResult;
    if (id === undefined || call === undefined || large === undefined) return null;
    return {
      id,
      form: large.form,
      open() {
        const sink = large.open();
        return (
          sink && {
            write(text) {
              for (const { limit } of calls.values()) limit.renew();
              const room = sink.write(text);
              return room && shared.waitFor(call, room);
            },
            end() {
              sink.end();
              unanswered.delete(id);
              call.answer.resolve({});
            },
          }
        );
      },
    };
  };

  /** @returns the call that goes on with it */
  function receive(message: JsonObject): Call | undefined {
    const { id, method } = message;
    if (method === undefined) {
      if (isRequestId(id)) settle(id, message);
      return undefined;
    }
    const call = callOf(message);
    call?.limit.renew();
    hearServer(message, {
      events: call?.events ?? [...listeners].at(-1) ?? {},
      limit: call?.limit ?? null,
      tell: (body, renewed) => tell(body, renewed ?? latest),
    });
    return call;
  }

  function settle(id: RequestId, message: JsonObject): void {
    const answer = calls.get(id)?.answer;
    unanswered.delete(id);
    try {
      const result = findResult(message, id);
      if (result === null) answer?.reject(new BackendAnswerError('not-json-rpc'));
      else answer?.resolve(result);
    } catch (error) {
      answer?.reject(error);
    }
  }

  /** This transport does not say to which call a message belongs; progress does, and else it is the last one made. */
  function callOf({ method, params }: JsonObject): Call | undefined {
    if (listeners.size > 0 && typeof method === 'string' && changes.test(method)) return undefined;
    const open = [...calls.values()];
    const token = method === 'notifications/progress' && isObject(params) ? params.progressToken : undefined;
    return (
      (token === undefined ? undefined : open.find((call) => call.progressToken === token)) ?? open.at(-1)
    );
  }

  async function post(body: JsonObject, credentials: Credentials, signal: AbortSignal): Promise<void> {
    latest = credentials;
    const response = await send(
      {
        method: 'POST',
        path: await endpoint.promise,
        headers: { 'content-type': 'application/json', accept: 'application/json', ...version },
        body: { jsonrpc: '2.0', ...body },
        signal,
      },
      credentials,
    );
    response.cancel();
    if (response.ok) return;
    if (response.status === 404 || response.status === 400) throw new BackendSessionLostError(null);
    throw new BackendHttpError(response.status);
  }

  async function tell(body: JsonObject, credentials: Credentials): Promise<void> {
    using limit = createWaitLimit(backend.timeoutMs, closing.signal);
    await post(body, credentials, limit.signal);
  }

  /** What is not told is what the backend would not hear either. */
  const tellInPassing = (body: JsonObject) => tell(body, latest).catch(() => {});

  async function exchange(
    message: { method: string; params: JsonObject },
    events: ExchangeEvents & { signal: AbortSignal | null; timeoutMs: number },
    credentials: Credentials,
  ): Promise<JsonObject> {
    if (!isOpen) throw new BackendSessionLostError(null);
    const id = nextId++;
    using limit = createWaitLimit(events.timeoutMs, events.signal);
    const answer = Promise.withResolvers<JsonObject>();
    limit.signal.addEventListener('abort', () => answer.reject(limit.signal.reason), { once: true });
    const call: Call = { events, limit, progressToken: progressTokenOf(message.params), answer };
    calls.set(id, call);
    unanswered.add(id);
    shared.join(call);
    // The result may come before it is said that the message has arrived.
    post({ id, ...message }, credentials, limit.signal).catch(answer.reject);
    try {
      return await answer.promise;
    } catch (error) {
      if (limit.signal.aborted && message.method !== 'initialize')
        void tellInPassing({ method: 'notifications/cancelled', params: { requestId: id } });
      throw error;
    } finally {
      calls.delete(id);
      shared.leave(call);
    }
  }

  const ended = readStream().catch((error) => {
    isOpen = false;
    endpoint.reject(error);
    for (const { answer } of calls.values()) answer.reject(error);
  });
  // Whoever posts is told; nobody may be posting.
  endpoint.promise.catch(() => {});

  async function handshake(): Promise<JsonObject> {
    const { protocolVersion, capabilities } = await exchange(
      {
        method: 'initialize',
        params: {
          protocolVersion: sseVersions[0],
          capabilities: client.capabilities,
          clientInfo: client.info,
        },
      },
      { signal: null, timeoutMs: backend.timeoutMs },
      latest,
    );
    if (typeof protocolVersion !== 'string' || !sseVersions.includes(protocolVersion))
      throw new BackendAnswerError('not-json-rpc');
    version = { 'mcp-protocol-version': protocolVersion };
    await tell({ method: 'notifications/initialized' }, latest);
    return isObject(capabilities) ? capabilities : {};
  }

  const capabilities = await handshake().catch((error) => {
    closing.abort();
    throw error;
  });

  return {
    protocol: 'older',
    capabilities,
    isOpen: () => isOpen,
    request: ({ method, params, ...events }, credentials) =>
      exchange({ method, params: withoutEnvelope(params) }, events, credentials),
    notify: (notification, credentials) => tell({ ...notification }, credentials),
    async listen(listening) {
      const given = Promise.withResolvers<void>();
      listening.signal.addEventListener('abort', () => given.resolve(), { once: true });
      listeners.add(listening);
      listening.onReady();
      try {
        if (!listening.signal.aborted) await Promise.race([ended, given.promise]);
      } finally {
        listeners.delete(listening);
      }
      return true;
    },
    async close() {
      closing.abort();
      await ended;
    },
  };
}

function progressTokenOf({ _meta }: JsonObject): unknown {
  return isObject(_meta) ? _meta.progressToken : undefined;
}
