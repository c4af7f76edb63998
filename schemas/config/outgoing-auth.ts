/** With what Latchkey goes to each backend: ToolHive's `BackendAuthStrategy` (RFC 0054 for `upstream_inject`). */
import * as z from 'zod';
import { environmentVariable, filePath, text } from './fields.ts';

const strategySchema = z
  .strictObject({
    type: z
      .enum(['unauthenticated', 'header_injection', 'upstream_inject'])
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
