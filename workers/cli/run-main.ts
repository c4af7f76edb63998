/** Runs the main module of a process in the place of this one, so that signals and exit codes are its own. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** @param main as seen from the project's folder; the wall between the parts is kept, for nothing is imported */
export async function runMain(main: string, args: readonly string[]): Promise<number> {
  const argv = [fileURLToPath(new URL(`../../${main}`, import.meta.url)), ...args];
  if (process.execve) process.execve(process.execPath, [process.execPath, ...argv], process.env);

  // Where a process cannot be replaced (Windows), it stands in between.
  const child = spawn(process.execPath, argv, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}
