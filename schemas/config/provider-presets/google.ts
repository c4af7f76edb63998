/**
 * Google: a refresh token comes only with `access_type=offline`, and only when the person is asked for consent, hence
 * `prompt=consent`. It is never rotated and ends after six months without use. `offline_access` is no scope here.
 * https://developers.google.com/identity/protocols/oauth2/web-server#offline
 * https://developers.google.com/identity/protocols/oauth2#expiration
 */
import type { ProviderPreset } from './preset.ts';

export const google: ProviderPreset = {
  type: 'oidc',
  parameters: {},
  block: {
    issuer_url: 'https://accounts.google.com',
    scopes: ['openid', 'profile', 'email'],
    additional_authorization_params: { access_type: 'offline', prompt: 'consent' },
    refresh_token_reuse: 'tolerant',
    refresh_token_lifetime: '4320h',
  },
};
