/** What is wrong with a configuration at one place, and how places are written. */
import type { RuleId } from './rule-texts.ts';

export interface Problem {
  readonly rule: RuleId;
  readonly severity: 'error' | 'warning';
  /** Such as `authServer.runConfig.upstreams[1].oauth2_config.token_endpoint`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong. Never holds a value that could be a secret. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export type PathSegment = string | number;

/** The one way in which paths are written. */
export function formatPath(segments: readonly PathSegment[]): string {
  let path = '';
  for (const segment of segments) {
    if (typeof segment === 'number') path += `[${segment}]`;
    else if (/^[A-Za-z_$*][\w$-]*$/.test(segment)) path += path === '' ? segment : `.${segment}`;
    else path += `[${JSON.stringify(segment)}]`;
  }
  return path;
}

/** True if `path` is `ancestor` or lies inside it. */
export function isWithin(path: string, ancestor: string): boolean {
  if (!path.startsWith(ancestor)) return false;
  const next = path[ancestor.length];
  return ancestor === '' || next === undefined || next === '.' || next === '[';
}
