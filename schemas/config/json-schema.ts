/**
 * The configuration as JSON Schema, made from the same zod schemas that check it, so that editors complete and check a
 * YAML file. What `latchkey validate` accepts, it accepts: it says less than the rules, and nothing else. It is written
 * in draft 07, which every editor reads.
 */
import { parse } from 'yaml';
import * as z from 'zod';
import { runConfigSchema } from './auth-server.ts';
import { configSchema } from './config.ts';
import { findPreset, presetNames } from './provider-presets/provider-presets.ts';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** As zod says it, with examples as YAML. */
export function plainSchemaOf(schema: z.core.$ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-07' }) as JsonSchema;
}

/** The schemas inside this one, each with its key; `*` stands for a chosen name, `[]` for an element. */
export function partsOf(schema: JsonSchema): [key: string, part: JsonSchema][] {
  const { properties = {}, items, additionalProperties: named } = schema;
  const parts = Object.entries(properties) as [string, JsonSchema][];
  if (typeof items === 'object' && !Array.isArray(items)) parts.push(['[]', items]);
  if (typeof named === 'object') parts.push(['*', named]);
  return parts;
}

/** Of the main file. */
export function configJsonSchema(): JsonSchema {
  const schema = prepare(plainSchemaOf(configSchema));
  for (const { location, conditions } of conditionsOf('authServer.runConfig.'))
    addConditions(schema, location, conditions);
  return { ...schema, title: 'Latchkey' };
}

/** Of ToolHive's `authserver-config.yaml` beside it. */
export function authServerJsonSchema(): JsonSchema {
  const schema = prepare(plainSchemaOf(runConfigSchema));
  for (const { location, conditions } of conditionsOf('')) addConditions(schema, location, conditions);
  return { ...schema, title: 'The authorization server of Latchkey' };
}

/** Examples as the values that they are. An address is left to its pattern: `uri` is stricter than a URL may be. */
function prepare(schema: JsonSchema): JsonSchema {
  if (schema.examples !== undefined) schema.examples = schema.examples.map((text) => parse(String(text)));
  if (schema.format === 'uri') delete schema.format;
  for (const [, part] of [...partsOf(schema), ...alternativesOf(schema)]) prepare(part);
  return schema;
}

function alternativesOf({ anyOf = [] }: JsonSchema): [string, JsonSchema][] {
  return anyOf.map((alternative) => ['', alternative]);
}

interface Conditions {
  /** In `prefix` begins what lies in the authorization server; the others are left out of its own file. */
  readonly location: string;
  readonly conditions: readonly JsonSchema[];
}

const blockKeys = { oidc: 'oidc_config', oauth2: 'oauth2_config' } as const;
const oneSecret = [notBoth('client_secret_env_var', 'client_secret_file')];
const registrationBlock = 'dcr_config';
const blockConditions: Record<(typeof blockKeys)[keyof typeof blockKeys], JsonSchema[]> = {
  oidc_config: [...oneSecret, { required: ['client_id'] }],
  oauth2_config: [
    ...oneSecret,
    { oneOf: [{ required: ['client_id'] }, { required: [registrationBlock] }] },
    when(
      { required: [registrationBlock] },
      { properties: { client_secret_env_var: false, client_secret_file: false } },
    ),
  ],
};

/** What depends on another key, as the rules of the same subject say it. */
function conditionsOf(prefix: string): Conditions[] {
  const inside = providerConditions(`${prefix}upstreams`);
  if (prefix === '') return inside;
  const strategies = ['outgoingAuth.default', 'outgoingAuth.backends.*'];
  return [
    ...inside,
    ...providerConditions('linking.providers'),
    { location: 'incomingAuth', conditions: [when(is('type', 'oidc'), { required: ['oidc'] })] },
    ...strategies.flatMap((location) => [
      { location, conditions: strategyForms() },
      { location: `${location}.headerInjection`, conditions: [oneHeaderValue()] },
    ]),
    {
      location: 'nats',
      conditions: [
        notBoth('passwordEnv', 'passwordFile'),
        when(
          { required: ['user'] },
          { anyOf: [{ required: ['passwordEnv'] }, { required: ['passwordFile'] }] },
          { properties: { passwordEnv: false, passwordFile: false } },
        ),
      ],
    },
  ];
}

