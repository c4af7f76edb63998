// Every rule of the project that a tool can check, in one run: types, format and lint, import directions and cycles
// (both by Biome, see .biome.json), dead code (knip), and the layout of the top level. All findings are shown, not
// only the first tool's. `--only NAME` runs one check, `--root DIR` checks another folder.
import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findStrayEntries } from './guard/layout.ts';

type Finding = { ok: boolean; output: string };

const binaries = new URL('../node_modules/.bin', import.meta.url).pathname;

async function runTool(root: string, tool: string, args: string[]): Promise<Finding> {
  const child = spawn(join(binaries, tool), args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', PATH: `${binaries}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ok: code === 0, output }));
  });
}

const checks: Record<string, (root: string) => Promise<Finding>> = {
  types: (root) => runTool(root, 'tsc', ['--noEmit']),
  biome: (root) => runTool(root, 'biome', ['check', '--error-on-warnings', '--max-diagnostics=200', '.']),
  'dead-code': (root) =>
    runTool(root, 'knip', ['--config', '.knip.json', '--no-progress', '--treat-config-hints-as-errors']),
  layout: async (root) => {
    const stray = findStrayEntries(root);
    return {
      ok: stray.length === 0,
      output: stray.map((entry) => `${entry} does not belong at the top level`).join('\n'),
    };
  },
};

const { values } = parseArgs({ options: { root: { type: 'string' }, only: { type: 'string' } } });
const root = resolve(values.root ?? new URL('..', import.meta.url).pathname);
const names = values.only === undefined ? Object.keys(checks) : [values.only];
const results = await Promise.all(
  names.map(async (name) => {
    const check = checks[name];
    if (check === undefined)
      return { name, ok: false, output: `no such check; there are ${Object.keys(checks).join(', ')}` };
    return { name, ...(await check(root)) };
  }),
);
for (const { name, ok, output } of results) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}`);
  if (!ok) console.log(output.trimEnd().replace(/^/gm, '     | '));
}
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
