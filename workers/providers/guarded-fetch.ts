/**
 * The one way in which a provider worker speaks HTTP: addresses are checked after the name was resolved and on the
 * very connection that is used (address-guard.ts), plain http goes to private addresses only, redirects are not
 * followed, an answer has a limit of time and size. Each request has a connection of its own: on a reused one that
 * the server just closed, nobody could say whether a one-time refresh token was received.
 */
import { lookup as resolve } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { type AddressKind, kindOfAddress } from './address-guard.ts';

export class OutboundRequestError extends Error {
  override readonly name = 'OutboundRequestError';
  readonly code:
    | 'address-refused'
    | 'insecure-address'
    | 'unreachable'
    | 'timeout'
    | 'too-late'
    | 'answer-too-large'
    | 'answer-malformed';

  constructor(code: OutboundRequestError['code'], options: { cause?: unknown } = {}) {
    super(`request to the provider failed: ${code}`, options);
    this.code = code;
  }
}

export interface OutboundRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Once it aborts, what has not been sent is not sent. What was sent is waited for. */
  readonly sendBefore?: AbortSignal | undefined;
  /** The limit of time of this request, if it is not the usual one. */
  readonly timeoutMs?: number | undefined;
}

/** As `fetch`, with the whole body already read. */
export type GuardedFetch = (url: string, request?: OutboundRequest) => Promise<Response>;

export interface GuardedFetchOptions {
  readonly allowPrivateAddresses: boolean;
  readonly timeoutMs?: number;
  readonly maxAnswerBytes?: number;
  /** Resolves a host name to all its addresses. */
  readonly lookup?: typeof resolve;
}

/** A timer of Node cannot wait longer. */
const longestTimeoutMs = 2 ** 31 - 1;

export function createGuardedFetch({
  allowPrivateAddresses,
  timeoutMs = 10_000,
  maxAnswerBytes = 1024 * 1024,
  lookup = resolve,
}: GuardedFetchOptions): GuardedFetch {
  function assertAllowed(address: string, secure: boolean): void {
    const kind: AddressKind = kindOfAddress(address);
    if (kind === 'forbidden' || (kind === 'private' && !allowPrivateAddresses))
      throw new OutboundRequestError('address-refused');
    if (!secure && kind === 'public') throw new OutboundRequestError('insecure-address');
  }

  const guardedLookup = (secure: boolean): LookupFunction =>
    function guardedLookup(hostname, options, callback) {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        if (error) return callback(error, []);
        try {
          // One forbidden address among several is a name that cannot be trusted.
          for (const { address } of addresses) assertAllowed(address, secure);
        } catch (refusal) {
          return callback(refusal as NodeJS.ErrnoException, []);
        }
        if (options.all) callback(null, addresses);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      });
    };

  return async function guardedFetch(url, request = {}) {
    const target = new URL(url);
    const secure = target.protocol === 'https:';
    if (!secure && target.protocol !== 'http:') throw new OutboundRequestError('insecure-address');
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    if (isIP(literal) !== 0) assertAllowed(literal, secure);
    const limit = AbortSignal.timeout(Math.min(request.timeoutMs ?? timeoutMs, longestTimeoutMs));
    const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit;
    try {
      const body = bodyOf(request.body);
      const outgoing = (secure ? https : http).request(target, {
        agent: false,
        method: request.method ?? 'GET',
        headers: {
          ...request.headers,
          // A compressed answer could be far larger than its limit.
          'accept-encoding': 'identity',
          ...(body === null ? {} : { 'content-length': String(body.length) }),
        },
        lookup: guardedLookup(secure),
        signal,
      });
      const answer = answerTo(outgoing);
      answer.catch(() => {});
      await readyToSend(outgoing, secure, request.sendBefore);
      outgoing.end(body ?? undefined);
      return await readAnswer(await answer, maxAnswerBytes);
    } catch (error) {
      throw failureOf(error, signal);
    }
  };
}

function bodyOf(body: unknown): Buffer | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string' || body instanceof URLSearchParams) return Buffer.from(body.toString());
  throw new TypeError('the body of a request to a provider is text or a form');
}

/** Headers and body leave the process only when the connection stands, so that `sendBefore` can be kept. */
function readyToSend(
  outgoing: http.ClientRequest,
  secure: boolean,
  sendBefore: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const tooLate = () => {
      const error = new OutboundRequestError('too-late');
      outgoing.destroy(error);
      reject(error);
    };
    if (sendBefore?.aborted) return tooLate();
    sendBefore?.addEventListener('abort', tooLate, { once: true });
    outgoing.once('error', reject);
    const connected = () => {
      sendBefore?.removeEventListener('abort', tooLate);
      resolve();
    };
    outgoing.once('socket', (socket) => socket.once(secure ? 'secureConnect' : 'connect', connected));
  });
}

function answerTo(outgoing: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
}

async function readAnswer(incoming: http.IncomingMessage, maxBytes: number): Promise<Response> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop closes the connection.
    if (size > maxBytes) throw new OutboundRequestError('answer-too-large');
    chunks.push(chunk);
  }
  const encoding = incoming.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new OutboundRequestError('answer-malformed');
  const headers = new Headers();
  for (let index = 0; index < incoming.rawHeaders.length; index += 2)
    headers.append(incoming.rawHeaders[index]!, incoming.rawHeaders[index + 1]!);
  const status = incoming.statusCode ?? 0;
  const hasBody = ![204, 205, 304].includes(status);
  return new Response(hasBody ? Buffer.concat(chunks) : null, { status, headers });
}

function failureOf(error: unknown, signal: AbortSignal): Error {
  if (error instanceof OutboundRequestError) return error;
  if (signal.aborted) return new OutboundRequestError('timeout', { cause: signal.reason });
  // The text of a header or status that cannot be represented.
  if (error instanceof RangeError || error instanceof TypeError)
    return new OutboundRequestError('answer-malformed', { cause: error });
  return new OutboundRequestError('unreachable', { cause: error });
}
