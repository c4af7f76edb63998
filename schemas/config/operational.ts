/** Time limits of backend requests, and how much is logged. The names are ToolHive's. */
import * as z from 'zod';
import { wait } from './fields.ts';

export const operationalSchema = z
  .strictObject({
    logLevel: z
      .enum(['debug'])
      .meta({ description: 'More in the log', examples: ['debug'] })
      .optional(),
    timeouts: z
      .strictObject({
        default: wait('How long a backend may take to answer', '30s').default('30s'),
        perWorkload: z
          .record(z.string(), wait('How long this backend may take', '45s'))
          .meta({ description: 'The time limit of single backends', examples: ['{gitlab-tools: 45s}'] })
          .optional(),
      })
      .meta({
        description: 'How long backends may take to answer',
        examples: ['{default: 30s, perWorkload: {gitlab-tools: 45s}}'],
      })
      .prefault({}),
  })
  .meta({
    description: 'Time limits of backend requests, and how much is logged',
    examples: ['{timeouts: {default: 30s}}'],
  })
  .prefault({});
