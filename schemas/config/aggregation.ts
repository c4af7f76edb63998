/** How the tools, prompts and resources of several backends become one list. The names are ToolHive's. */
import * as z from 'zod';
import { text } from './fields.ts';

const hint = (description: string) =>
  z
    .boolean()
    .meta({ description, examples: ['true'] })
    .optional();

const description = text('The description that clients see', 'Searches issues of the company').optional();
const takesPlace = { description: "These take the place of the backend's own" };

const toolOverrideSchema = z
  .strictObject({
    name: text('The name that clients see, before any prefix', 'search_issues').optional(),
    description,
    annotations: z
      .strictObject({
        title: text('A title for people', 'Search issues').optional(),
        readOnlyHint: hint('It changes nothing'),
        destructiveHint: hint('It may destroy something'),
        idempotentHint: hint('Calling it twice is like calling it once'),
        openWorldHint: hint('It reaches beyond what the backend itself has'),
      })
      .meta({ ...takesPlace, examples: ['{readOnlyHint: true}'] })
      .optional(),
  })
  .meta({ description: 'What is told of one tool instead', examples: ['{name: search_issues}'] });

const promptOverrideSchema = z
  .strictObject({
    name: text('The name that clients see, before any prefix', 'review').optional(),
    description,
  })
  .meta({ description: 'What is told of one prompt instead', examples: ['{name: review}'] });

const resourceOverrideSchema = z
  .strictObject({
    name: text('The name that clients see; the URI stays', 'handbook').optional(),
    description,
    annotations: z
      .strictObject({
        audience: z
          .array(z.enum(['user', 'assistant']))
          .meta({ description: 'Whom it is for', examples: ['[user]'] })
          .optional(),
        priority: z
          .number()
          .min(0, { error: 'must be from 0 to 1' })
          .max(1, { error: 'must be from 0 to 1' })
          .meta({ description: 'How much it matters, from 0 to 1', examples: ['0.5'] })
          .optional(),
      })
      .meta({ ...takesPlace, examples: ['{audience: [user]}'] })
      .optional(),
  })
  .meta({ description: 'What is told of one resource or template instead', examples: ['{name: handbook}'] });

/** One backend's entry; `kind` in the singular. */
function workloadSchema<Override extends z.ZodType>(
  kind: string,
  override: Override,
  one: { readonly filtered: z.ZodType<string>; readonly by: string; readonly examples: [string, string] },
) {
  const [filterExample, overridesExample] = one.examples;
  return z
    .strictObject({
      workload: text('The name of the backend', 'gitlab-tools'),
      filter: z
        .array(one.filtered)
        .meta({ description: `Only these ${kind}s are shown`, examples: [filterExample] })
        .optional(),
      overrides: z
        .record(z.string(), override)
        .meta({ description: `${one.by}: what clients are told instead`, examples: [overridesExample] })
        .optional(),
      excludeAll: z
        .boolean()
        .meta({ description: `None of its ${kind}s are shown`, examples: ['true'] })
        .default(false),
    })
    .meta({
      description: `Which ${kind}s of one backend are shown, and how`,
      examples: [`{workload: gitlab-tools, filter: ${filterExample}}`],
    });
}

const workloadToolsSchema = workloadSchema('tool', toolOverrideSchema, {
  filtered: text('The name of a tool, after its override', 'search_issues'),
  by: "By the backend's own name of a tool",
  examples: ['[search_issues, read_issue]', '{search: {name: search_issues}}'],
});

const workloadPromptsSchema = workloadSchema('prompt', promptOverrideSchema, {
  filtered: text('The name of a prompt, after its override', 'review'),
  by: "By the backend's own name of a prompt",
  examples: ['[review]', '{code_review: {name: review}}'],
});

const workloadResourcesSchema = workloadSchema('resource', resourceOverrideSchema, {
  filtered: text('The URI of a resource, or a URI template as the backend lists it', 'wiki://pages/{id}'),
  by: 'By the URI of a resource, or the URI template',
  examples: ['["wiki://handbook", "wiki://pages/{id}"]', '{"wiki://handbook": {name: handbook}}'],
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
    prompts: z
      .array(workloadPromptsSchema)
      .meta({
        description:
          'Which prompts of which backend are shown, and how; a backend that is not in it shows all',
        examples: ['[{workload: gitlab-tools, filter: [review]}]'],
      })
      .default([]),
    resources: z
      .array(workloadResourcesSchema)
      .meta({
        description:
          'Which resources and resource templates of which backend are shown, and how; a backend that is not in it shows all',
        examples: ['[{workload: gitlab-tools, excludeAll: true}]'],
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
