/**
 * A nats-server whose parent was killed goes on and holds its store. It is known by its pid file, and only a process
 * that really runs with this very configuration file is ended: pids are used again.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { StartupError } from '../../schemas/run-process.ts';

const termTimeoutMs = 5_000;
const killTimeoutMs = 5_000;

/** @throws StartupError the orphan cannot be ended */
export async function stopOrphan(pidFile: string, configFile: string): Promise<void> {
  const pid = readPid(pidFile);
  if (pid === null) return;
  const ended =
    (await signalUntilGone(pid, configFile, 'SIGTERM', termTimeoutMs)) ||
    (await signalUntilGone(pid, configFile, 'SIGKILL', killTimeoutMs));
  if (!ended)
    throw new StartupError(
      'nats-server-orphan',
      `nats-server: process ${pid} of an earlier start still holds the store and cannot be ended: end it, then start again`,
    );
  rmSync(pidFile, { force: true });
}

async function signalUntilGone(
  pid: number,
  configFile: string,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  if (!commandOf(pid).includes(configFile)) return true;
  try {
    process.kill(pid, signal);
  } catch {
    // It ended just now, or belongs to another user; what follows tells which.
  }
  while (commandOf(pid).includes(configFile)) {
    if (performance.now() > giveUpAt) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

function readPid(pidFile: string): number | null {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').trim());
    return Number.isInteger(pid) && pid > 1 ? pid : null;
  } catch {
    return null;
  }
}

/** The command line of a process; empty if there is none, or it has ended and waits for its parent. */
function commandOf(pid: number): string {
  try {
    if (process.platform === 'linux')
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
}
