/**
 * Atlassian Cloud (3LO): refresh tokens for one use with a leeway of 10 minutes, after which reuse ends them all; 90
 * days without use, and a year at most, which the provider does not say in any answer. A refresh token that is no good
 * is called `unauthorized_client`. There is no revocation endpoint.
 * https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
 * https://community.developer.atlassian.com/t/updated-31-january-2022-action-required-deprecating-persistent-refresh-tokens/54172
 */
import type { ProviderPreset } from './preset.ts';

export const atlassian: ProviderPreset = {
  type: 'oauth2',
  parameters: {},
  block: {
    authorization_endpoint: 'https://auth.atlassian.com/authorize',
    token_endpoint: 'https://auth.atlassian.com/oauth/token',
    token_endpoint_auth_method: 'client_secret_post',
    scopes: ['offline_access', 'read:me'],
    additional_authorization_params: { audience: 'api.atlassian.com', prompt: 'consent' },
    userinfo: {
      endpoint_url: 'https://api.atlassian.com/me',
      field_mapping: {
        subject_fields: ['account_id'],
        name_fields: ['name', 'nickname'],
        email_fields: ['email'],
      },
    },
    refresh_token_reuse: 'leeway 10m',
    refresh_token_lifetime: '2160h',
  },
};
