// Runs the MCP project's conformance suite as the process it is, and reads what it found.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { openTemporaryFolder } from './temporary-folder.ts';

export type Revision = '2025-11-25' | '2026-07-28';

const program = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'));

/** By scenario and check: how it went. A check that a scenario makes several times is numbered. */
export type ConformanceResults = ReadonlyMap<string, string>;

export function runServerConformance(url: string, revision: Revision): Promise<ConformanceResults> {
  return run(['server', '--url', url, '--requirements', revision]);
}

/**
 * @param goTo opens the address at which the person signs in; the browser ends at the client
 */
export function runAuthorizationConformance(
  order: { issuer: string; clientId: string; resource: string; callbackPort: number },
  goTo: (address: string) => Promise<void>,
): Promise<ConformanceResults> {
  const { issuer, clientId, resource, callbackPort } = order;
  const args = ['authorization', '--url', issuer, '--client-id', clientId, '--resource', resource];
  return run([...args, '--port', String(callbackPort)], async (line) => {
    if (line.startsWith(`${issuer}/`)) await goTo(line);
  });
}

async function run(
  args: readonly string[],
  onLine: (line: string) => Promise<void> = async () => {},
): Promise<ConformanceResults> {
  using folder = openTemporaryFolder();
  const child = spawn(process.execPath, [program, ...args, '-o', folder.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  for await (const line of createInterface(child.stdout)) await onLine(line.trim());
  await exited;
  return readResults(folder.path);
}

function readResults(folder: string): ConformanceResults {
  const results = new Map<string, string>();
  for (const name of readdirSync(folder)) {
    const scenario = name.replace(/^(authorization-)?server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const checks = JSON.parse(readFileSync(join(folder, name, 'checks.json'), 'utf8')) as {
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

const clientProgram = fileURLToPath(new URL('./conformance-client-process.ts', import.meta.url));

/**
 * The suite plays the server, and a gateway is to use it for a client of the version.
 * Resolves with null, or with what failed.
 */
export async function runClientConformance(
  scenario: string,
  revision: Revision,
  clientVersion: Revision,
): Promise<string | null> {
  const command = `"${process.execPath}" "${clientProgram}" ${clientVersion}`;
  const child = spawn(
    process.execPath,
    [program, 'client', '--command', command, '--scenario', scenario, '--spec-version', revision],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  const [code] = await once(child, 'close');
  return code === 0 ? null : output;
}
