/**
 * Requests under way, so that they end when their client goes away, ends its session, or says so
 * (`notifications/cancelled`, which in the older protocol comes as an HTTP request of its own).
 */
import type { ServerResponse } from 'node:http';

/** The connection of the client has ended, which alone is no word of the client (MCP 2025-11-25, sending messages). */
const gone = new DOMException('The client has gone away', 'NetworkError');
export const isGone = (reason: unknown): boolean => reason === gone;

export interface RunningRequest extends Disposable {
  readonly signal: AbortSignal;
}

export interface RunningRequests {
  begin(owner: string, id: string | number | null, res: ServerResponse): RunningRequest;
  cancel(owner: string, id: unknown): void;
  /** Its client goes on with it by another connection. */
  leave(owner: string, id: unknown): void;
  cancelAll(owner: string): void;
}

export function createRunningRequests(): RunningRequests {
  const byOwner = new Map<string, Map<string | number | symbol, AbortController>>();
  const end = (owner: string, id: unknown, reason?: DOMException) => {
    if (typeof id === 'string' || typeof id === 'number') byOwner.get(owner)?.get(id)?.abort(reason);
  };

  return {
    begin(owner, id, res) {
      const abort = new AbortController();
      const key = id ?? Symbol();
      const requests = byOwner.get(owner) ?? new Map();
      byOwner.set(owner, requests);
      requests.set(key, abort);
      const onClose = () => abort.abort(gone);
      res.once('close', onClose);
      return {
        signal: abort.signal,
        [Symbol.dispose]() {
          res.off('close', onClose);
          if (requests.get(key) === abort) requests.delete(key);
          if (requests.size === 0 && byOwner.get(owner) === requests) byOwner.delete(owner);
        },
      };
    },
    cancel: (owner, id) => end(owner, id),
    leave: (owner, id) => end(owner, id, gone),
    cancelAll(owner) {
      for (const abort of byOwner.get(owner)?.values() ?? []) abort.abort();
    },
  };
}
