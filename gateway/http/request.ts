/**
 * What comes in over HTTP, before the library sees it. The library builds URLs from Host and X-Forwarded-*, so these
 * are pinned to the issuer; a request for another host is misdirected (421, RFC 9110 section 15.5.20). Bodies are
 * read here, up to a limit, and handed on as they should be.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

export interface RequestTarget {
  readonly pathname: string;
  /** Without the question mark. */
  readonly search: string;
}

/** Null for anything but a path (RFC 9112 section 3.2.1): other forms can carry another host. */
export function parseRequestTarget(url: string | undefined): RequestTarget | null {
  if (url === undefined || !url.startsWith('/') || url.startsWith('//')) return null;
  const [path = '', ...rest] = url.split('?');
  return { pathname: path, search: rest.join('?') };
}

/** The Host header as a URL of this protocol; null if it is more or less than host and port. */
export function parseHost(host: string | undefined, protocol: string): URL | null {
  if (host === undefined || !/^[^/?#@\\\s]+$/.test(host)) return null;
  return URL.parse(`${protocol}//${host}`);
}

export function isRequestFor(issuer: URL, request: IncomingMessage): boolean {
  return parseHost(request.headers.host, issuer.protocol)?.host === issuer.host;
}

export function pinToIssuer(issuer: URL, request: IncomingMessage): void {
  request.headers.host = issuer.host;
  request.headers['x-forwarded-host'] = issuer.host;
  request.headers['x-forwarded-proto'] = issuer.protocol.slice(0, -1);
}

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
  readonly code = 'body-too-large';

  constructor() {
    super('the body is too large');
  }
}

/** Its sender went away in the middle. */
class BodyCutOffError extends Error {
  override readonly name = 'BodyCutOffError';
  readonly code = 'body-cut-off';

  constructor() {
    super('the body ended too early');
  }
}

/**
 * What is over the limit is read and dropped, up to as much again and a megabyte: a connection that is closed while
 * its client still sends is reset, and the client never sees why (RFC 9112 section 9.6).
 */
const moreToDrop = 1024 * 1024;

export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const hardLimit = 2 * limit + moreToDrop;
  if (Number(request.headers['content-length'] ?? 0) > hardLimit) throw new BodyTooLargeError();
  const chunks: Buffer[] = [];
  let length = 0;
  await new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      if (length <= hardLimit) return;
      request.off('data', onData).pause();
      resolve();
    };
    const onClose = () => reject(new BodyCutOffError());
    const onEnd = () => {
      request.off('close', onClose);
      resolve();
    };
    request.on('data', onData).once('end', onEnd).once('error', reject).once('close', onClose);
  });
  if (length > limit) throw new BodyTooLargeError();
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length);
}

/** The same request with another body, for a reader that wants to read it itself. */
export function withBody(request: IncomingMessage, body: string | Buffer): IncomingMessage {
  const bytes = Buffer.from(body);
  const { 'transfer-encoding': _chunked, ...headers } = request.headers;
  const { method, url, socket, httpVersion, httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  return Object.assign(Readable.from([bytes]), {
    method,
    url,
    socket,
    httpVersion,
    httpVersionMajor,
    httpVersionMinor,
    rawHeaders,
    headers: { ...headers, 'content-length': String(bytes.length) },
  }) as unknown as IncomingMessage;
}

export function hasMediaType(request: IncomingMessage, mediaType: string): boolean {
  return request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() === mediaType;
}

export function readCookie(request: IncomingMessage, name: string): string | null {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key, ...value] = pair.split('=');
    if (key?.trim() === name) return value.join('=').trim();
  }
  return null;
}
