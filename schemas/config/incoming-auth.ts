/** How callers of the MCP endpoint prove who they are. The names are ToolHive's. */
import * as z from 'zod';
import { httpUrl, text } from './fields.ts';

export const incomingAuthSchema = z
  .strictObject({
    type: z.enum(['oidc']).meta({ description: 'How callers are known', examples: ['oidc'] }),
    oidc: z
      .strictObject({
        issuer: httpUrl(
          'Whose tokens are accepted: the issuer of authServer.runConfig',
          'https://mcp.example.com',
        ),
        audience: text('The aud that a token must have', 'https://mcp.example.com/mcp'),
        resource: httpUrl(
          'The resource (RFC 8707, RFC 9728) that clients ask tokens for, if not the audience',
          'https://mcp.example.com/mcp',
        ).optional(),
        clientId: z
          .string()
          .meta({ description: "ToolHive's client id; not needed here", examples: ['latchkey'] })
          .optional(),
        jwksAllowPrivateIp: z
          .boolean()
          .meta({
            description: "ToolHive's leave to fetch its own keys; not needed here",
            examples: ['true'],
          })
          .optional(),
      })
      .meta({
        description: 'Whose tokens are accepted',
        examples: ['{issuer: https://mcp.example.com, audience: https://mcp.example.com/mcp}'],
      }),
  })
  .meta({
    description: 'How callers of the MCP endpoint prove who they are',
    examples: [
      '{type: oidc, oidc: {issuer: https://mcp.example.com, audience: https://mcp.example.com/mcp}}',
    ],
  });
