/** Finds the schema that stands at a path of the configuration, so that reports can say what belongs there. */
import * as z from 'zod';
import type { PathSegment } from './problem.ts';

type AnySchema = z.core.$ZodType;

/** The schema at the path, without its optional or default wrapper; null if nothing may stand there. */
export function findSchema(root: AnySchema, path: readonly PathSegment[]): AnySchema | null {
  let schema: AnySchema | null = unwrap(root);
  for (const segment of path) {
    schema = schema === null ? null : child(schema, segment);
  }
  return schema;
}

/** The keys of an object; empty for anything else. */
export function keysOf(schema: AnySchema | null): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/**
 * Where in the schema the path points: `outgoingAuth.backends.*`, `authServer.runConfig.upstreams[]`.
 * Places that differ only by index or by a chosen name are one location.
 */
export function locationOf(root: AnySchema, path: readonly PathSegment[]): string {
  let schema: AnySchema | null = unwrap(root);
  let location = '';
  for (const segment of path) {
    if (schema instanceof z.ZodArray) location += '[]';
    else {
      const name = schema instanceof z.ZodRecord ? '*' : String(segment);
      location += location === '' ? name : `.${name}`;
    }
    schema = schema === null ? null : child(schema, segment);
  }
  return location;
}

/** An example of what to write, where the schema has one. */
export function findExample(schema: AnySchema | null): string | null {
  const examples = schema === null ? undefined : z.globalRegistry.get(schema)?.examples;
  return Array.isArray(examples) && typeof examples[0] === 'string' ? examples[0] : null;
}

function child(schema: AnySchema, segment: PathSegment): AnySchema | null {
  if (schema instanceof z.ZodObject) {
    const inner = Object.hasOwn(schema.shape, segment) ? schema.shape[segment] : undefined;
    return inner === undefined ? null : unwrap(inner);
  }
  if (schema instanceof z.ZodArray) return unwrap(schema.element);
  if (schema instanceof z.ZodRecord) return unwrap(schema.valueType);
  return null;
}

/** Descriptions stand on the innermost schema. */
function unwrap(schema: AnySchema): AnySchema {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  return inner;
}
