/** How the tools, prompts and resources of several backends become one list. The names are ToolHive's. */
import * as z from 'zod';
import { text } from './fields.ts';

const hint = (description: string) =>
  z
    .boolean()
    .meta({ description, examples: ['true'] })
    .optional();

const overrideSchema = z
  .strictObject({
    name: text('The name that clients see, before any prefix', 'search_issues').optional(),
    description: text('The description that clients see', 'Searches issues of the company').optional(),
    annotations: z
      .strictObject({
        title: text('A title for people', 'Search issues').optional(),
        readOnlyHint: hint('It changes nothing'),
        destructiveHint: hint('It may destroy something'),
        idempotentHint: hint('Calling it twice is like calling it once'),
        openWorldHint: hint('It reaches beyond what the backend itself has'),
      })
      .meta({ description: "These take the place of the backend's own", examples: ['{readOnlyHint: true}'] })
      .optional(),
  })
  .meta({ description: 'What is told of one tool instead', examples: ['{name: search_issues}'] });

const workloadToolsSchema = z
  .strictObject({
    workload: text('The name of the backend', 'gitlab-tools'),
    filter: z
      .array(text('The name of a tool, after its override', 'search_issues'))
      .meta({ description: 'Only these tools are shown', examples: ['[search_issues, read_issue]'] })
      .optional(),
    overrides: z
      .record(z.string(), overrideSchema)
      .meta({
        description: "By the backend's own name of a tool: what clients are told instead",
        examples: ['{search: {name: search_issues}}'],
      })
      .optional(),
    excludeAll: z
      .boolean()
      .meta({ description: 'None of its tools are shown', examples: ['true'] })
      .default(false),
  })
  .meta({
    description: 'Which tools of one backend are shown, and how',
    examples: ['{workload: gitlab-tools, filter: [search_issues]}'],
  });

export const aggregationSchema = z
  .strictObject({
    conflictResolution: z
      .enum(['prefix', 'priority', 'manual'])
      .meta({ description: 'How names are kept apart', examples: ['prefix'] })
      .default('prefix'),
    conflictResolutionConfig: z
      .strictObject({
        prefixFormat: text(
          'What is put before a name; {workload} is the name of the backend',
          '"{workload}_"',
        ).default('{workload}_'),
        priorityOrder: z
          .array(text('The name of a backend', 'gitlab-tools'))
          .meta({
            description:
              'Of several backends that have one name (with `priority`) or one resource, the first in this order has it',
            examples: ['[gitlab-tools, search]'],
          })
          .default([]),
      })
      .meta({
        description: 'The settings of that way',
        examples: ['{prefixFormat: "{workload}_"}'],
      })
      .prefault({}),
    tools: z
      .array(workloadToolsSchema)
      .meta({
        description: 'Which tools of which backend are shown, and how',
        examples: ['[{workload: gitlab-tools, filter: [search_issues]}]'],
      })
      .default([]),
    excludeAllTools: z
      .boolean()
      .meta({ description: 'No tools are shown at all', examples: ['true'] })
      .default(false),
    defaultToolVisibility: z
      .enum(['allow', 'deny'])
      .meta({
        description: 'Whether a backend that is not in `tools` shows its tools',
        examples: ['deny'],
      })
      .default('allow'),
  })
  .meta({
    description: 'How the tools, prompts and resources of several backends become one list',
    examples: ['{conflictResolution: prefix}'],
  })
  .prefault({});
