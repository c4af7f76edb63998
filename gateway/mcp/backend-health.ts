/**
 * What is known about each backend's health, and a circuit breaker before it: after so many failures in a row nothing
 * is sent for a while, then one exchange tries it again (half open). A backend that answers, be it with an error, is
 * healthy; one that wants a person's token is too, for whoever asks without one.
 */
import type { Backend } from './backend.ts';

export interface HealthSettings {
  /** null: failed requests alone never keep others from being sent. */
  readonly circuit: {
    readonly failureThreshold: number;
    /** How long nothing is sent. */
    readonly openMs: number;
  } | null;
  /** Silent probes in a row. */
  readonly unhealthyThreshold: number;
}

export interface BackendStatus {
  readonly name: string;
  readonly status: 'healthy' | 'failing' | 'unavailable' | 'unknown';
  readonly failuresInARow: number;
  /** Times that it answered 401 or 403 to a request of a person, or to a probe that had all that such a request has. */
  readonly rejections: number;
}

export type ProbeOutcome = 'answered' | 'rejected' | 'silent';

/** Its circuit is open. */
export class BackendUnavailableError extends Error {
  override readonly name = 'BackendUnavailableError';
  readonly code = 'backend-unavailable';
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number) {
    super('the backend has failed several times in a row and is left alone for a while');
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export interface BackendHealth {
  /** @throws BackendUnavailableError */
  admit(backend: Backend): void;
  succeeded(backend: Backend): void;
  failed(backend: Backend): void;
  rejected(backend: Backend): void;
  /** The caller gave up, which says nothing about the backend. */
  abandoned(backend: Backend): void;
  probed(backend: Backend, outcome: ProbeOutcome): void;
  isAvailable(backend: Backend): boolean;
  statuses(): BackendStatus[];
  /** Tells when a backend that was unavailable answers again. */
  onRecovery(listener: (backend: Backend) => void): void;
}

/** When to come back to a backend that answers no probes. */
const silentPauseMs = 30_000;

interface Circuit {
  failures: number;
  silentProbes: number;
  rejections: number;
  known: boolean;
  /** On the given clock; null: closed. */
  openUntil: number | null;
  /** One exchange is under way that decides. */
  probing: boolean;
}

export function createBackendHealth(options: {
  backends: readonly Backend[];
  settings: HealthSettings;
  /** Milliseconds of a clock that only goes forward. */
  elapsed: () => number;
}): BackendHealth {
  const { backends, elapsed } = options;
  const { circuit, unhealthyThreshold } = options.settings;
  const listeners: ((backend: Backend) => void)[] = [];
  const circuits = new Map<string, Circuit>(
    backends.map(({ name }) => [
      name,
      { failures: 0, silentProbes: 0, rejections: 0, known: false, openUntil: null, probing: false },
    ]),
  );
  const of = ({ name }: Backend): Circuit => circuits.get(name)!;

  const isAvailable = (backend: Backend): boolean => {
    const state = of(backend);
    const { openUntil, probing } = state;
    return !isSilent(state) && (openUntil === null || (elapsed() >= openUntil && !probing));
  };
  const isSilent = ({ silentProbes }: Circuit): boolean => silentProbes >= unhealthyThreshold;
  const tellRecovery = (backend: Backend): void => {
    for (const listener of listeners) listener(backend);
  };

  function answered(backend: Backend): void {
    const state = of(backend);
    const recovered = state.openUntil !== null || isSilent(state);
    Object.assign(state, { failures: 0, silentProbes: 0, known: true, openUntil: null, probing: false });
    if (recovered) tellRecovery(backend);
  }

  return {
    isAvailable,
    admit(backend) {
      const state = of(backend);
      if (!isAvailable(backend)) {
        const leftMs = isSilent(state) ? silentPauseMs : (state.openUntil ?? 0) - elapsed();
        throw new BackendUnavailableError(Math.max(1, Math.ceil(leftMs / 1000)));
      }
      if (state.openUntil !== null) state.probing = true;
    },
    succeeded: answered,
    rejected(backend) {
      of(backend).rejections += 1;
      answered(backend);
    },
    abandoned(backend) {
      of(backend).probing = false;
    },
    failed(backend) {
      const state = of(backend);
      state.failures += 1;
      state.known = true;
      state.probing = false;
      if (circuit !== null && state.failures >= circuit.failureThreshold)
        state.openUntil = elapsed() + circuit.openMs;
    },
    probed(backend, outcome) {
      const state = of(backend);
      const wasAnswered = outcome !== 'silent';
      if (outcome === 'rejected') state.rejections += 1;
      const wasSilent = isSilent(state);
      // What a probe reaches a request may still not reach, so this says nothing about the circuit.
      Object.assign(state, { known: true, silentProbes: wasAnswered ? 0 : state.silentProbes + 1 });
      if (wasAnswered && wasSilent) tellRecovery(backend);
    },
    statuses: () =>
      backends.map((backend) => {
        const state = of(backend);
        const { failures, silentProbes, rejections, known, openUntil } = state;
        const isOpen = openUntil !== null || isSilent(state);
        const status = isOpen
          ? 'unavailable'
          : failures + silentProbes > 0
            ? 'failing'
            : known
              ? 'healthy'
              : 'unknown';
        return { name: backend.name, status, failuresInARow: failures, rejections };
      }),
    onRecovery: (listener) => {
      listeners.push(listener);
    },
  };
}
