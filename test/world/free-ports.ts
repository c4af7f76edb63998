// Ports that were free a moment ago, for servers whose address must be known before they start, or stay the same
// over a restart. They lie below the range from which systems give ports to outgoing connections and to `listen(0)`
// (from 32768), so nobody is given one between the look and the use; all are held open until the last one is found.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const lowestPort = 20_000;
const highestPort = 32_000;

export async function findFreePorts(count: number): Promise<number[]> {
  const held = new Map<number, net.Server>();
  while (held.size < count) {
    const port = randomInt(lowestPort, highestPort + 1);
    if (held.has(port)) continue;
    const server = await tryListen(port, '127.0.0.1');
    if (server !== null) held.set(port, server);
  }
  await Promise.all([...held.values()].map((server) => once(server.close(), 'close')));
  return [...held.keys()];
}

/**
 * The first of the ports that something still listens on after `waitMs`, or null. The wait lets a process end that
 * was left behind by a parent killed a moment ago.
 */
export async function findPortInUse(ports: number[], host: string, waitMs: number): Promise<number | null> {
  const deadline = Date.now() + waitMs;
  for (const port of ports) {
    while (await isInUse(port, host)) {
      if (Date.now() > deadline) return port;
      await sleep(50);
    }
  }
  return null;
}

async function isInUse(port: number, host: string): Promise<boolean> {
  const server = await tryListen(port, host);
  if (server === null) return true;
  await once(server.close(), 'close');
  return false;
}

/** Null where somebody listens already. */
async function tryListen(port: number, host: string): Promise<net.Server | null> {
  const server = net.createServer().listen(port, host);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return null;
    throw error;
  }
}
