/**
 * Sends with each request to a provider worker the client that it needs, if Latchkey registered that itself: for a new
 * sign-in the current one, else the one with which a sign-in was begun or a grant was obtained.
 */
import { NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { holdFor, pending } from '../../schemas/held-answers.ts';
import type { ClientRegistration, RegisteredClient } from '../../schemas/provider.ts';
import type { ProviderSignIns } from '../authorization/sign-in.ts';
import type { ProviderRefreshes } from '../refresh/refresher.ts';
import type { ClientRegistrations } from './client-registrations.ts';

const otherWorkers = 3;
/** A little longer than one request to the provider. */
const patienceMs = 12_000;

export type RegisteredRequests = ProviderSignIns & Pick<ProviderRefreshes, 'start'>;

export function createRegisteredRequests({
  providers,
  registrations,
  registers,
  onProblem,
}: {
  providers: RegisteredRequests;
  registrations: Pick<ClientRegistrations, 'current' | 'find'>;
  /** Latchkey registers itself there. */
  registers: (provider: string) => boolean;
  onProblem: (error: unknown) => void;
}): RegisteredRequests {
  /** undefined: it is configured, or was not written down. */
  async function clientOf(
    provider: string,
    registration: ClientRegistration | undefined,
  ): Promise<RegisteredClient | null | undefined> {
    if (registration === undefined || registration.generation === 0) return undefined;
    return registrations.find(provider, registration);
  }

  /** A registration that takes longer goes on, and is there for the next sign-in. */
  async function currentSoon(provider: string) {
    const current = registrations.current(provider);
    const held = await holdFor(current, patienceMs);
    if (held !== pending) return held;
    current.catch(onProblem);
    throw new RefusedError('upstream-unavailable', `registering Latchkey at ${provider} takes its time`);
  }

  return {
    async authorize(provider) {
      if (!registers(provider)) return providers.authorize(provider);
      for (let attempt = 1; ; attempt++)
        try {
          return await providers.authorize(provider, await currentSoon(provider));
        } catch (error) {
          // The worker that was found is gone, and has seen nothing.
          if (!(error instanceof NoRespondersError) || attempt === otherWorkers) throw error;
        }
    },
    async exchange(provider, leg, parameters) {
      return providers.exchange(provider, leg, parameters, await clientOf(provider, leg.registration));
    },
    async revoke(provider, tokens, registration) {
      await providers.revoke(provider, tokens, registration, await clientOf(provider, registration));
    },
    async start(order) {
      const { provider, registration } = order.grant;
      let client: RegisteredClient | null | undefined;
      try {
        client = await clientOf(provider, registration);
      } catch (error) {
        onProblem(error);
        return 'not-sent';
      }
      return providers.start(order, client);
    },
  };
}
