// Runs the MCP project's conformance suite as the process it is, and reads what it found.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTemporaryFolder } from './temporary-folder.ts';

/** By scenario and check: how it went. A check that a scenario makes several times is numbered. */
export type ConformanceResults = ReadonlyMap<string, string>;

export async function runServerConformance(
  url: string,
  revision: '2025-11-25' | '2026-07-28',
): Promise<ConformanceResults> {
  using folder = openTemporaryFolder();
  const program = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'));
  const child = spawn(
    process.execPath,
    [program, 'server', '--url', url, '--requirements', revision, '-o', folder.path],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await once(child, 'exit');

  const results = new Map<string, string>();
  for (const name of readdirSync(folder.path)) {
    const scenario = name.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const checks = JSON.parse(readFileSync(join(folder.path, name, 'checks.json'), 'utf8')) as {
      id: string;
      status: string;
      errorMessage?: string;
    }[];
    for (const { id, status, errorMessage } of checks) {
      let key = `${scenario}: ${id}`;
      for (let count = 2; results.has(key); count += 1) key = `${scenario}: ${id} (${count})`;
      results.set(key, errorMessage === undefined ? status : `${status}: ${errorMessage}`);
    }
  }
  return results;
}
