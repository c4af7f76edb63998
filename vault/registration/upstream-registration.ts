/** Where and how Latchkey registers itself, put together: the records, the requests that need them, and the background. */
import type { AuthStore } from '../authorization/auth-store.ts';
import { createClientRegistrations, type ProviderRegistrar } from './client-registrations.ts';
import { createRegisteredRequests, type RegisteredRequests } from './registered-requests.ts';
import { startRegistering } from './registering.ts';

export interface UpstreamRegistration<Requests> extends Disposable {
  /** The same, each with the client that it needs. */
  readonly requests: Requests;
  /** Of these providers, those that refuse to register Latchkey until an operator mends something. */
  findRefused(): Promise<string[]>;
}

export function startUpstreamRegistration<Requests extends RegisteredRequests>({
  store,
  providers,
  registrations: given,
  now,
  onProblem,
}: {
  store: AuthStore;
  providers: Requests;
  /** undefined: nothing was ever registered. */
  registrations: { readonly at: readonly string[]; readonly registrar: ProviderRegistrar } | undefined;
  now: () => number;
  onProblem: (error: unknown) => void;
}): UpstreamRegistration<Requests> {
  if (given === undefined) return { requests: providers, findRefused: async () => [], [Symbol.dispose]() {} };
  const { at, registrar } = given;
  const registrations = createClientRegistrations({ ...{ store, now, onProblem }, providers: registrar });
  const registers = (provider: string) => at.includes(provider);
  const background = startRegistering({ providers: at, ...{ registrations, onProblem } });
  return {
    requests: {
      ...providers,
      ...createRegisteredRequests({ ...{ providers, registrations, registers, onProblem } }),
    },
    async findRefused() {
      const refused = await Promise.all(at.map((provider) => registrations.isRefused(provider)));
      return at.filter((_, index) => refused[index]);
    },
    [Symbol.dispose]: () => background[Symbol.dispose](),
  };
}
