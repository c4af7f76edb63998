/**
 * The embedded authorization server: ToolHive's `RunConfig` (RFC 0052 and 0053) in its snake_case, as
 * `authServer.runConfig` in the main file or alone in `authserver-config.yaml` beside it. `login_policy` and
 * `revocation_endpoint` are Latchkey's own.
 */
import * as z from 'zod';
import { environmentVariable, filePath, httpUrl, lifespan, scopes, text } from './fields.ts';

const userInfoSchema = z.strictObject({
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
      subject_fields: z.array(text('A field', 'id')).min(1).optional(),
      name_fields: z.array(text('A field', 'name')).min(1).optional(),
      email_fields: z.array(text('A field', 'email')).min(1).optional(),
    })
    .meta({
      description: 'Which fields say who the person is; the first that is not empty',
      examples: ['{subject_fields: [id]}'],
    })
    .optional(),
});

const clientFields = {
  client_id: text('The client id that the provider gave to Latchkey', 'latchkey'),
  client_secret_env_var: environmentVariable(
    'The environment variable of the provider worker that holds the client secret',
    'GITLAB_CLIENT_SECRET',
  ).optional(),
  client_secret_file: filePath(
    'The file that holds the client secret',
    '/run/secrets/gitlab-client-secret',
  ).optional(),
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
  allow_private_ips: z
    .boolean()
    .meta({ description: 'The provider is in a private network', examples: ['true'] })
    .default(false),
};

const oidcUpstreamSchema = z.strictObject({
  issuer_url: httpUrl('The issuer whose discovery document tells the endpoints', 'https://sso.example.com'),
  ...clientFields,
  scopes: scopes(
    'What is asked of the provider; openid is one of them',
    '[openid, profile, email, offline_access]',
  ).default(['openid', 'offline_access']),
  userinfo_override: userInfoSchema.optional(),
});

const oauth2UpstreamSchema = z.strictObject({
  authorization_endpoint: httpUrl('Where the person signs in', 'https://gitlab.example.com/oauth/authorize'),
  token_endpoint: httpUrl(
    'Where codes and refresh tokens are redeemed',
    'https://gitlab.example.com/oauth/token',
  ),
  revocation_endpoint: httpUrl(
    'Where tokens are revoked (RFC 7009)',
    'https://gitlab.example.com/oauth/revoke',
  ).optional(),
  ...clientFields,
  scopes: scopes('What is asked of the provider', '[read_user]').default([]),
  userinfo: userInfoSchema.optional(),
});

const upstreamSchema = z.strictObject({
  name: text('Names the provider in strategies, paths and pages', 'gitlab').optional(),
  type: z.enum(['oidc', 'oauth2']).meta({ description: 'The kind of provider', examples: ['oidc'] }),
  login_policy: z
    .enum(['required'])
    .meta({ description: 'Whether signing in needs this provider', examples: ['required'] })
    .default('required'),
  oidc_config: oidcUpstreamSchema.optional(),
  oauth2_config: oauth2UpstreamSchema.optional(),
});

export const runConfigSchema = z.strictObject({
  schema_version: z
    .enum(['v0.1.0'])
    .meta({ description: "ToolHive's version of this part", examples: ['v0.1.0'] })
    .optional(),
  issuer: httpUrl('The public address of Latchkey: the iss of its tokens', 'https://mcp.example.com'),
  upstreams: z
    .array(upstreamSchema)
    .min(1, { error: 'needs at least one provider' })
    .meta({
      description: 'The providers that sign a person in, in this order',
      examples: ['a list of providers'],
    }),
  allowed_audiences: z
    .array(httpUrl('The address of the MCP endpoint', 'https://mcp.example.com/mcp'))
    .min(1, { error: 'needs at least the address of the MCP endpoint' })
    .meta({
      description: 'The resources (RFC 8707) for which tokens are issued',
      examples: ['[https://mcp.example.com/mcp]'],
    }),
  token_lifespans: z
    .strictObject({
      access_token_lifespan: lifespan('How long an access token of Latchkey is valid', '10m').default('10m'),
      refresh_token_lifespan: lifespan('How long a refresh token of Latchkey is valid', '168h').default(
        '168h',
      ),
      auth_code_lifespan: lifespan('How long an authorization code of Latchkey is valid', '1m').default('1m'),
    })
    .prefault({}),
});
type RunConfig = z.infer<typeof runConfigSchema>;
export type Upstream = RunConfig['upstreams'][number];
export type UserInfo = z.infer<typeof userInfoSchema>;

/** ToolHive gives a lone provider without a name this one. */
export const loneUpstreamName = 'default';
