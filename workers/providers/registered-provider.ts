/**
 * A provider with all its client registrations: people sign in with the current one, and a grant is refreshed and revoked
 * with the one that obtained it (a refresh token is bound to its client, RFC 6749 section 6). What none of them obtained is
 * `registration-gone`.
 */
import type { ClientCredentials, ProviderSettings } from '../../schemas/config/provider-config.ts';
import type { SecretReference } from '../../schemas/config/secret-reference.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { createProvider } from './provider-kinds.ts';

export function createRegisteredProvider(
  settings: ProviderSettings,
  secretOf: (reference: SecretReference) => Secret | null,
  dependencies: Omit<ProviderDependencies, 'clientSecret'>,
): Provider {
  const providerOf = ({ clientId, clientSecret }: ClientCredentials) =>
    createProvider(
      { ...withRevocationOf(clientId, settings), clientId, clientSecret },
      { ...dependencies, clientSecret: clientSecret && secretOf(clientSecret) },
    );
  const current = providerOf(settings);
  const previous = new Map(settings.previousClients.map((client) => [client.clientId, providerOf(client)]));
  const obtainedWith = ({ clientId }: ClientRegistration) => previous.get(clientId) ?? current;
  return {
    authorize: current.authorize,
    exchange: current.exchange,
    refresh: (request) => obtainedWith(request.registration).refresh(request),
    readLogoutToken: current.readLogoutToken,
    revoke: (request) => obtainedWith(request.registration).revoke(request),
  };
}

/** GitHub's address for revocation has the client in it. */
function withRevocationOf(clientId: string, settings: ProviderSettings): ProviderSettings {
  if (settings.type !== 'oauth2' || settings.revocationStyle !== 'github') return settings;
  const [current, own] = [settings.clientId, clientId].map((id) => `/${encodeURIComponent(id)}/`);
  return {
    ...settings,
    revocationEndpoint: settings.revocationEndpoint?.replace(current!, () => own!) ?? null,
  };
}
