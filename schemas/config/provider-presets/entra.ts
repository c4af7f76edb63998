/**
 * Microsoft Entra ID, one tenant: `sub` is another for each application, so a person is known by tenant and object id.
 * Refresh tokens live 90 days, each use gives a new one, and the old one works on. There is no revocation endpoint. The
 * tenant is its id, for the issuer has it and the endpoints for several tenants let anyone in.
 * https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens
 * https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference
 */
import { addressPattern, guidPattern, type ProviderPreset } from './preset.ts';

export const entra: ProviderPreset = {
  type: 'oidc',
  parameters: {
    tenant: {
      description: 'the id of the directory (tenant)',
      example: '72f988bf-86f1-41af-91ab-2d7cd011db47',
      pattern: guidPattern,
    },
    host: {
      description: 'the host of a national cloud',
      example: 'login.microsoftonline.us',
      pattern: addressPattern,
      default: 'login.microsoftonline.com',
    },
  },
  block: {
    issuer_url: 'https://{host}/{tenant}/v2.0',
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    token_endpoint_auth_method: 'client_secret_post',
    subject_claim: ['tid', 'oid'],
    refresh_token_reuse: 'tolerant',
    refresh_token_lifetime: '2160h',
  },
};
