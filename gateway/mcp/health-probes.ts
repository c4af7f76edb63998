/**
 * Asks each backend now and then whether it is there, as nobody: no person's token is used, and a backend that wants
 * one (401, 403) is there. One that rejects although it wants no person's token is there too, and that is counted. After so
 * many silent probes a backend is left alone until one is answered.
 */
import { type Backend, BackendRejectedError } from './backend.ts';
import type { BackendConnector } from './backend-connection.ts';
import { BackendHttpError } from './backend-exchange.ts';
import type { BackendHealth, ProbeOutcome } from './backend-health.ts';
import { JsonRpcError } from './json-rpc.ts';

export interface ProbeSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface HealthProbes extends Disposable {
  /** One round; resolves when all have answered or were given up. */
  probe(): Promise<void>;
}

export function createHealthProbes(options: {
  backends: readonly Backend[];
  connector: BackendConnector;
  health: BackendHealth;
  gateway: { readonly name: string; readonly version: string };
  settings: ProbeSettings;
  /** Told of each backend that is there. */
  onAnswer: (backend: Backend) => void;
}): HealthProbes {
  const { backends, connector, health, gateway, settings, onAnswer } = options;
  const client = { info: { ...gateway }, capabilities: {} };
  let running: Promise<void> | null = null;

  async function outcomeFor(backend: Backend): Promise<ProbeOutcome> {
    const brief = { ...backend, timeoutMs: Math.min(backend.timeoutMs, settings.timeoutMs) };
    try {
      const credentials = { headers: backend.strategy.forNobody(), sign: null };
      const connection = await connector.open(brief, client, credentials);
      await connection.close();
      return 'answered';
    } catch (error) {
      if (error instanceof BackendRejectedError)
        return backend.strategy.providers.length === 0 ? 'rejected' : 'answered';
      const isThere =
        error instanceof JsonRpcError || (error instanceof BackendHttpError && error.status < 500);
      return isThere ? 'answered' : 'silent';
    }
  }

  async function probeAll(): Promise<void> {
    await Promise.all(
      backends.map(async (backend) => {
        const outcome = await outcomeFor(backend);
        health.probed(backend, outcome);
        if (outcome !== 'silent') onAnswer(backend);
      }),
    );
  }

  const probe = (): Promise<void> => {
    // A round that is not over yet is not begun again.
    running ??= probeAll().finally(() => {
      running = null;
    });
    return running;
  };
  const timer = setInterval(() => {
    probe().catch(() => {});
  }, settings.intervalMs);
  timer.unref();

  return { probe, [Symbol.dispose]: () => clearInterval(timer) };
}
