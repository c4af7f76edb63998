/** How the tools of several backends become one list. The names are ToolHive's. */
import * as z from 'zod';
import { text } from './fields.ts';

export const aggregationSchema = z
  .strictObject({
    conflictResolution: z
      .enum(['prefix'])
      .meta({ description: 'How names are kept apart', examples: ['prefix'] })
      .default('prefix'),
    conflictResolutionConfig: z
      .strictObject({
        prefixFormat: text(
          'What is put before a name; {workload} is the name of the backend',
          '"{workload}_"',
        ).default('{workload}_'),
      })
      .meta({
        description: 'The settings of that way',
        examples: ['{prefixFormat: "{workload}_"}'],
      })
      .prefault({}),
  })
  .meta({
    description: 'How the tools of several backends become one list',
    examples: ['{conflictResolution: prefix}'],
  })
  .prefault({});
