/**
 * Slack, with tokens of the person and not of a bot: scopes go in `user_scope` with commas, the tokens stand in
 * `authed_user`, but after a refresh at the top. Errors come with status 200 and names of their own. Tokens expire only
 * where token rotation is switched on: after 12 hours, with refresh tokens for one use. `auth.revoke` ends an access
 * token. A user id is one within its workspace.
 * https://docs.slack.dev/authentication/installing-with-oauth
 * https://docs.slack.dev/authentication/using-token-rotation
 * https://docs.slack.dev/reference/methods/auth.revoke
 */
import { addressPattern, type ProviderPreset } from './preset.ts';

export const slack: ProviderPreset = {
  type: 'oauth2',
  parameters: {
    host: {
      description: 'the host of GovSlack',
      example: 'slack-gov.com',
      pattern: addressPattern,
      default: 'slack.com',
    },
  },
  block: {
    authorization_endpoint: 'https://{host}/oauth/v2/authorize',
    token_endpoint: 'https://{host}/api/oauth.v2.access',
    // By Basic the dot of a client id would be encoded (RFC 6749 appendix B), which nobody says that Slack decodes.
    token_endpoint_auth_method: 'client_secret_post',
    revocation_endpoint: 'https://{host}/api/auth.revoke',
    revocation_style: 'slack',
    scope_parameter: 'user_scope',
    scope_separator: ',',
    token_response_mapping: {
      access_token_path: 'authed_user.access_token',
      scope_path: 'authed_user.scope',
      refresh_token_path: 'authed_user.refresh_token',
      expires_in_path: 'authed_user.expires_in',
    },
    identity_from_token: { subject_path: ['team.id', 'authed_user.id'] },
    refresh_token_reuse: 'revokes',
  },
};
