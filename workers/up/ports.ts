/** Finds out whether the ports are free before anything is started, so that the one line names the port at once. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../../schemas/run-process.ts';

export interface NeededPort {
  readonly port: number;
  readonly host: string;
  readonly usedBy: string;
}

/**
 * @param patienceMs how long to wait for ports that a run before may still hold
 * @param remedy how to choose another port
 * @throws StartupError `port-in-use`; `cannot-listen` the address is none of this machine, or the port not for this user
 */
export async function assertPortsFree(
  ports: readonly NeededPort[],
  { patienceMs, remedy }: { patienceMs: number; remedy: string },
): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const codes = await Promise.all(ports.map(tryPort));
    const at = codes.findIndex((code) => code !== null);
    const taken = ports[at];
    if (taken === undefined) return;
    const code = codes[at];
    if (code !== 'EADDRINUSE') throw new StartupError('cannot-listen', cannotListen(taken, code));
    if (performance.now() >= giveUpAt)
      throw new StartupError('port-in-use', `port ${taken.port} (${taken.usedBy}) is in use: ${remedy}`);
    await sleep(100);
  }
}

function cannotListen({ host, port, usedBy }: NeededPort, code: string | null | undefined): string {
  const remedy =
    code === 'EACCES'
      ? 'choose a port from 1024 on, or let this user listen below'
      : 'set gateway.listen.host to an address of this machine';
  return `${host} port ${port} (${usedBy}) cannot be listened on (${code}): ${remedy}`;
}

function tryPort({ port, host }: NeededPort): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'unknown reason'));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
