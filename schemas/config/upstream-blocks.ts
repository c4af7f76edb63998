/**
 * What an upstream provider's block may hold: ToolHive's `oidc_config` and `oauth2_config` (RFC 0053) in its
 * snake_case. Latchkey's own are `previous_clients`, `issuer`, `revocation_endpoint`, `revocation_style`, `token_endpoint_auth_method`,
 * `scope_parameter`, `scope_separator`, `refresh_token_reuse`, `refresh_token_lifetime`, and lists where ToolHive
 * takes one claim or path of the subject. In place of `client_id` an OAuth 2.0 provider may have ToolHive's `dcr_config`.
 */
import * as z from 'zod';
import { environmentVariable, filePath, httpUrl, lifespan, scopes, text } from './fields.ts';
import { refreshTokenReuseSchema } from './refresh-token-reuse.ts';

const fields = (description: string, example: string) =>
  z
    .array(z.string().min(1, { error: 'must not be empty' }))
    .min(1, { error: 'needs at least one field' })
    .meta({ description, examples: [example] })
    .optional();

const userInfoSchema = z
  .strictObject({
    endpoint_url: httpUrl(
      'Where the person can be looked up with the access token',
      'https://gitlab.example.com/api/v4/user',
    ),
    http_method: z
      .enum(['GET', 'POST'])
      .meta({ description: 'How it is asked', examples: ['GET'] })
      .default('GET'),
    additional_headers: z
      .record(z.string(), z.string())
      .meta({
        description: 'Further request headers, none of them secret',
        examples: ['{Accept: application/json}'],
      })
      .optional(),
    field_mapping: z
      .strictObject({
        subject_fields: fields('The fields that tell who the person is', '[id]'),
        name_fields: fields("The fields for the person's name", '[name, username]'),
        email_fields: fields("The fields for the person's e-mail address", '[email]'),
      })
      .meta({
        description: 'Which fields say who the person is; the first that is not empty',
        examples: ['{subject_fields: [id]}'],
      })
      .optional(),
  })
  .meta({
    description: 'Where the provider says who the person is, and in which fields',
    examples: [
      '{endpoint_url: https://gitlab.example.com/api/v4/user, field_mapping: {subject_fields: [id]}}',
    ],
  });

const namePattern = /^[A-Za-z_][\w-]*$/;
const name = z.string().regex(namePattern, { error: 'must be the name of a field' });
const path = z.string().regex(/^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$/, {
  error: 'must be names of fields with dots between them; modifiers such as @upstreamjwt are not supported',
});
const fieldPath = (description: string, example: string) => path.meta({ description, examples: [example] });

/** One, or several that tell a person apart together. */
const oneOrMore = (one: z.ZodString, description: string, example: string) =>
  z
    .union([one, z.array(one).min(1, { error: 'needs at least one field' })], {
      error: 'must be the name of a field, or a list of such names',
    })
    .meta({ description, examples: [example] });

const tokenResponseMappingSchema = z
  .strictObject({
    access_token_path: fieldPath('Where the access token stands in the answer', 'authed_user.access_token'),
    scope_path: fieldPath('Where the scope stands', 'authed_user.scope').optional(),
    refresh_token_path: fieldPath('Where the refresh token stands', 'authed_user.refresh_token').optional(),
    expires_in_path: fieldPath('Where the lifetime stands', 'authed_user.expires_in').optional(),
  })
  .meta({
    description: 'Where the answer of the token endpoint has what RFC 6749 section 5.1 has at its top',
    examples: ['{access_token_path: authed_user.access_token, scope_path: authed_user.scope}'],
  });

const identityFromTokenSchema = z
  .strictObject({
    subject_path: oneOrMore(path, 'Where the answer says who the person is', 'authed_user.id'),
    name_path: fieldPath("Where the person's name stands", 'authed_user.name').optional(),
    email_path: fieldPath("Where the person's e-mail address stands", 'authed_user.email').optional(),
  })
  .meta({
    description: 'Who the person is by the answer of the token endpoint, instead of `userinfo`',
    examples: ['{subject_path: authed_user.id}'],
  });

const credentialFields = {
  client_id: text('The client id that the provider gave to Latchkey', 'latchkey'),
  client_secret_env_var: environmentVariable(
    'The environment variable of the provider worker that holds the client secret',
    'GITLAB_CLIENT_SECRET',
  ).optional(),
  client_secret_file: filePath(
    'The file that holds the client secret',
    '/run/secrets/gitlab-client-secret',
  ).optional(),
};

