/**
 * Destination binding (RFC 9700 section 4.10; MCP security: no token passthrough): what a strategy adds goes to the
 * configured origin of its backend only, request by request, and no redirect is followed. A backend's challenge
 * (401, 403) ends here as an error, so that no layer above acts on it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Backend, BackendRedirectedError, BackendRejectedError } from './backend.ts';

/** One exchange with a backend: the headers of the person for whom it is made. */
export interface BackendExchange {
  readonly headers: Readonly<Record<string, string>>;
}

export type BackendFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** The library makes its HTTP requests far below the call that causes them; the exchange travels in the context. */
const currentExchange = new AsyncLocalStorage<BackendExchange>();

export function runExchange<T>(exchange: BackendExchange, run: () => Promise<T>): Promise<T> {
  return currentExchange.run(exchange, run);
}

/** Never more than what the transport needs and the strategy sets. */
const neverSent = ['authorization', 'cookie', 'proxy-authorization'];

export function createBackendFetch(backend: Backend, send: typeof fetch = fetch): BackendFetch {
  // Requests that the library makes on its own time (it resumes a stream, ends a session) carry the latest headers.
  let latest: BackendExchange = { headers: {} };

  return async (url, init = {}) => {
    if (new URL(url).origin !== backend.url.origin) throw new BackendRedirectedError(backend.name);
    const headers = new Headers(init.headers);
    const method = init.method ?? 'GET';
    // No stream of its own is held open to each backend for each person; only a broken one is resumed.
    if (method === 'GET' && !headers.has('last-event-id')) return new Response(null, { status: 405 });
    if (method === 'POST') latest = currentExchange.getStore() ?? latest;
    for (const name of neverSent) headers.delete(name);
    for (const [name, value] of Object.entries(latest.headers)) headers.set(name, value);

    const response = await send(url, { ...init, headers, redirect: 'manual' });
    const { status } = response;
    if (status < 300 || (status >= 400 && status !== 401 && status !== 403)) return response;
    await response.body?.cancel();
    if (status === 401 || status === 403) throw new BackendRejectedError(backend.name, status);
    throw new BackendRedirectedError(backend.name);
  };
}