function providerConditions(upstreams: string): Conditions[] {
  return [
    { location: upstreams, conditions: [when({ minItems: 2 }, { items: { required: ['name'] } })] },
    { location: `${upstreams}.[]`, conditions: upstreamForms() },
    ...Object.values(blockKeys).flatMap((key) => [
      { location: `${upstreams}.[].${key}`, conditions: blockConditions[key] },
      { location: `${upstreams}.[].${key}.previous_clients.[]`, conditions: oneSecret },
    ]),
    {
      location: `${upstreams}.[].${blockKeys.oauth2}.${registrationBlock}`,
      conditions: [
        { oneOf: [{ required: ['discovery_url'] }, { required: ['registration_endpoint'] }] },
        notBoth('initial_access_token_env_var', 'initial_access_token_file'),
      ],
    },
  ];
}

/** Without a preset everything is written out; with one it says the type, and what its block has. */
function upstreamForms(): JsonSchema[] {
  const types = ['oidc', 'oauth2'] as const;
  const other = { oidc: 'oauth2', oauth2: 'oidc' } as const;
  const writtenOut = {
    oidc: { required: ['issuer_url'] },
    oauth2: {
      required: ['authorization_endpoint', 'token_endpoint'],
      oneOf: [{ required: ['userinfo'] }, { required: ['identity_from_token'] }],
    },
  };
  const withoutPreset: JsonSchema = {
    required: ['type'],
    properties: { preset_parameters: false },
    allOf: types.map((type) =>
      when(is('type', type), {
        required: [blockKeys[type]],
        properties: { [blockKeys[type]]: writtenOut[type], [blockKeys[other[type]]]: false },
      }),
    ),
  };
  const withPreset = presetNames.map((name): JsonSchema => {
    const { type, parameters } = findPreset(name)!;
    return when(is('preset', name), {
      required: [blockKeys[type]],
      properties: {
        type: { const: type },
        [blockKeys[other[type]]]: false,
        preset_parameters: {
          properties: Object.fromEntries(
            Object.entries(parameters).map(([parameter, { description, example, default: standard }]) => [
              parameter,
              {
                description,
                examples: [example],
                ...(standard === undefined ? {} : { default: standard }),
              },
            ]),
          ),
          additionalProperties: false,
        },
      },
    });
  });
  return [when({ required: ['preset'] }, {}, withoutPreset), ...withPreset];
}

function strategyForms(): JsonSchema[] {
  const blocks = { header_injection: 'headerInjection', upstream_inject: 'upstreamInject' };
  return ['unauthenticated', ...Object.keys(blocks)].map((type) =>
    when(is('type', type), {
      required: Object.entries(blocks).flatMap(([owner, key]) => (owner === type ? [key] : [])),
      properties: Object.fromEntries(
        Object.entries(blocks).flatMap(([owner, key]) => (owner === type ? [] : [[key, false]])),
      ),
    }),
  );
}

/** An empty `headerValue` is none. */
function oneHeaderValue(): JsonSchema {
  return {
    oneOf: [
      { required: ['headerValue'], properties: { headerValue: { minLength: 1 } } },
      { required: ['headerValueEnv'] },
      { required: ['headerValueFile'] },
    ],
  };
}

/** `if`, `then` and `else`; an object that is written with a `then` looks like a promise to tools. */
function when(condition: JsonSchema, then: JsonSchema, otherwise?: JsonSchema): JsonSchema {
  const clauses: [string, JsonSchema | undefined][] = [
    ['if', condition],
    ['then', then],
    ['else', otherwise],
  ];
  return Object.fromEntries(clauses.filter(([, clause]) => clause !== undefined));
}

function is(key: string, word: string): JsonSchema {
  return { properties: { [key]: { const: word } }, required: [key] };
}

function notBoth(...keys: readonly [string, string]): JsonSchema {
  return { not: { required: [...keys] } };
}

function addConditions(root: JsonSchema, location: string, conditions: readonly JsonSchema[]): void {
  let schema: JsonSchema | undefined = root;
  for (const key of location.split('.')) schema = schema && new Map(partsOf(schema)).get(key);
  if (schema === undefined) throw new TypeError(`the configuration has no ${location}`);
  // A preset may say what the block needs; without one it is asked for again in the conditions.
  if (/(upstreams|providers)\.\[\](\.(oidc|oauth2)_config)?$/.test(location)) delete schema.required;
  schema.allOf = [...(schema.allOf ?? []), ...conditions];
}
