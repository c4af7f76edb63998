/**
 * GitHub: OAuth Apps, whose tokens do not expire and have no refresh token, and GitHub Apps, whose user tokens live 8
 * hours and have refresh tokens for one use, with `refresh_token_expires_in`. Errors come with status 200, answers
 * as a form unless JSON is asked for, and scopes with commas. An access token is revoked by `DELETE`, a refresh token
 * not at all.
 * https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
 * https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
 * https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-token
 */
import { addressPattern, type ProviderPreset } from './preset.ts';

export const github: ProviderPreset = {
  type: 'oauth2',
  parameters: {
    host: {
      description: 'the host of GitHub Enterprise',
      example: 'github.example.com',
      pattern: addressPattern,
      default: 'github.com',
      givenWith: 'api',
    },
    api: {
      description: 'where its REST API lies',
      example: 'github.example.com/api/v3',
      pattern: addressPattern,
      default: 'api.github.com',
      givenWith: 'host',
    },
  },
  block: {
    authorization_endpoint: 'https://{host}/login/oauth/authorize',
    token_endpoint: 'https://{host}/login/oauth/access_token',
    token_endpoint_auth_method: 'client_secret_post',
    revocation_endpoint: 'https://{api}/applications/{client_id}/token',
    revocation_style: 'github',
    // As GitHub's own library writes them (octokit/oauth-authorization-url).
    scope_separator: ',',
    userinfo: {
      endpoint_url: 'https://{api}/user',
      additional_headers: { accept: 'application/vnd.github+json' },
      field_mapping: { subject_fields: ['id'], name_fields: ['name', 'login'], email_fields: ['email'] },
    },
    refresh_token_reuse: 'revokes',
  },
};
