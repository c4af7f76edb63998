/**
 * Destination binding (RFC 9700 section 4.10; MCP security: no token passthrough): what a strategy adds goes to the
 * configured URL of its backend, or to another path of that origin, and nowhere else, request by request, and no redirect
 * is followed. A backend's challenge (401, 403) ends here as an error, so that no layer above acts on it.
 */
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher, errors } from 'undici';
import type { SignRequest } from '../strategies/outgoing-strategy.ts';
import { type Backend, BackendRedirectedError, BackendRejectedError } from './backend.ts';

/** What the request of one person to one backend carries beside the protocol's own headers. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly sign: SignRequest | null;
}

export interface BackendHttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** Path and query at the origin of the configured URL; absent: its own. */
  readonly path?: string;
  /** Of the protocol. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

export interface BackendResponse {
  readonly status: number;
  readonly ok: boolean;
  /** By its name in lower case. */
  header(name: string): string | null;
  /** The body up to this length or a little more, all of it if it is no longer. What follows comes in pieces. */
  start(length: number): Promise<{ bytes: Buffer; isWhole: boolean }>;
  /** The body, each piece when it has come. Left before its end, the rest is not wanted any more. */
  pieces(): AsyncIterable<Uint8Array>;
  /** The body is not wanted. */
  cancel(): void;
}

export type BackendFetch = (
  request: BackendHttpRequest,
  credentials: Credentials,
) => Promise<BackendResponse>;

/** No connection, or one that ended in the middle or carries no HTTP: whether the request arrived is not known. */
export class BackendCutOffError extends Error {
  override readonly name = 'BackendCutOffError';
  readonly code = 'backend-cut-off';

  constructor(options: { cause: unknown }) {
    super('the connection to the backend failed', options);
  }
}

/** A header of it has a character that no header may have (RFC 9110 section 5.5), so nothing was sent. */
export class UnsendableRequestError extends Error {
  override readonly name = 'UnsendableRequestError';
  readonly code = 'request-unsendable';

  constructor(options: { cause: unknown }) {
    super('the request to the backend cannot be sent', options);
  }
}

/** Connections that are kept alive. They carry no state: what a request is and for whom stands in the request. */
export interface BackendSockets {
  readonly dispatcher: Dispatcher;
  close(): Promise<void>;
}

export function createBackendSockets(): BackendSockets {
  // How long a backend may be silent is limited for each exchange.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  return { dispatcher, close: () => dispatcher.destroy() };
}

/**
 * @throws BackendRejectedError
 * @throws BackendRedirectedError
 * @throws BackendCutOffError
 * @throws UnsendableRequestError
 */
export function createBackendFetch({ name, url }: Backend, { dispatcher }: BackendSockets): BackendFetch {
  const { origin } = url;
  const ownPath = `${url.pathname}${url.search}`;

  return async ({ method, path = ownPath, headers, body, signal }, credentials) => {
    const text = body === undefined ? null : JSON.stringify(body);
    const sent = { ...headers, ...credentials.headers };
    const signed = await credentials.sign?.({
      method,
      url: new URL(`${origin}${path}`),
      headers: sent,
      body: text,
    });
    const answered = await dispatcher
      .request({
        origin,
        path,
        method,
        headers: { ...sent, ...signed },
        body: text,
        signal,
      })
      .catch((cause) => {
        throw cause instanceof errors.InvalidArgumentError
          ? new UnsendableRequestError({ cause })
          : cutOff(cause, signal);
      });
    const response = toResponse(answered, signal);
    const { status } = response;
    if (status < 300 || (status >= 400 && status !== 401 && status !== 403)) return response;
    response.cancel();
    if (status === 401 || status === 403) throw new BackendRejectedError(name, status);
    throw new BackendRedirectedError(name);
  };
}

function toResponse(
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
  signal: AbortSignal,
): BackendResponse {
  // Whoever reads is told by what is thrown; nobody may be reading when the exchange is given up.
  body.on('error', () => {});
  return {
    status,
    ok: status >= 200 && status < 300,
    header(name) {
      const value = headers[name];
      return (Array.isArray(value) ? value[0] : value) ?? null;
    },
    start: (length) => startOf(body, signal, length),
    pieces: () => piecesOf(body, signal),
    cancel: () => void body.destroy(),
  };
}

async function* piecesOf(body: Readable, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (cause) {
    throw cutOff(cause, signal);
  }
}

function startOf(
  body: Readable,
  signal: AbortSignal,
  length: number,
): Promise<{ bytes: Buffer; isWhole: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    const finish = (isWhole: boolean) => {
      body.off('data', onData).off('end', onEnd).off('error', onError);
      resolve({ bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, received), isWhole });
    };
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      chunks.push(chunk);
      if (received <= length) return;
      body.pause();
      finish(false);
    };
    const onEnd = () => finish(true);
    const onError = (cause: unknown) => reject(cutOff(cause, signal));
    body.on('data', onData).once('end', onEnd).once('error', onError);
  });
}

function cutOff(cause: unknown, signal: AbortSignal): unknown {
  return signal.aborted ? signal.reason : new BackendCutOffError({ cause });
}
