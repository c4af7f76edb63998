/**
 * Okta, one organization: a refresh token comes with `offline_access`; where it is rotated, the old one works for 30
 * seconds unless the application says otherwise, and its reuse afterwards ends the new one too. The domain has the path
 * `/oauth2/<id>` of the authorization server, if it is not that of the organization.
 * https://developer.okta.com/docs/guides/refresh-tokens/main/
 */
import { addressPattern, type ProviderPreset } from './preset.ts';

export const okta: ProviderPreset = {
  type: 'oidc',
  parameters: {
    domain: {
      description: 'the domain of the organization',
      example: 'example.okta.com',
      pattern: addressPattern,
    },
  },
  block: {
    issuer_url: 'https://{domain}',
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    refresh_token_reuse: 'leeway 30s',
  },
};
