/**
 * GitLab, its own or a self-managed one: access tokens of 2 hours, refresh tokens for one use. A refresh ends the old
 * access token as well.
 * https://docs.gitlab.com/api/oauth2/
 * https://gitlab.com/gitlab-org/gitlab/-/issues/372358
 */
import { addressPattern, type ProviderPreset } from './preset.ts';

export const gitlab: ProviderPreset = {
  type: 'oauth2',
  parameters: {
    host: {
      description: 'the host of a self-managed GitLab',
      example: 'gitlab.example.com',
      pattern: addressPattern,
      default: 'gitlab.com',
    },
  },
  block: {
    authorization_endpoint: 'https://{host}/oauth/authorize',
    token_endpoint: 'https://{host}/oauth/token',
    token_endpoint_auth_method: 'client_secret_post',
    revocation_endpoint: 'https://{host}/oauth/revoke',
    scopes: ['read_user'],
    userinfo: {
      endpoint_url: 'https://{host}/api/v4/user',
      field_mapping: { subject_fields: ['id'], name_fields: ['name', 'username'], email_fields: ['email'] },
    },
    refresh_token_reuse: 'revokes',
  },
};