const clientFields = {
  ...credentialFields,
  previous_clients: z
    .array(
      z
        .strictObject(credentialFields)
        .meta({ description: 'One registration', examples: ['{client_id: latchkey-2025}'] }),
    )
    .meta({
      description: 'Registrations that still exist at the provider, for the grants that they obtained',
      examples: ['[{client_id: latchkey-2025, client_secret_file: /run/secrets/gitlab-2025}]'],
    })
    .optional(),
  token_endpoint_auth_method: z
    .enum(['client_secret_basic', 'client_secret_post'])
    .meta({
      description: 'How the client secret is sent (RFC 6749 section 2.3.1)',
      examples: ['client_secret_post'],
    })
    .optional(),
  redirect_uri: httpUrl(
    'Where the provider sends the browser back to, if not <issuer>/oauth/callback/<name>',
    'https://mcp.example.com/oauth/callback/gitlab',
  ).optional(),
  additional_authorization_params: z
    .record(z.string(), z.string())
    .meta({
      description: 'Further parameters of the authorization request',
      examples: ['{access_type: offline}'],
    })
    .optional(),
  refresh_token_reuse: refreshTokenReuseSchema
    .meta({
      description: 'What the provider does when a refresh token is sent again',
      examples: ['leeway 30s'],
    })
    .optional(),
  refresh_token_lifetime: lifespan(
    'How long a refresh token lives after its last use, where the provider does not say',
    '2160h',
  ).optional(),
  allow_private_ips: z
    .boolean()
    .meta({ description: 'The provider is in a private network', examples: ['true'] })
    .default(false),
};

const registrationSchema = z
  .strictObject({
    discovery_url: httpUrl(
      'The metadata document that names the `registration_endpoint` (RFC 8414)',
      'https://gitlab.example.com/.well-known/oauth-authorization-server',
    ).optional(),
    registration_endpoint: httpUrl(
      'The endpoint itself, in place of `discovery_url`',
      'https://gitlab.example.com/oauth/register',
    ).optional(),
    initial_access_token_env_var: environmentVariable(
      'The environment variable of the provider worker that holds the initial access token, if the provider wants one',
      'GITLAB_REGISTRATION_TOKEN',
    ).optional(),
    initial_access_token_file: filePath(
      'The file that holds the initial access token',
      '/run/secrets/gitlab-registration-token',
    ).optional(),
    software_id: text('What names this software at the provider', 'latchkey').optional(),
    software_statement: text(
      'What somebody whom the provider trusts has signed about this software, a JWT',
      'eyJhbGciOiJFUzI1NiJ9.eyJzb2Z0d2FyZV9pZCI6ImxhdGNoa2V5In0.c2lnbmF0dXJl',
    ).optional(),
  })
  .meta({
    description: 'Latchkey registers itself at the provider (RFC 7591), in place of `client_id`',
    examples: ['{discovery_url: https://gitlab.example.com/.well-known/oauth-authorization-server}'],
  });
export type Registration = z.infer<typeof registrationSchema>;

export const oidcUpstreamSchema = z
  .strictObject({
    issuer_url: httpUrl('The issuer whose discovery document tells the endpoints', 'https://sso.example.com'),
    ...clientFields,
    scopes: scopes(
      'What is asked of the provider; openid is one of them',
      '[openid, profile, email, offline_access]',
    ).default(['openid', 'offline_access']),
    subject_claim: oneOrMore(name, 'The claims of the ID token that say who the person is', 'oid').optional(),
    userinfo_override: userInfoSchema.optional(),
  })
  .meta({
    description: 'The provider, if its type is `oidc`',
    examples: ['{issuer_url: https://sso.example.com, client_id: latchkey}'],
  });
export type OidcBlock = z.input<typeof oidcUpstreamSchema>;

export const oauth2UpstreamSchema = z
  .strictObject({
    authorization_endpoint: httpUrl(
      'Where the person signs in',
      'https://gitlab.example.com/oauth/authorize',
    ),
    token_endpoint: httpUrl(
      'Where codes and refresh tokens are redeemed',
      'https://gitlab.example.com/oauth/token',
    ),
    issuer: httpUrl(
      'What the provider calls itself in `iss` (RFC 9207); an answer in another name is refused',
      'https://gitlab.example.com',
    ).optional(),
    revocation_endpoint: httpUrl(
      'Where tokens are revoked (RFC 7009)',
      'https://gitlab.example.com/oauth/revoke',
    ).optional(),
    revocation_style: z
      .enum(['rfc7009', 'github', 'slack'])
      .meta({ description: 'How tokens are revoked there', examples: ['rfc7009'] })
      .default('rfc7009'),
    ...clientFields,
    client_id: credentialFields.client_id.optional(),
    dcr_config: registrationSchema.optional(),
    scopes: scopes('What is asked of the provider', '[read_user]').default([]),
    scope_parameter: name
      .meta({ description: 'The parameter in which the scopes are sent', examples: ['user_scope'] })
      .default('scope'),
    scope_separator: z
      .enum([' ', ','])
      .meta({ description: 'What stands between two scopes, if not a space', examples: ["','"] })
      .default(' '),
    userinfo: userInfoSchema.optional(),
    token_response_mapping: tokenResponseMappingSchema.optional(),
    identity_from_token: identityFromTokenSchema.optional(),
  })
  .meta({
    description: 'The provider, if its type is `oauth2`',
    examples: [
      '{authorization_endpoint: https://gitlab.example.com/oauth/authorize, token_endpoint: https://gitlab.example.com/oauth/token, client_id: latchkey, userinfo: {endpoint_url: https://gitlab.example.com/api/v4/user}}',
    ],
  });
export type OAuth2Block = z.input<typeof oauth2UpstreamSchema>;
export type TokenResponseMapping = z.infer<typeof tokenResponseMappingSchema>;
export type IdentityFromToken = z.infer<typeof identityFromTokenSchema>;
export type UserInfo = z.infer<typeof userInfoSchema>;
