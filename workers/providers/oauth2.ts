/**
 * The kind `oauth2`: a provider without OpenID Connect (RFC 6749). Its endpoints are configured, and who the person is
 * comes from its userinfo resource or from the answer of the token endpoint. An ID token that it sends nevertheless is passed on unread.
 */
import * as client from 'openid-client';
import type { OAuth2ProviderSettings } from '../../schemas/config/provider-config.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { clientAuthenticationOf, createOAuthClient, extensionsOf } from './oauth-client.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { fetchUserInfo } from './user-info.ts';

export function createOAuth2Provider(
  settings: OAuth2ProviderSettings,
  dependencies: ProviderDependencies,
): Provider {
  const metadata: client.ServerMetadata = {
    // The library wants an issuer, also where there is none to compare anything with.
    issuer: settings.issuer ?? new URL(settings.authorizationEndpoint).origin,
    authorization_endpoint: settings.authorizationEndpoint,
    token_endpoint: settings.tokenEndpoint,
    ...(settings.revocationEndpoint === null ? {} : { revocation_endpoint: settings.revocationEndpoint }),
  };
  const authentication = clientAuthenticationOf(dependencies.clientSecret, settings.tokenEndpointAuthMethod);
  const oauth = createOAuthClient({
    ...dependencies,
    settings,
    idTokenExpected: false,
    async openConfiguration(fetch) {
      const configuration = new client.Configuration(metadata, settings.clientId, {}, authentication);
      for (const extend of extensionsOf(settings)) extend(configuration);
      configuration[client.customFetch] = (url, options) => fetch(url, options);
      return configuration;
    },
  });

  // The rules of the configuration (V-31) see to it that one of the two is there.
  const userInfo = settings.userInfo!;
  const subjectPlaces = settings.identityFromToken?.subjectPaths ?? userInfo.subjectFields;

  return {
    authorize: oauth.authorize,
    refresh: oauth.refresh,
    revoke: oauth.revoke,
    async readLogoutToken() {
      throw new RefusedError('invalid-request', 'a provider without OpenID Connect has no logout tokens');
    },

    async exchange({ leg, parameters }) {
      const { iss, ...rest } = parameters;
      const compared = settings.issuer === null || iss === undefined ? rest : { ...rest, iss };
      const { tokens, identity, registration } = await oauth.redeemCode({ leg, parameters: compared });
      try {
        const { subject, name, email } = identity ?? (await fetchUserInfo(userInfo, tokens, dependencies));
        if (subject === null)
          throw new RefusedError(
            'upstream-unavailable',
            `the provider's answer has no subject in ${subjectPlaces.join(', ')}`,
          );
        return { tokens, account: { subject, name, email }, registration };
      } catch (error) {
        oauth.discard(tokens);
        throw error;
      }
    },
  };
}
