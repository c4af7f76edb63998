/**
 * The embedded authorization server: ToolHive's `RunConfig` (RFC 0052 and 0053) in its snake_case, as
 * `authServer.runConfig` in the main file or alone in `authserver-config.yaml` beside it. `login_policy`, `preset`,
 * `preset_parameters`, `session_lifespan` and `redirect_uri_schemes` are Latchkey's own.
 */
import * as z from 'zod';
import { schemePattern } from '../redirect-uri.ts';
import { environmentVariable, filePath, httpUrl, lifespan, text, uri } from './fields.ts';
import { presetNames } from './provider-presets/provider-presets.ts';
import { oauth2UpstreamSchema, oidcUpstreamSchema } from './upstream-blocks.ts';

const providerFields = {
  name: text('Names the provider in strategies, paths and pages', 'gitlab').optional(),
  type: z
    .enum(['oidc', 'oauth2'])
    .meta({ description: 'The kind of provider; a preset says it', examples: ['oidc'] }),
  preset: z
    .enum(presetNames)
    .meta({
      description: 'A well-known provider, which says its type and what its block has unless written',
      examples: ['github'],
    })
    .optional(),
  preset_parameters: z
    .record(z.string(), z.string())
    .meta({ description: 'What the preset must know', examples: ['{host: gitlab.example.com}'] })
    .optional(),
  oidc_config: oidcUpstreamSchema.optional(),
  oauth2_config: oauth2UpstreamSchema.optional(),
};

/** Without an authorization server: where people link accounts, and nobody signs in to Latchkey. */
export const linkedProviderSchema = z.strictObject(providerFields).meta({
  description: 'One provider; one that is alone needs no name',
  examples: ['{name: github, preset: github, oauth2_config: {client_id: Iv1.0123456789abcdef}}'],
});

const upstreamSchema = z
  .strictObject({
    ...providerFields,
    login_policy: z
      .enum(['required', 'optional', 'on_demand'])
      .meta({
        description:
          'Whether signing in needs this provider: `required`; `optional`, so that a failure there is passed over; or `on_demand`, so that signing in does not lead there and its account is linked when it is first needed',
        examples: ['required', 'optional', 'on_demand'],
      })
      .default('required'),
  })
  .meta({
    description: 'One provider; one that is alone needs no name',
    examples: ['{name: github, preset: github, oauth2_config: {client_id: Iv1.0123456789abcdef}}'],
  });

export const runConfigSchema = z
  .strictObject({
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
        examples: [
          '[{name: corporate, type: oidc, oidc_config: {issuer_url: https://sso.example.com, client_id: latchkey}}]',
        ],
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
        access_token_lifespan: lifespan('How long an access token of Latchkey is valid', '10m').default(
          '10m',
        ),
        refresh_token_lifespan: lifespan('How long a refresh token of Latchkey is valid', '168h').default(
          '168h',
        ),
        auth_code_lifespan: lifespan('How long an authorization code of Latchkey is valid', '1m').default(
          '1m',
        ),
        session_lifespan: lifespan(
          'So long after signing in the person signs in again, however often tokens were refreshed',
          '336h',
        ).default('336h'),
      })
      .meta({
        description: 'How long what Latchkey issues is valid',
        examples: ['{access_token_lifespan: 10m, refresh_token_lifespan: 168h}'],
      })
      .prefault({}),
    clients: z
      .array(
        z
          .strictObject({
            client_id: z
              .string()
              .regex(/^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/, {
                error: 'must be 1 to 128 letters, digits, dots, dashes, underscores or tildes',
              })
              .meta({
                description: 'What the client calls itself towards Latchkey',
                examples: ['assistant'],
              }),
            client_name: text('What the consent page calls it', 'The Assistant'),
            redirect_uris: z
              .array(uri('Where the browser returns to', 'https://assistant.example.com/callback'))
              .min(1, { error: 'needs at least one address' })
              .meta({
                description: 'Where the browser may return to; on loopback any port counts as the same',
                examples: ['[https://assistant.example.com/callback]'],
              }),
            client_secret_env_var: environmentVariable(
              'The environment variable of the gateway that holds the secret of a confidential client',
              'ASSISTANT_CLIENT_SECRET',
            ).optional(),
            client_secret_file: filePath(
              'The file that holds the secret of a confidential client',
              '/run/secrets/assistant-client-secret',
            ).optional(),
          })
          .meta({
            description: 'One client',
            examples: [
              '{client_id: assistant, client_name: The Assistant, redirect_uris: [https://assistant.example.com/callback]}',
            ],
          }),
      )
      .meta({
        description: 'Clients that cannot register themselves',
        examples: [
          '[{client_id: assistant, client_name: The Assistant, redirect_uris: [https://assistant.example.com/callback]}]',
        ],
      })
      .default([]),
    allow_confidential_client_registration: z
      .boolean()
      .meta({
        description:
          'Whether a client that registers itself may have a secret (`client_secret_basic`, `client_secret_post`); it must return to https addresses that are not on loopback then',
        examples: ['true'],
      })
      .default(false),
    redirect_uri_schemes: z
      .array(
        z.string().regex(schemePattern, {
          error: 'must be the scheme alone, in lower case and without a colon',
        }),
      )
      .meta({
        description:
          'Schemes of applications on the computers of people, to which a client may return beside https and loopback; any application there can claim such a scheme (RFC 8252 section 8.4)',
        examples: ['[cursor, com.example.app]'],
      })
      .default([]),
    cimd: z
      .strictObject({
        enabled: z
          .boolean()
          .meta({ description: 'Whether clients without registration are known', examples: ['true'] })
          .default(true),
        cache_max_size: z
          .int()
          .min(1, { error: 'must be 1 to 10000' })
          .max(10_000, { error: 'must be 1 to 10000' })
          .meta({ description: 'How many documents are kept', examples: ['256'] })
          .default(256),
        cache_fallback_ttl: lifespan('How long a document is kept that does not say so itself', '5m').default(
          '5m',
        ),
      })
      .meta({
        description: 'Clients whose id is the https address of their metadata document',
        examples: ['{enabled: true, cache_fallback_ttl: 5m}'],
      })
      .prefault({}),
  })
  .meta({
    description: "The authorization server: ToolHive's RunConfig",
    examples: [
      '{issuer: https://mcp.example.com, allowed_audiences: [https://mcp.example.com/mcp], upstreams: [{type: oidc, oidc_config: {issuer_url: https://sso.example.com, client_id: latchkey}}]}',
    ],
  });
type RunConfig = z.infer<typeof runConfigSchema>;
export type Upstream = RunConfig['upstreams'][number];
export type LoginPolicy = Upstream['login_policy'];

/** ToolHive gives a lone provider without a name this one. */
export const loneUpstreamName = 'default';
