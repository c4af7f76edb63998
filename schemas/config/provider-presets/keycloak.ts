/**
 * Keycloak, one realm: `refresh_expires_in` says when the refresh token ends, 0 that it does not. Reuse is a setting of
 * the realm ("Revoke Refresh Token"), so it is taken for the strictest; write `refresh_token_reuse: tolerant` where
 * that is off.
 * https://www.keycloak.org/docs/latest/server_admin/#_timeouts
 * https://www.keycloak.org/securing-apps/oidc-layers
 */
import { addressPattern, type ProviderPreset, pathSegmentPattern } from './preset.ts';

export const keycloak: ProviderPreset = {
  type: 'oidc',
  parameters: {
    host: {
      description: 'the host of Keycloak, with its path if it has one',
      example: 'sso.example.com',
      pattern: addressPattern,
    },
    realm: { description: 'the name of the realm', example: 'engineering', pattern: pathSegmentPattern },
  },
  block: {
    issuer_url: 'https://{host}/realms/{realm}',
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    refresh_token_reuse: 'revokes',
  },
};
