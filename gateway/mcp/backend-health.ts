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

/**
 * A stream on which a backend may be silent for ever tries a half open circuit as well, and keeps no request from trying
 * it; that it ends says nothing about the backend.
 */
export type ExchangeKind = 'request' | 'stream';

export interface BackendHealth {
  /** @throws BackendUnavailableError */
  admit(backend: Backend, kind: ExchangeKind): void;
  succeeded(backend: Backend): void;
  failed(backend: Backend): void;
  rejected(backend: Backend): void;
  /** The exchange ended in a way that says nothing about the backend. */
  abandoned(backend: Backend, kind: ExchangeKind): void;
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
  /** The exchange under way that decides. */
  trial: Trial | null;
}

interface Trial {
  readonly kind: ExchangeKind;
  /** On the given clock: by then a backend that is silent has failed, and one that speaks need not be waited for. */
  readonly until: number;
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
      { failures: 0, silentProbes: 0, rejections: 0, known: false, openUntil: null, trial: null },
    ]),
  );
  const of = ({ name }: Backend): Circuit => circuits.get(name)!;

  const mayTry = ({ openUntil, trial }: Circuit, kind: ExchangeKind): boolean => {
    if (openUntil === null) return true;
    if (elapsed() < openUntil) return false;
    return trial === null || elapsed() >= trial.until || (trial.kind === 'stream' && kind === 'request');
  };
  const isAdmitted = (backend: Backend, kind: ExchangeKind): boolean => {
    const state = of(backend);
    return !isSilent(state) && mayTry(state, kind);
  };
  const isSilent = ({ silentProbes }: Circuit): boolean => silentProbes >= unhealthyThreshold;
  const tellRecovery = (backend: Backend): void => {
    for (const listener of listeners) listener(backend);
  };

  function answered(backend: Backend): void {
    const state = of(backend);
    const recovered = state.openUntil !== null || isSilent(state);
    Object.assign(state, { failures: 0, silentProbes: 0, known: true, openUntil: null, trial: null });
    if (recovered) tellRecovery(backend);
  }

  return {
    isAvailable: (backend) => isAdmitted(backend, 'request'),
    admit(backend, kind) {
      const state = of(backend);
      if (!isAdmitted(backend, kind)) {
        const leftMs = isSilent(state) ? silentPauseMs : (state.openUntil ?? 0) - elapsed();
        throw new BackendUnavailableError(Math.max(1, Math.ceil(leftMs / 1000)));
      }
      if (state.openUntil !== null) state.trial = { kind, until: elapsed() + backend.timeoutMs };
    },
    succeeded: answered,
    rejected(backend) {
      of(backend).rejections += 1;
      answered(backend);
    },
    abandoned(backend, kind) {
      const state = of(backend);
      if (state.trial?.kind === kind) state.trial = null;
    },
    failed(backend) {
      const state = of(backend);
      state.failures += 1;
      state.known = true;
      state.trial = null;
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
