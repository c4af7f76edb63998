/** With what Latchkey goes to each backend: ToolHive's `BackendAuthStrategy` (RFC 0054 for `upstream_inject`). */
import * as z from 'zod';
import { environmentVariable, filePath, httpUrl, scopes, text } from './fields.ts';
import { tokenTypes } from './token-types.ts';

const tokenExchangeSchema = z
  .strictObject({
    tokenUrl: httpUrl(
      'The token endpoint of the service that exchanges',
      'https://sts.example.com/oauth2/token',
    ),
    clientId: text('The id of Latchkey there, if it has one', 'latchkey').optional(),
    clientSecretEnv: environmentVariable(
      'The environment variable of the provider worker that holds the client secret',
      'STS_CLIENT_SECRET',
    ).optional(),
    clientSecretFile: filePath(
      'The file that holds the client secret',
      '/run/secrets/sts-client-secret',
    ).optional(),
    tokenEndpointAuthMethod: z
      .enum(['client_secret_basic', 'client_secret_post'])
      .meta({ description: 'How the client secret is sent', examples: ['client_secret_post'] })
      .default('client_secret_basic'),
    audience: text('The backend, as the service knows it', 'orders').optional(),
    resource: z
      .url({ error: 'must be an absolute URI (RFC 8707 section 2)' })
      .meta({
        description: "The backend's address, as the service knows it",
        examples: ['https://orders.example.com/mcp'],
      })
      .optional(),
    scopes: scopes('What the new token may be used for', '[orders.read]').optional(),
    subjectTokenType: z
      .enum(tokenTypes)
      .meta({
        description:
          'Which token of the person is exchanged, and what it is called: `id_token` is the ID token, the others are the access token. The URN of RFC 8693 section 3 may be written in full',
        examples: ['access_token'],
      })
      .default('access_token'),
    subjectProviderName: z
      .string()
      .meta({ description: 'The provider whose token is exchanged', examples: ['corporate'] })
      .default(''),
    actor: z
      .strictObject({
        tokenEnv: environmentVariable(
          'The environment variable of the provider worker that holds the token',
          'LATCHKEY_ACTOR_TOKEN',
        ).optional(),
        tokenFile: filePath(
          'The file that holds the token; it is read anew for each exchange',
          '/var/run/secrets/tokens/latchkey',
        ).optional(),
        tokenType: z
          .enum(tokenTypes)
          .meta({ description: 'What the token is called', examples: ['jwt'] })
          .default('access_token'),
      })
      .meta({
        description: 'Who acts for the person (RFC 8693 section 2.1): a token of Latchkey itself',
        examples: ['{tokenFile: /var/run/secrets/tokens/latchkey, tokenType: jwt}'],
      })
      .optional(),
    allowPrivateIps: z
      .boolean()
      .meta({
        description: 'Whether the service may have an address in a private network',
        examples: ['true'],
      })
      .default(false),
  })
  .meta({
    description:
      "The caller's token of one provider, exchanged for one of the backend (RFC 8693). Each backend has exchanged tokens of its own",
    examples: [
      '{tokenUrl: https://sts.example.com/oauth2/token, clientId: latchkey, clientSecretEnv: STS_CLIENT_SECRET, audience: orders, subjectProviderName: corporate}',
    ],
  });
export type TokenExchange = z.infer<typeof tokenExchangeSchema>;

const roleArn = (description: string) =>
  z
    .string()
    .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/, { error: 'must be the ARN of an IAM role' })
    .meta({ description, examples: ['arn:aws:iam::123456789012:role/mcp-users'] });

