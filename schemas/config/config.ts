/**
 * The one configuration file. Names are ToolHive's where the thing is ToolHive's; every object is strict, and
 * a key that is accepted works. The file holds no secret, only references (see secret-reference.ts).
 */
import * as z from 'zod';
import { aggregationSchema } from './aggregation.ts';
import { runConfigSchema } from './auth-server.ts';
import { backendsSchema } from './backends.ts';
import { text } from './fields.ts';
import { incomingAuthSchema } from './incoming-auth.ts';
import { operationalSchema } from './operational.ts';
import { outgoingAuthSchema } from './outgoing-auth.ts';
import { gatewaySchema, linkingSchema, natsSchema, vaultSchema } from './processes.ts';

export const configSchema = z.strictObject({
  name: text('The name of this MCP server, as clients show it', 'latchkey').default('latchkey'),
  groupRef: z
    .string()
    .meta({ description: "ToolHive's group; not needed here", examples: ['engineering'] })
    .optional(),
  incomingAuth: incomingAuthSchema,
  authServer: z
    .strictObject({ runConfig: runConfigSchema })
    .meta({
      description:
        'The embedded authorization server; its `runConfig` may stand in authserver-config.yaml beside the file. Without it the tokens of an external issuer are accepted',
    })
    .optional(),
  backends: backendsSchema,
  outgoingAuth: outgoingAuthSchema.prefault({}),
  aggregation: aggregationSchema,
  operational: operationalSchema,
  passthroughHeaders: z
    .array(text('The name of a header', 'X-Request-Id'))
    .meta({
      description: 'Headers of a caller that backends are sent as they are',
      examples: ['[X-Request-Id]'],
    })
    .default([]),
  gateway: gatewaySchema,
  nats: natsSchema.optional(),
  vault: vaultSchema,
  linking: linkingSchema,
});
/** A configuration that was accepted by `loadConfig`, so every rule holds. */
export type Config = z.output<typeof configSchema>;

/**
 * A configuration of which any part may be missing and any word may be another: what rules look at, so that
 * they can speak although other parts are wrong.
 */
export type Draft<T> = T extends string
  ? string
  : T extends readonly (infer Element)[]
    ? (Draft<Element> | undefined)[]
    : T extends object
      ? { [Key in keyof T]?: Draft<T[Key]> | undefined }
      : T;
export type DraftConfig = Draft<Config>;
