/**
 * Registers Latchkey at its providers in the background, so that the first sign-in need not wait for it, and again in time
 * before a secret expires. What does not succeed is tried again; the record says how often a provider is really asked.
 */
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import type { ClientRegistrations } from './client-registrations.ts';

const isBusError = (error: unknown) =>
  [RefusedError, NoRespondersError, DeadlineExceededError].some((kind) => error instanceof kind);

const retryMs = 15_000;
const checkMs = 3_600_000;

export function startRegistering({
  providers,
  registrations,
  onProblem,
}: {
  providers: readonly string[];
  registrations: Pick<ClientRegistrations, 'current'>;
  onProblem: (error: unknown) => void;
}): Disposable {
  const timers = new Map<string, NodeJS.Timeout>();
  let ended = false;

  async function ensure(provider: string): Promise<void> {
    let nextMs = checkMs;
    try {
      await registrations.current(provider);
    } catch (error) {
      nextMs = retryMs;
      // A worker that is away is told of elsewhere, and a provider that refuses by the worker that asked it.
      if (!isBusError(error)) onProblem(error);
    }
    if (!ended) timers.set(provider, setTimeout(() => void ensure(provider), nextMs).unref());
  }

  for (const provider of providers) void ensure(provider);
  return {
    [Symbol.dispose]() {
      ended = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
