/**
 * Destination binding (RFC 9700 section 4.10; MCP security: no token passthrough): what a strategy adds goes to the
 * configured URL of its backend only, request by request, and no redirect is followed. A backend's challenge
 * (401, 403) ends here as an error, so that no layer above acts on it.
 */
import { type Backend, BackendRedirectedError, BackendRejectedError } from './backend.ts';

/** What the request of one person to one backend carries beside the protocol's own headers. */
export type Credentials = Readonly<Record<string, string>>;

export interface BackendHttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** Of the protocol. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

export type BackendFetch = (request: BackendHttpRequest, credentials: Credentials) => Promise<Response>;

/**
 * @throws BackendRejectedError
 * @throws BackendRedirectedError
 */
export function createBackendFetch(backend: Backend, send: typeof fetch = fetch): BackendFetch {
  return async ({ method, headers, body, signal }, credentials) => {
    const response = await send(backend.url, {
      method,
      headers: { ...headers, ...credentials },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
      redirect: 'manual',
    });
    const { status } = response;
    if (status < 300 || (status >= 400 && status !== 401 && status !== 403)) return response;
    await response.body?.cancel();
    if (status === 401 || status === 403) throw new BackendRejectedError(backend.name, status);
    throw new BackendRedirectedError(backend.name);
  };
}
