/**
 * `Mcp-Param-*` headers of a tool call (2026-07-28, streamable HTTP, custom headers from tool parameters), made here
 * where the client is older and does not know of them. A tool whose schema declares them against the rules is no tool.
 */
import { isObject, type JsonObject } from './json-rpc.ts';
import { encodeHeaderValue } from './protocol.ts';

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function paramHeadersOf(inputSchema: unknown, args: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  const visit = (schema: unknown, value: unknown): void => {
    if (!isObject(schema)) return;
    const name = schema['x-mcp-header'];
    if (typeof name === 'string' && token.test(name) && isPrimitive(value))
      headers[`mcp-param-${name.toLowerCase()}`] = encodeHeaderValue(String(value));
    if (!isObject(schema.properties) || !isObject(value)) return;
    for (const [key, child] of Object.entries(schema.properties))
      if (Object.hasOwn(value, key)) visit(child, (value as JsonObject)[key]);
  };
  visit(inputSchema, args);
  return headers;
}

/** Where a schema may stand inside another one. */
const single = [
  'items',
  'contains',
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'propertyNames',
  'not',
  'if',
  'then',
  'else',
];
const several = ['prefixItems', 'oneOf', 'anyOf', 'allOf'];
const named = ['patternProperties', 'dependentSchemas', '$defs', 'definitions'];
const types: readonly unknown[] = ['string', 'integer', 'boolean'];

/** A header is declared for a primitive that is reached by `properties` alone, and no two have one name. */
export function declaresParamHeadersWell(inputSchema: unknown): boolean {
  const names = new Set<string>();
  const isWell = (schema: unknown, mayDeclare: boolean): boolean => {
    if (!isObject(schema)) return true;
    const name = schema['x-mcp-header'];
    if (name !== undefined) {
      if (!mayDeclare || typeof name !== 'string' || !token.test(name) || !types.includes(schema.type))
        return false;
      if (names.has(name.toLowerCase())) return false;
      names.add(name.toLowerCase());
    }
    const others = [
      ...single.map((key) => schema[key]),
      ...several.flatMap((key) => schema[key]),
      ...named.flatMap((key) => valuesOf(schema[key])),
    ];
    return (
      others.every((other) => isWell(other, false)) &&
      valuesOf(schema.properties).every((property) => isWell(property, mayDeclare || schema === inputSchema))
    );
  };
  return isWell(inputSchema, false);
}

const valuesOf = (value: unknown): unknown[] => (isObject(value) ? Object.values(value) : []);

function isPrimitive(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}
