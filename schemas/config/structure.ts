/**
 * Turns what the schema refuses into problems, all at once, and keeps the rest as a draft, so that the rules
 * can be checked in the same report.
 */
import * as z from 'zod';
import { type Config, configSchema, type DraftConfig } from './config.ts';
import { formatPath, type PathSegment, type Problem } from './problem.ts';
import { findRefusedKey, findRefusedValue } from './refused-keys.ts';
import { findExample, findSchema, locationOf } from './schema-path.ts';
import { isSecretKey, referenceHint } from './secret-keys.ts';
import { suggestKey } from './unknown-keys.ts';

export type Structure =
  | { readonly config: Config; readonly problems: readonly Problem[] }
  | { readonly config: null; readonly draft: DraftConfig; readonly problems: readonly Problem[] };

export function checkStructure(raw: unknown): Structure {
  const parsed = configSchema.safeParse(raw);
  if (parsed.success) return { config: parsed.data, problems: [] };
  const problems: Problem[] = [];
  const draft: unknown = isContainer(raw) ? structuredClone(raw) : {};
  for (const issue of parsed.error.issues) {
    const path = issue.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)));
    if (issue.code === 'unrecognized_keys') {
      // They stay in the draft: rules read what they know, and may say more about a refused key.
      for (const key of issue.keys) problems.push(unknownKey(path, key));
      continue;
    }
    const value = valueAt(raw, path);
    const refused = findRefusedValue(locationOf(configSchema, path), value);
    if (refused !== null) {
      problems.push({ rule: 'F-04', severity: 'error', path: formatPath(path), ...refused });
      continue;
    }
    problems.push(wrongValue(issue, path, value));
    // What is of the right kind stays, too: that it is there is enough for some rules.
    if (issue.code !== 'invalid_type' || value === undefined) continue;
    setAt(draft, path, issue.expected === 'object' || issue.expected === 'record' ? {} : undefined);
  }
  return {
    config: null,
    draft: (isContainer(draft) ? draft : {}) as DraftConfig,
    problems: withoutConsequences(problems),
  };
}

function unknownKey(path: readonly PathSegment[], key: string): Problem {
  const at = { severity: 'error', path: formatPath([...path, key]) } as const;
  const refused = findRefusedKey(locationOf(configSchema, path), key);
  if (refused !== null) return { rule: 'F-04', ...at, ...refused };
  if (isSecretKey(key)) {
    return {
      rule: 'F-06',
      ...at,
      message: 'a secret does not belong in the configuration file',
      fix: referenceHint(key, findSchema(configSchema, path)),
    };
  }
  return { rule: 'F-03', ...at, message: 'there is no such key', fix: suggestKey(configSchema, path, key) };
}

function wrongValue(issue: z.core.$ZodIssue, path: readonly PathSegment[], value: unknown): Problem {
  const shown = formatPath(path);
  return {
    rule: path[0] === 'authServer' ? 'V-05' : 'F-05',
    severity: 'error',
    path: shown,
    message: value === undefined ? 'is missing' : complaint(issue, value),
    fix: instead(issue, path),
  };
}

/** Names kinds and allowed words, never the value. */
function complaint(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'invalid_type') return `must be ${kindName(issue.expected)}, but is ${kindOf(value)}`;
  if (issue.code === 'invalid_value')
    return `must be ${issue.values.map((word) => `\`${String(word)}\``).join(' or ')}`;
  return issue.message;
}

function instead(issue: z.core.$ZodIssue, path: readonly PathSegment[]): string {
  const key = path.findLast((segment) => typeof segment === 'string');
  if (key === undefined) return 'write keys such as `incomingAuth:`, `authServer:` and `backends:`';
  if (issue.code === 'invalid_value') return `write \`${key}: ${String(issue.values[0])}\``;
  const example = findExample(findSchema(configSchema, path));
  if (example !== null)
    return typeof path.at(-1) === 'number'
      ? `write for example \`- ${example}\``
      : `write for example \`${key}: ${example}\``;
  return insteadOfElement(path) ?? `write \`${key}:\` with the keys that belong there`;
}

/** Of a list or map of plain values the whole has the example. */
function insteadOfElement(path: readonly PathSegment[]): string | null {
  const parent = path.slice(0, -1);
  const whole = findSchema(configSchema, parent);
  const example = whole instanceof z.ZodArray || whole instanceof z.ZodRecord ? findExample(whole) : null;
  return example === null ? null : `write for example \`${parent.at(-1)}: ${example}\``;
}

function kindName(expected: string): string {
  switch (expected) {
    case 'string':
      return 'a text';
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a map of keys';
    case 'boolean':
      return 'true or false';
    case 'int':
      return 'a whole number';
    default:
      return `a ${expected}`;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map of keys';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'boolean' ? 'true or false' : 'a number';
}

/** What a refused `type` would have made necessary need not be reported as missing or unknown too. */
function withoutConsequences(problems: readonly Problem[]): Problem[] {
  const refusedTypes = problems.filter(({ rule, path }) => rule === 'F-04' && path.endsWith('.type'));
  const refusedParents = refusedTypes.map(({ path }) => path.slice(0, -'type'.length));
  return problems.filter(
    (problem) =>
      refusedTypes.includes(problem) ||
      !refusedParents.some(
        (parent) =>
          problem.path.startsWith(parent) && (problem.message === 'is missing' || problem.rule === 'F-04'),
      ),
  );
}

function isContainer(value: unknown): value is Record<PathSegment, unknown> {
  return typeof value === 'object' && value !== null;
}

function valueAt(root: unknown, path: readonly PathSegment[]): unknown {
  let value = root;
  for (const segment of path)
    value = isContainer(value) && Object.hasOwn(value, segment) ? value[segment] : undefined;
  return value;
}

/** Elements of a list keep their index. */
function setAt(root: unknown, path: readonly PathSegment[], value: unknown): void {
  const parent = valueAt(root, path.slice(0, -1));
  const last = path.at(-1);
  if (!isContainer(parent) || last === undefined) return;
  if (value === undefined && !Array.isArray(parent)) delete parent[last];
  else parent[last] = value;
}
