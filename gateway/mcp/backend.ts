/** One MCP server behind the gateway, as the gateway reaches it. */
import type { OutgoingStrategy } from '../strategies/outgoing-strategy.ts';

export interface Backend {
  readonly name: string;
  readonly url: URL;
  /** Put before the names of its tools. */
  readonly prefix: string;
  /** How long it may take to answer one request. */
  readonly timeoutMs: number;
  readonly strategy: OutgoingStrategy;
}

/** It wants or forbids what the caller's token does not give (401), or allows (403). Its challenge ends here. */
export class BackendRejectedError extends Error {
  override readonly name = 'BackendRejectedError';
  readonly code = 'backend-rejected';
  readonly status: 401 | 403;

  constructor(backend: string, status: BackendRejectedError['status']) {
    super(`the backend ${backend} rejects the request (${status})`);
    this.status = status;
  }
}

/** It points elsewhere. Nobody follows, for the request may carry a token that is meant for this origin alone. */
export class BackendRedirectedError extends Error {
  override readonly name = 'BackendRedirectedError';
  readonly code = 'backend-redirected';

  constructor(backend: string) {
    super(`the backend ${backend} redirects, which is not followed`);
  }
}

/** The error itself, or the one that a layer of the library has wrapped. */
export function findCause<T extends Error>(error: unknown, type: new (...args: never[]) => T): T | null {
  for (let current = error; current instanceof Error; current = current.cause)
    if (current instanceof type) return current;
  return null;
}
