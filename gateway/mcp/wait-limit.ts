/**
 * How long one exchange with a backend may stay silent. Each sign of life begins the wait anew, and the time in which
 * the backend itself waits for the client does not count.
 */

/** The backend did not answer in time. Whether it did something is not known. */
export class BackendTimeoutError extends Error {
  override readonly name = 'BackendTimeoutError';
  readonly code = 'backend-timeout';

  constructor() {
    super('the backend did not answer in time');
  }
}

export interface WaitLimit extends Disposable {
  /** Aborts when the wait is over (BackendTimeoutError), or when the exchange is given up by its caller. */
  readonly signal: AbortSignal;
  renew(): void;
  /** The wait stands still until what is given has settled. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Nothing more is wanted of this exchange. */
  abandon(): void;
}

export function createWaitLimit(limitMs: number, caller: AbortSignal | null): WaitLimit {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let paused = 0;

  function renew(): void {
    clearTimeout(timer);
    if (paused === 0) timer = setTimeout(() => abort.abort(new BackendTimeoutError()), limitMs);
  }

  const giveUp = () => abort.abort(caller?.reason);
  if (caller?.aborted) giveUp();
  else caller?.addEventListener('abort', giveUp, { once: true });
  renew();
  return {
    signal: abort.signal,
    renew,
    async during(work) {
      paused += 1;
      clearTimeout(timer);
      try {
        return await work;
      } finally {
        paused -= 1;
        renew();
      }
    },
    abandon: () => abort.abort(new BackendTimeoutError()),
    [Symbol.dispose]() {
      caller?.removeEventListener('abort', giveUp);
      paused = Number.POSITIVE_INFINITY;
      clearTimeout(timer);
    },
  };
}
