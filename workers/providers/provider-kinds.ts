/** Which plug-in serves which kind of provider. A new kind is one file and one line here. */
import type { ClientProviderSettings } from '../../schemas/config/provider-config.ts';
import { createOAuth2Provider } from './oauth2.ts';
import { createOidcProvider } from './oidc.ts';
import type { Provider, ProviderDependencies } from './provider.ts';

export function createProvider(
  settings: ClientProviderSettings,
  dependencies: ProviderDependencies,
): Provider {
  switch (settings.type) {
    case 'oidc':
      return createOidcProvider(settings, dependencies);
    case 'oauth2':
      return createOAuth2Provider(settings, dependencies);
    default:
      return settings satisfies never;
  }
}
