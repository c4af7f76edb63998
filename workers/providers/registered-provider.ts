/**
 * A provider with all its client registrations: people sign in with the current one, and a grant is refreshed and revoked
 * with the one that obtained it (a refresh token is bound to its client, RFC 6749 section 6). What none of them obtained is
 * `registration-gone`. Those that Latchkey made itself come with each request, for the vault keeps them; what is not there
 * now, but may be kept, is never called gone.
 */
import type {
  ClientCredentials,
  ClientProviderSettings,
  ProviderSettings,
} from '../../schemas/config/provider-config.ts';
import type { SecretReference } from '../../schemas/config/secret-reference.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { RefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration, RegisteredClient } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { createProvider } from './provider-kinds.ts';
import type { RegisteredClients } from './registered-clients.ts';

/** null: the vault keeps none under this registration; undefined: it was not asked. */
type GivenClient = RegisteredClient | null | undefined;
type WithClient<Request> = Request & { readonly client?: GivenClient };

export interface RegisteredProvider {
  authorize(request?: WithClient<object>): ReturnType<Provider['authorize']>;
  exchange(request: WithClient<Parameters<Provider['exchange']>[0]>): ReturnType<Provider['exchange']>;
  refresh(request: WithClient<Parameters<Provider['refresh']>[0]>): Promise<RefreshOutcome>;
  revoke(request: WithClient<Parameters<Provider['revoke']>[0]>): ReturnType<Provider['revoke']>;
  readonly readLogoutToken: Provider['readLogoutToken'];
}

export function createRegisteredProvider(
  settings: ProviderSettings,
  secretOf: (reference: SecretReference) => Secret | null,
  {
    registeredClients,
    onLost = () => {},
    ...dependencies
  }: Omit<ProviderDependencies, 'clientSecret' | 'generation' | 'onClientRefused'> & {
    registeredClients: RegisteredClients;
    /** The provider says that it does not know this client, which Latchkey registered. */
    onLost?: (registration: ClientRegistration) => void;
  },
): RegisteredProvider {
  const providerOf = ({ clientId, clientSecret }: ClientCredentials) =>
    createProvider(
      { ...withRevocationOf(clientId, settings), clientId, clientSecret },
      { ...dependencies, clientSecret: clientSecret && secretOf(clientSecret) },
    );
  const current = settings.clientId === null ? null : providerOf(settings);
  const previous = new Map(settings.previousClients.map((client) => [client.clientId, providerOf(client)]));

  function registered(client: RegisteredClient): { provider: Provider; isOver: boolean } {
    const { clientId, generation } = client;
    const { clientSecret, authMethod, secretExpiresAt } = registeredClients.open(client);
    const own: ClientProviderSettings = {
      ...withRevocationOf(clientId, settings),
      ...{ clientId, clientSecret: null, tokenEndpointAuthMethod: authMethod },
    };
    const registration = { clientId, generation };
    const provider = createProvider(own, {
      ...{ ...dependencies, clientSecret, generation },
      onClientRefused: () => onLost(registration),
    });
    return { provider, isOver: secretExpiresAt !== null && secretExpiresAt <= dependencies.now() };
  }

  /** null: it is gone. @throws RefusedError `unavailable` */
  function obtainedWith({ clientId, generation }: ClientRegistration, client: GivenClient) {
    if (generation === 0) {
      const provider = previous.get(clientId) ?? current;
      return provider && { provider, isOver: false };
    }
    if (client === undefined) throw notHere();
    return client && registered(client);
  }

  function signingIn(client: GivenClient): Provider {
    if (client) return registered(client).provider;
    if (current === null) throw notHere();
    return current;
  }

  return {
    async authorize({ client } = {}) {
      const { authorizationUrl, leg } = await signingIn(client).authorize();
      if (!client) return { authorizationUrl, leg };
      const { clientId, generation } = client;
      return { authorizationUrl, leg: { ...leg, registration: { clientId, generation } } };
    },

    async exchange({ client, ...request }) {
      if (request.leg.registration !== undefined && !client) throw notHere();
      return signingIn(client).exchange(request);
    },

    async refresh({ client, ...request }) {
      let found: ReturnType<typeof obtainedWith>;
      try {
        found = obtainedWith(request.registration, client);
      } catch (error) {
        dependencies.log.warn({ error }, 'a grant cannot be refreshed with the client that obtained it');
        return { status: 'failed', reason: 'provider-unavailable', retryAfterSeconds: null };
      }
      const gone: RefreshOutcome = { status: 'failed', reason: 'registration-gone', retryAfterSeconds: null };
      if (found === null) return gone;
      const outcome = await found.provider.refresh(request);
      const refused = outcome.status === 'failed' && outcome.reason === 'provider-configuration';
      // A secret that has expired comes back by no hand of an operator.
      return refused && found.isOver ? gone : outcome;
    },

    async revoke({ client, ...request }) {
      const found = obtainedWith(request.registration, client);
      return found === null ? { revoked: false } : found.provider.revoke(request);
    },

    async readLogoutToken(logoutToken) {
      if (current === null)
        throw new RefusedError('invalid-request', 'a provider without OpenID Connect has no logout tokens');
      return current.readLogoutToken(logoutToken);
    },
  };
}

function notHere(): RefusedError {
  return new RefusedError('unavailable', 'the client that Latchkey registered at this provider is not here');
}

/** GitHub's address for revocation has the client in it. */
function withRevocationOf<Settings extends ProviderSettings>(clientId: string, settings: Settings): Settings {
  if (settings.type !== 'oauth2' || settings.revocationStyle !== 'github' || settings.clientId === null)
    return settings;
  const [current, own] = [settings.clientId, clientId].map((id) => `/${encodeURIComponent(id)}/`);
  return {
    ...settings,
    revocationEndpoint: settings.revocationEndpoint?.replace(current!, () => own!) ?? null,
  };
}
