/**
 * One YAML file as plain data, with the line on which each path stands. What is no YAML is reported with line
 * and column, without quoting the file: a slip next to a secret must not print the secret.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { formatPath, type PathSegment, type Problem } from './problem.ts';

export interface YamlSource {
  readonly file: string;
  /** undefined if the file is not YAML. */
  readonly data: unknown;
  readonly lines: ReadonlyMap<string, number>;
  readonly problems: readonly Problem[];
}

const complaints: Record<string, string> = {
  BAD_INDENT: 'this line is not indented like its neighbours',
  TAB_AS_INDENT: 'a tab is used for indentation',
  DUPLICATE_KEY: 'this key was given before in the same map',
  MISSING_CHAR: 'something is missing here: a space after a colon, a closing quote or bracket, a comma',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line, with a colon and a space after it',
  BLOCK_AS_IMPLICIT_KEY: 'a map begins here where only a value can stand; a text with a colon needs quotes',
  BAD_SCALAR_START: 'a text that begins with this character needs quotes',
  BAD_DQ_ESCAPE: 'in double quotes a backslash begins an escape; double it or use single quotes',
  BAD_ALIAS: 'this alias has no anchor',
  MULTIPLE_DOCS: 'the file holds more than one document',
  TAG_RESOLVE_FAILED: 'there is an unknown tag; a text that begins with ! needs quotes',
  NON_STRING_KEY: 'a key must be a text',
};
const fixes: Record<string, string> = {
  TAB_AS_INDENT: 'use spaces',
  DUPLICATE_KEY: 'keep one of the two',
  MULTIPLE_DOCS: 'keep one document and remove the line with ---',
};

/** `prefix` is where the content of the file lies in the configuration. */
export function readYaml(file: string, text: string, prefix: readonly PathSegment[] = []): YamlSource {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true, stringKeys: true });
  const lines = new Map<string, number>();
  const faults = [...document.errors, ...document.warnings];
  const problems = faults.map((fault): Problem => {
    const { line, col } = lineCounter.linePos(fault.pos[0]);
    return {
      rule: 'F-02',
      severity: 'error',
      path: '',
      message: complaints[fault.code] ?? 'this is not YAML',
      fix: fixes[fault.code] ?? 'correct the line',
      file,
      line,
      column: col,
    };
  });
  if (problems.length > 0) return { file, data: undefined, lines, problems };
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 100 });
  } catch {
    return { file, data, lines, problems: [notResolvable(file)] };
  }
  noteLines(document.contents, [...prefix]);
  return { file, data: data ?? {}, lines, problems };

  function noteLines(node: unknown, path: PathSegment[]): void {
    const content: unknown = isAlias(node) ? null : node;
    if (isMap(content)) {
      for (const { key, value } of content.items) {
        if (!isScalar(key)) continue;
        const inner = [...path, String(key.value)];
        noteLine(key, inner);
        noteLines(value, inner);
      }
    } else if (isSeq(content)) {
      content.items.forEach((item, index) => {
        noteLine(item as Node, [...path, index]);
        noteLines(item, [...path, index]);
      });
    }
  }

  function noteLine(node: Node | null, path: readonly PathSegment[]): void {
    const start = node?.range?.[0];
    if (start !== undefined) lines.set(formatPath(path), lineCounter.linePos(start).line);
  }
}

function notResolvable(file: string): Problem {
  return {
    rule: 'F-02',
    severity: 'error',
    path: '',
    message: 'aliases of the file refer to each other too often',
    fix: 'write the values out',
    file,
  };
}
