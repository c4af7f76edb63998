/** The command `latchkey` as an operator runs it: a process of its own, with the environment and keys that it is given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const latchkey = fileURLToPath(new URL('../../workers/cli/latchkey.ts', import.meta.url));

export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [latchkey, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [status] = await once(child, 'close');
  return { status: status as number | null, stdout, stderr };
}

/** With the keys of the installation, which the command finds by its environment. */
export function runOperatorCommand(
  { keys, environmentOf }: { readonly keys: string; environmentOf(process: 'operator'): NodeJS.ProcessEnv },
  ...args: string[]
) {
  return runCommand([...args, '--keys', keys], environmentOf('operator'));
}
