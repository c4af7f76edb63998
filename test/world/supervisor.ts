// `latchkey up` as a process: what it says, what it started, and how it ends.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findFreeRow } from './free-ports.ts';
import { findTestNatsServer } from './nats-server.ts';

const latchkey = fileURLToPath(new URL('../../workers/cli/latchkey.ts', import.meta.url));
const patienceMs = 60_000;

export interface SupervisorProcess extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves with the match when what it has said so far fits; rejects when it ends without. */
  waitFor(pattern: RegExp): Promise<RegExpMatchArray>;
  said(): { stdout: string; stderr: string };
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Everything that runs below it now, by its main file. */
  descendants(): { pid: number; main: string }[];
}

export async function spawnSupervisor(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<SupervisorProcess> {
  const natsServer = await findTestNatsServer();
  const child = spawn(process.execPath, [latchkey, 'up', ...args], {
    env: { ...process.env, LATCHKEY_NATS_SERVER: natsServer.path, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    tell();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    tell();
  });
  let hasEnded = false;
  const ended = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => {
      hasEnded = true;
      resolve(signal ?? code ?? -1);
      tell();
    });
  });
  const started = new Map<number, string>();
  const descendants = () => {
    const now = descendantsOf(child.pid!);
    for (const { pid, main } of now) started.set(pid, main);
    return now;
  };
  return {
    process: child,
    pid: child.pid!,
    ended,
    descendants,
    said: () => ({ stdout, stderr }),
    waitFor(pattern) {
      return new Promise((resolve, reject) => {
        const give = () => {
          clearTimeout(limit);
          listeners.delete(look);
        };
        const fail = (why: string) => {
          give();
          reject(new Error(`${pattern}: ${why}\n${stdout}\n${stderr}`));
        };
        const limit = setTimeout(fail, patienceMs, 'not said in time');
        const look = () => {
          const match = `${stdout}\n${stderr}`.match(pattern);
          if (match) {
            give();
            resolve(match);
          } else if (hasEnded) fail('ended without saying it');
        };
        listeners.add(look);
        look();
      });
    },
    async [Symbol.asyncDispose]() {
      if (!hasEnded) {
        descendants();
        child.kill('SIGTERM');
        const hard = setTimeout(() => child.kill('SIGKILL'), 20_000);
        await ended;
        clearTimeout(hard);
      }
      // What a test killed the supervisor of, nats-server above all.
      for (const [pid, main] of started) if (mainOf(pid) === main) process.kill(pid, 'SIGKILL');
    },
  };
}

/** The first of as many ports in a row as the demo takes. */
export const findDemoPorts = () => findFreeRow(6);

export function isRunning({ pid, main }: { pid: number; main: string }): boolean {
  return mainOf(pid) === main;
}

function descendantsOf(root: number): { pid: number; main: string }[] {
  const all = listProcesses();
  const found = new Set([root]);
  let size = 0;
  while (size !== found.size) {
    size = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  found.delete(root);
  return all
    .filter(({ pid, main }) => found.has(pid) && main !== 'ps')
    .map(({ pid, main }) => ({ pid, main }));
}

function mainOf(pid: number): string | undefined {
  return listProcesses().find((one) => one.pid === pid)?.main;
}

function listProcesses(): { pid: number; parent: number; main: string }[] {
  const list = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state=,args='], { encoding: 'utf8' });
  return list
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => !state?.startsWith('Z'))
    .map(([pid, parent, , program = '', file]) => {
      const name = program.replace(/.*\//, '');
      return {
        pid: Number(pid),
        parent: Number(parent),
        main: name === 'node' ? (file ?? '').replace(/.*\/(?=[^/]+\/[^/]+$)/, '') : name,
      };
    });
}
