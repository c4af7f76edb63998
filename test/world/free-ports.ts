// Ports that were free a moment ago, for servers whose address must be known before they start, or stay the same
// over a restart. All are held open until the last one is found, so no two are the same.
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export async function findFreePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
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
  const server = net.createServer().listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return true;
    throw error;
  }
  await once(server.close(), 'close');
  return false;
}
