/**
 * What can be said of each key of the configuration, read from the schemas that check it: path, kind, default, whether
 * it is required, meaning, example, and whether the key is ToolHive's or Latchkey's own.
 */
import { configSchema } from './config.ts';
import { durationPattern } from './duration.ts';
import { environmentVariablePattern, httpUrlPattern } from './fields.ts';
import { type JsonSchema, partsOf, plainSchemaOf } from './json-schema.ts';

export interface ReferenceEntry {
  /** Such as `authServer.runConfig.upstreams[].oidc_config.issuer_url`; `*` stands for a chosen name. */
  readonly location: string;
  readonly kind: string;
  readonly required: boolean;
  /** As YAML; null: it has none, or is a map of keys, each with its own. */
  readonly defaultText: string | null;
  readonly description: string | null;
  /** As YAML. */
  readonly example: string | null;
  /** A map of keys that are listed themselves. */
  readonly isBlock: boolean;
  readonly origin: 'ToolHive' | 'Latchkey';
}

/** Keys that ToolHive does not have, with all that is in them. */
export const keysOfLatchkey: readonly string[] = [
  'gateway',
  'nats',
  'vault',
  'linking',
  'aggregation.prompts',
  'aggregation.resources',
  'incomingAuth.oidc.clientSecretFile',
  'outgoingAuth.default.headerInjection.headerValueFile',
  'outgoingAuth.backends.*.headerInjection.headerValueFile',
  'authServer.runConfig.token_lifespans.session_lifespan',
  'authServer.runConfig.redirect_uri_schemes',
  'authServer.runConfig.upstreams[].login_policy',
  'authServer.runConfig.upstreams[].preset',
  'authServer.runConfig.upstreams[].preset_parameters',
  ...['oidc_config', 'oauth2_config'].flatMap((block) =>
    ['previous_clients', 'token_endpoint_auth_method', 'refresh_token_reuse', 'refresh_token_lifetime'].map(
      (key) => `authServer.runConfig.upstreams[].${block}.${key}`,
    ),
  ),
  ...['issuer', 'revocation_endpoint', 'revocation_style', 'scope_parameter', 'scope_separator'].map(
    (key) => `authServer.runConfig.upstreams[].oauth2_config.${key}`,
  ),
];

/** Every key, in the order of the schemas; a block stands before what is in it. */
export function listReference(): ReferenceEntry[] {
  return entriesIn('', plainSchemaOf(configSchema));
}

function entriesIn(location: string, schema: JsonSchema): ReferenceEntry[] {
  return partsOf(schema).flatMap(([key, part]) => {
    const inner = key === '[]' ? `${location}[]` : location === '' ? key : `${location}.${key}`;
    // An element is told with its list or map, unless it is a block.
    const own =
      /^(\[\]|\*)$/.test(key) && part.properties === undefined ? [] : [entryOf(inner, part, schema, key)];
    return [...own, ...entriesIn(inner, part)];
  });
}

function entryOf(location: string, schema: JsonSchema, parent: JsonSchema, key: string): ReferenceEntry {
  const isBlock = schema.properties !== undefined;
  const own = keysOfLatchkey.some(
    (place) =>
      location === place || (/^[.[]/.test(location.slice(place.length)) && location.startsWith(place)),
  );
  return {
    location,
    kind: kindOf(schema),
    required: parent.required?.includes(key) ?? false,
    defaultText: schema.default === undefined || isBlock ? null : yamlOf(schema.default),
    description: schema.description ?? null,
    example: schema.examples?.[0] === undefined ? null : String(schema.examples[0]),
    isBlock,
    origin: own ? 'Latchkey' : 'ToolHive',
  };
}

function kindOf(schema: JsonSchema): string {
  const { type, pattern, enum: words, anyOf, items, additionalProperties: named } = schema;
  if (words !== undefined) return words.map((word) => `\`${yamlOf(word)}\``).join(' or ');
  if (anyOf !== undefined) return anyOf.map(kindOf).join(' or ');
  if (schema.const !== undefined) return `\`${yamlOf(schema.const)}\``;
  if (type === 'array') return `list of: ${kindOf(items as JsonSchema)}`;
  if (type === 'number') return `number, ${schema.minimum} to ${schema.maximum}`;
  if (type === 'integer')
    return schema.maximum === Number.MAX_SAFE_INTEGER
      ? 'whole number'
      : `whole number, ${schema.minimum} to ${schema.maximum}`;
  if (type === 'boolean') return '`true` or `false`';
  if (type === 'object') return typeof named === 'object' ? `map of names to: ${kindOf(named)}` : 'block';
  if (pattern === durationPattern.source) return 'duration';
  if (pattern === httpUrlPattern) return 'address';
  if (pattern === environmentVariablePattern.source) return 'name of a variable';
  return 'text';
}

/** Short values as YAML writes them; JSON is YAML. */
function yamlOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(yamlOf).join(', ')}]`;
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^[A-Za-z][\w.:/-]*$/.test(value) || /^\d+[a-z]\w*$/.test(value) ? value : JSON.stringify(value);
}
