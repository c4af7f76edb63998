/**
 * How callers of the MCP endpoint prove who they are: with tokens of the embedded authorization server, or, without one,
 * with those of an external issuer, or not at all. The names are ToolHive's;
 * `clientSecretFile` is Latchkey's own.
 */
import * as z from 'zod';
import { environmentVariable, filePath, httpUrl, scopes, text } from './fields.ts';

export const incomingAuthSchema = z
  .strictObject({
    type: z.enum(['oidc', 'anonymous']).meta({
      description:
        'How callers are known: `oidc`, by their token; or `anonymous`, not at all, so that everybody may call',
      examples: ['oidc', 'anonymous'],
    }),
    oidc: z
      .strictObject({
        issuer: httpUrl(
          'Whose tokens are accepted: the issuer of authServer.runConfig, or without `authServer` an external one, as it writes itself',
          'https://mcp.example.com',
        ),
        audience: text('The aud that a token must have', 'https://mcp.example.com/mcp'),
        resource: httpUrl(
          'The resource (RFC 8707, RFC 9728) that clients ask tokens for, if not the audience: the address of the MCP endpoint',
          'https://mcp.example.com/mcp',
        ).optional(),
        scopes: scopes('The scopes that a token of an external issuer must have', '[mcp]').optional(),
        jwksUrl: httpUrl(
          'Where an external issuer has its keys, if its discovery document does not say so',
          'https://sso.example.com/keys',
        ).optional(),
        introspectionUrl: httpUrl(
          'Where an external issuer says whether an opaque token is good (RFC 7662), with `clientId` and its secret',
          'https://sso.example.com/introspect',
        ).optional(),
        clientSecretEnv: environmentVariable(
          'The environment variable of the worker `incoming` that holds the secret of `clientId`',
          'ISSUER_CLIENT_SECRET',
        ).optional(),
        clientSecretFile: filePath(
          'The file that holds the secret of `clientId`',
          '/run/secrets/issuer-client-secret',
        ).optional(),
        jwksAllowPrivateIp: z
          .boolean()
          .meta({
            description: 'Whether an external issuer may be on this machine or in a private network',
            examples: ['true'],
          })
          .optional(),
        clientId: z
          .string()
          .meta({
            description:
              'The client of Latchkey at an external issuer, with which it asks about opaque tokens; not needed with `authServer`',
            examples: ['latchkey'],
          })
          .optional(),
      })
      .meta({
        description: 'Whose tokens are accepted',
        examples: ['{issuer: https://mcp.example.com, audience: https://mcp.example.com/mcp}'],
      })
      .optional(),
  })
  .meta({
    description: 'How callers of the MCP endpoint prove who they are',
    examples: [
      '{type: oidc, oidc: {issuer: https://mcp.example.com, audience: https://mcp.example.com/mcp}}',
    ],
  });
