/**
 * The person's wish to stop: the first SIGINT, SIGTERM or SIGHUP asks for the orderly end, a further one for the hard
 * one. npm forwards the Ctrl-C that the terminal has sent to every process already, so one that comes within a
 * moment is the same.
 */
const sameMs = 700;

export interface StopSignal {
  /** Resolves at the first signal. */
  readonly first: Promise<void>;
  close(): void;
}

export function listenForStop(endHard: () => void): StopSignal {
  let firstAt: number | null = null;
  const first = Promise.withResolvers<void>();
  const handle = () => {
    if (firstAt === null) {
      firstAt = performance.now();
      first.resolve();
    } else if (performance.now() - firstAt > sameMs) {
      endHard();
    }
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, handle);
  return {
    first: first.promise,
    close() {
      for (const signal of signals) process.off(signal, handle);
    },
  };
}
