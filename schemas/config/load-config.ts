/**
 * Reads the configuration file, and ToolHive's `authserver-config.yaml` beside it, and reports everything that
 * is wrong with them at once. A configuration comes back only if no error was found.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Config } from './config.ts';
import { expandPresets } from './expand-presets.ts';
import { formatPath, isWithin, type Problem } from './problem.ts';
import { checkRules } from './rules.ts';
import { checkStructure } from './structure.ts';
import { readYaml, type YamlSource } from './yaml-source.ts';

export interface LoadedConfig {
  /** null if any problem is an error. */
  readonly config: Config | null;
  readonly problems: readonly Problem[];
}

const authServerFileName = 'authserver-config.yaml';
const authServerPath = ['authServer', 'runConfig'] as const;

export function loadConfig(file: string): LoadedConfig {
  const main = readText(file);
  if ('problem' in main) return { config: null, problems: [main.problem] };
  const besideFile = join(dirname(file), authServerFileName);
  const beside =
    basename(file) === authServerFileName ? { text: null } : readText(besideFile, { optional: true });
  if ('problem' in beside) return { config: null, problems: [beside.problem] };
  return parseConfig(
    { file, text: main.text ?? '' },
    beside.text === null ? null : { file: besideFile, text: beside.text },
  );
}

interface SourceText {
  readonly file: string;
  readonly text: string;
}

/** The same for texts that were read already. */
export function parseConfig(main: SourceText, authServer: SourceText | null = null): LoadedConfig {
  const mainSource = readYaml(main.file, main.text);
  const authServerSource =
    authServer === null ? null : readYaml(authServer.file, authServer.text, authServerPath);
  const sources = authServerSource === null ? [mainSource] : [mainSource, authServerSource];
  const syntax = sources.flatMap((source) => source.problems);
  if (syntax.length > 0) return { config: null, problems: syntax };

  const merged = mergeSources(mainSource, authServerSource);
  const structure = checkStructure(expandPresets(merged.data));
  // What is broken itself is not judged again; a refused word makes room for the rule that knows more about it.
  const ruleProblems = checkRules(structure.config ?? structure.draft).filter(
    ({ path }) =>
      !structure.problems.some((problem) => problem.rule !== 'F-04' && isWithin(path, problem.path)),
  );
  const kept = structure.problems.filter(
    ({ rule, path }) =>
      rule !== 'F-04' || !ruleProblems.some((other) => other.path === path && other.severity === 'error'),
  );
  const problems = [...merged.problems, ...kept, ...ruleProblems].map((problem) =>
    locate(problem, mainSource, authServerSource),
  );
  problems.sort(
    (a, b) => rank(a) - rank(b) || compareFiles(a, b, main.file) || (a.line ?? 0) - (b.line ?? 0),
  );
  const hasError = problems.some((problem) => problem.severity === 'error');
  return { config: hasError ? null : structure.config, problems };
}

function mergeSources(
  main: YamlSource,
  authServer: YamlSource | null,
): { data: unknown; problems: Problem[] } {
  if (authServer === null || typeof main.data !== 'object' || main.data === null)
    return { data: main.data, problems: [] };
  if (!Object.hasOwn(main.data, 'authServer')) {
    return { data: { ...main.data, authServer: { runConfig: authServer.data } }, problems: [] };
  }
  const problem: Problem = {
    rule: 'F-07',
    severity: 'error',
    path: 'authServer',
    message: `is configured here and in ${authServerFileName} beside this file`,
    fix: 'keep one of the two',
  };
  return { data: main.data, problems: [problem] };
}

/** The line of the path, or of the nearest part around it that stands in a file. */
function locate(problem: Problem, main: YamlSource, authServer: YamlSource | null): Problem {
  const besideIsMeant =
    authServer !== null &&
    isWithin(problem.path, formatPath(authServerPath)) &&
    !main.lines.has('authServer');
  const source = besideIsMeant ? authServer : main;
  let nearest = '';
  for (const path of source.lines.keys()) {
    if (path.length > nearest.length && isWithin(problem.path, path)) nearest = path;
  }
  const line = source.lines.get(nearest);
  return line === undefined ? { ...problem, file: source.file } : { ...problem, file: source.file, line };
}

function rank(problem: Problem): number {
  return problem.severity === 'error' ? 0 : 1;
}

function compareFiles(a: Problem, b: Problem, mainFile: string): number {
  return Number(a.file !== mainFile) - Number(b.file !== mainFile);
}

function readText(
  file: string,
  options: { optional?: boolean } = {},
): { text: string | null } | { problem: Problem } {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (options.optional === true && code === 'ENOENT') return { text: null };
    return { problem: { rule: 'F-01', severity: 'error', path: '', ...unreadable(code), file } };
  }
}

function unreadable(code: string | undefined): { message: string; fix: string } {
  switch (code) {
    case 'ENOENT':
      return {
        message: 'the file does not exist',
        fix: 'give the path of the configuration with --config FILE',
      };
    case 'EACCES':
    case 'EPERM':
      return { message: 'the file may not be read by this user', fix: 'give this user the right to read it' };
    case 'EISDIR':
      return { message: 'this is a folder', fix: 'give the path of the configuration file in it' };
    default:
      return { message: `the file cannot be read (${code ?? 'unknown reason'})`, fix: 'check the path' };
  }
}
