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
  const timedOut = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let paused = 0;

  function renew(): void {
    clearTimeout(timer);
    if (paused === 0) timer = setTimeout(() => timedOut.abort(new BackendTimeoutError()), limitMs);
  }

  renew();
  return {
    signal: caller === null ? timedOut.signal : AbortSignal.any([caller, timedOut.signal]),
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
    abandon: () => timedOut.abort(new BackendTimeoutError()),
    [Symbol.dispose]() {
      paused = Number.POSITIVE_INFINITY;
      clearTimeout(timer);
    },
  };
}
