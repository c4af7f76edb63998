/**
 * A nats-server whose parent was killed goes on and holds its store. It is known by its pid file, and only a process
 * that really runs with this very configuration file is ended: pids are used again.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';

const termTimeoutMs = 5_000;

export async function stopOrphan(pidFile: string, configFile: string): Promise<void> {
  const pid = readPid(pidFile);
  if (pid === null) return;
  if (commandOf(pid).includes(configFile)) {
    process.kill(pid, 'SIGTERM');
    const killAt = performance.now() + termTimeoutMs;
    while (commandOf(pid).includes(configFile)) {
      if (performance.now() > killAt) process.kill(pid, 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  rmSync(pidFile, { force: true });
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
