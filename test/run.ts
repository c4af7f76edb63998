// Keeps the promise that a green run means every test ran and passed. uvu alone exits 0 when a hook throws,
// when a test throws something that is no Error, when a suite lacks `.run()`, and when no file matches; so each
// file runs in a process of its own and counts as passed only by the summary it printed.
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';

type FileResult = {
  file: string;
  passed: number;
  failed: number;
  problems: string[];
  output: string;
  ms: number;
};

/** Tests wait for much, as for a lease to end: one more than there are cores keeps these busy. */
const defaultAtOnce = Math.min(4, availableParallelism() + 1);
const root = new URL('..', import.meta.url).pathname;
const compileCache = join(root, 'node_modules/.cache/latchkey/compile');
const running = new Set<ChildProcess>();

function selectFiles(patterns: string[]): { files: string[]; unmatched: string[] } {
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort();
  if (patterns.length === 0) return { files: all, unmatched: [] };
  const files = new Set<string>();
  const unmatched: string[] = [];
  for (const pattern of patterns) {
    const matching = all.filter((file) => file.includes(pattern));
    const named = statSync(pattern, { throwIfNoEntry: false })?.isFile()
      ? [relative(root, pattern)]
      : matching;
    if (named.length === 0) unmatched.push(pattern);
    for (const file of named) files.add(file);
  }
  return { files: [...files], unmatched };
}

/** A suite that is declared but never run prints nothing of its own, and another suite's summary would hide it. */
function findSuitesWithoutRun(source: string): string[] {
  const suites = [...source.matchAll(/\b(?:const|let)\s+(\w+)\s*=\s*suite\s*[(<]/g)].map(
    (match) => match[1] ?? '',
  );
  if (/import\s*\{[^}]*\btest\b[^}]*\}\s*from\s*'uvu'/.test(source)) suites.push('test');
  return suites.filter((name) => !new RegExp(`\\b${name}\\.run\\(\\)`).test(source));
}

function readSummary(output: string): { total: number; passed: number; skipped: number } | null {
  const summaries = [
    ...output.matchAll(/^ {2}Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)$/gm),
  ];
  const last = summaries.at(-1);
  return last ? { total: Number(last[1]), passed: Number(last[2]), skipped: Number(last[3]) } : null;
}

/** The processes of a group that still live (a dead one waiting to be reaped has state Z). Linux only. */
function findLiving(group: number): string[] {
  if (process.platform !== 'linux') return [];
  const living: string[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(processGroup) !== group || state === 'Z') continue;
      living.push(`${entry} ${readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').join(' ').trim()}`);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  return living;
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // No process of the group is left.
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits a moment for children that end by themselves once their parent is gone. */
async function findLeftRunning(group: number): Promise<string[]> {
  for (let wait = 0; wait < 60 && findLiving(group).length > 0; wait++) await sleep(100);
  return findLiving(group);
}

async function runFile(file: string, limitSeconds: number): Promise<FileResult> {
  const startedAt = performance.now();
  // Most of what a process of the tests spends goes into reading the same modules anew.
  const environment: NodeJS.ProcessEnv = { NODE_COMPILE_CACHE: compileCache, ...process.env, NO_COLOR: '1' };
  delete environment.FORCE_COLOR;
  // A process group of its own, so that whatever the file left running is found and ended.
  const child = spawn(process.execPath, [file], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const closed = new Promise((resolve) => child.once('close', resolve));
  let timedOut = false;
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, limitSeconds * 1000);
  const ending = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(limit);
  const leftRunning = timedOut || child.pid === undefined ? [] : await findLeftRunning(child.pid);
  killGroup(child);
  await Promise.race([closed, sleep(1000)]);
  running.delete(child);

  const problems: string[] = [];
  if (timedOut) problems.push(`still running after ${limitSeconds} s`);
  else if (ending !== 'exit code 0') problems.push(`ended with ${ending}`);
  if (leftRunning.length > 0) problems.push(`left running: ${leftRunning.join('; ')}`);
  const summary = readSummary(output);
  if (summary === null) problems.push('printed no uvu summary (is `.run()` missing?)');
  else {
    if (summary.total === 0) problems.push('has no test');
    if (summary.passed !== summary.total) problems.push(`${summary.passed} of ${summary.total} passed`);
    if (summary.skipped > 0) problems.push(`${summary.skipped} skipped`);
  }
  for (const name of findSuitesWithoutRun(readFileSync(`${root}${file}`, 'utf8')))
    problems.push(`${name}.run() is missing`);
  const passed = summary?.passed ?? 0;
  const failed = problems.length === 0 ? 0 : Math.max(1, (summary?.total ?? 0) - passed);
  return { file, passed, failed, problems, output, ms: Math.round(performance.now() - startedAt) };
}

function report(result: FileResult): void {
  const verdict = result.problems.length === 0 ? 'ok  ' : 'FAIL';
  console.log(`${verdict} ${result.file}  ${result.passed} passed  ${result.ms} ms`);
  if (result.problems.length === 0) return;
  for (const problem of result.problems) console.log(`     ${problem}`);
  console.log(result.output.replace(/^/gm, '     | '));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    limit: { type: 'string', default: '240' },
    'at-once': { type: 'string', default: String(defaultAtOnce) },
  },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(1);
  });
}
const { files, unmatched } = selectFiles(positionals);
let passed = 0;
let failed = unmatched.length;
for (const pattern of unmatched) console.log(`FAIL no test file matches ${pattern}`);
if (files.length === 0 && unmatched.length === 0) {
  console.log('FAIL there is no test file');
  failed++;
}
const waiting = [...files];
const work = async () => {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const result = await runFile(file, Number(values.limit));
    report(result);
    passed += result.passed;
    failed += result.failed;
  }
};
await Promise.all(Array.from({ length: Number(values['at-once']) }, work));
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed`);
