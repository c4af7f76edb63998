/** Time limits and failures of backend requests, and how much is logged. The names are ToolHive's. */
import * as z from 'zod';
import { wait } from './fields.ts';

const count = (description: string, example: string, standard: number) =>
  z
    .int()
    .min(1, { error: 'must be 1 to 1000' })
    .max(1_000, { error: 'must be 1 to 1000' })
    .meta({ description, examples: [example] })
    .default(standard);

const failureHandlingSchema = z
  .strictObject({
    healthCheckInterval: wait('How often a backend is asked whether it is there', '30s').default('30s'),
    healthCheckTimeout: wait('How long it may take to say so', '10s').default('10s'),
    unhealthyThreshold: count(
      'So many silent checks in a row, and it is left alone until one is answered',
      '3',
      3,
    ),
    partialFailureMode: z
      .enum(['best_effort'])
      .meta({ description: 'What is there is used without what is not', examples: ['best_effort'] })
      .default('best_effort'),
    circuitBreaker: z
      .strictObject({
        enabled: z
          .boolean()
          .meta({ description: 'A backend that fails is left alone for a while', examples: ['false'] })
          .default(true),
        failureThreshold: count('After so many failures in a row', '5', 5),
        timeout: wait('For so long; then one request tries it again', '60s').default('60s'),
      })
      .meta({
        description: 'When a backend that fails is left alone',
        examples: ['{enabled: true, failureThreshold: 5, timeout: 60s}'],
      })
      .prefault({}),
  })
  .meta({
    description: 'What is done about backends that fail',
    examples: ['{unhealthyThreshold: 3, circuitBreaker: {enabled: true}}'],
  })
  .prefault({});

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
    failureHandling: failureHandlingSchema,
  })
  .meta({
    description: 'Time limits and failures of backend requests, and how much is logged',
    examples: ['{timeouts: {default: 30s}}'],
  })
  .prefault({});