const awsStsSchema = z
  .strictObject({
    region: z
      .string()
      .regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, { error: 'must be the name of an AWS region' })
      .meta({ description: 'The region of the service, and of STS', examples: ['us-east-1'] }),
    service: z
      .string()
      .regex(/^[a-z0-9-]+$/, { error: 'must be the name by which AWS signs for the service' })
      .meta({ description: 'The service for which requests are signed', examples: ['aws-mcp'] })
      .default('aws-mcp'),
    fallbackRoleArn: roleArn('The role of everybody whom no mapping gives another').optional(),
    roleMappings: z
      .array(
        z
          .strictObject({
            claim: text('The value that gives the role', 'admins'),
            roleArn: roleArn('The role'),
            priority: z
              .int()
              .meta({
                description: 'Where several fit, the lowest counts, and one without a number last',
                examples: ['1'],
              })
              .optional(),
          })
          .meta({
            description: 'Who has a role',
            examples: ['{claim: admins, roleArn: "arn:aws:iam::123456789012:role/mcp-admins"}'],
          }),
      )
      .meta({
        description: 'Roles by the values of `roleClaim`',
        examples: ['[{claim: admins, roleArn: "arn:aws:iam::123456789012:role/mcp-admins"}]'],
      })
      .default([]),
    roleClaim: text('The claim of the token that says which role fits', 'groups').default('groups'),
    sessionDuration: z
      .int()
      .min(900, { error: 'must be 900 to 43200' })
      .max(43_200, { error: 'must be 900 to 43200' })
      .meta({ description: 'How long the credentials live, in seconds', examples: ['3600'] })
      .default(3600),
    sessionNameClaim: text('The claim that names the session in the logs of AWS', 'sub').default('sub'),
    subjectProviderName: z
      .string()
      .meta({ description: 'The provider whose token is the web identity', examples: ['corporate'] })
      .default(''),
    subjectTokenType: z
      .enum(['access_token', 'id_token'])
      .meta({
        description: 'Which token of the person is the web identity; it must be a JWT',
        examples: ['id_token'],
      })
      .default('access_token'),
    stsEndpoint: httpUrl(
      'The endpoint of STS, if it is not that of the region',
      'https://vpce-1.sts.us-east-1.vpce.amazonaws.com',
    ).optional(),
    allowPrivateIps: z
      .boolean()
      .meta({ description: 'Whether STS may have an address in a private network', examples: ['true'] })
      .default(false),
  })
  .meta({
    description:
      "Temporary credentials of AWS for the caller's token of one provider (AssumeRoleWithWebIdentity), with which each request is signed (SigV4)",
    examples: [
      '{region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/mcp-users", subjectProviderName: corporate, subjectTokenType: id_token}',
    ],
  });
export type AwsSts = z.infer<typeof awsStsSchema>;

const strategySchema = z
  .strictObject({
    type: z
      .enum(['unauthenticated', 'header_injection', 'upstream_inject', 'token_exchange', 'aws_sts'])
      .meta({ description: 'What the backend is sent', examples: ['upstream_inject'] }),
    headerInjection: z
      .strictObject({
        headerName: text('The header to set', 'X-API-Key'),
        headerValue: z
          .string()
          .meta({ description: 'Its value, if that is no secret', examples: ['v1'] })
          .optional(),
        headerValueEnv: environmentVariable(
          'The environment variable of the gateway that holds the value',
          'BACKEND_API_KEY',
        ).optional(),
        headerValueFile: filePath('The file that holds the value', '/run/secrets/backend-api-key').optional(),
      })
      .meta({
        description: 'One fixed header, the same for everybody',
        examples: ['{headerName: X-API-Key, headerValueEnv: BACKEND_API_KEY}'],
      })
      .optional(),
    upstreamInject: z
      .strictObject({
        providerName: z
          .string()
          .meta({ description: 'The provider whose token the backend is sent', examples: ['gitlab'] })
          .default(''),
      })
      .meta({
        description: "The caller's own token of one provider",
        examples: ['{providerName: gitlab}'],
      })
      .optional(),
    tokenExchange: tokenExchangeSchema.optional(),
    awsSts: awsStsSchema.optional(),
  })
  .meta({
    description: 'With what Latchkey goes to a backend',
    examples: ['{type: upstream_inject, upstreamInject: {providerName: gitlab}}'],
  });
export type Strategy = z.infer<typeof strategySchema>;

export const outgoingAuthSchema = z
  .strictObject({
    source: z
      .enum(['inline'])
      .meta({ description: 'Where strategies come from', examples: ['inline'] })
      .default('inline'),
    default: strategySchema.optional(),
    backends: z
      .record(z.string(), strategySchema)
      .meta({
        description: 'The strategy of each backend',
        examples: ['{gitlab-tools: {type: unauthenticated}}'],
      })
      .optional(),
  })
  .meta({
    description: 'With what Latchkey goes to each backend',
    examples: ['{default: {type: unauthenticated}}'],
  });
