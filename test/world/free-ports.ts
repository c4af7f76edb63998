// Ports for servers whose address must be known before they start, or stay the same over a restart. They lie below
// the range from which systems give ports to outgoing connections and to `listen(0)` (from 32768), and this process
// takes each for itself, as long as it lives, by binding the UDP port of the same number: whoever else looks for ports
// at the same time, as the next test file does, leaves it alone until its server listens, and while that is down.
import { randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const lowestPort = 20_000;
const highestPort = 32_000;

export async function findFreePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(lowestPort, highestPort + 1);
    if (await takeFree(port)) ports.push(port);
  }
  return ports;
}

/** The first of as many free ports in a row. */
export async function findFreeRow(count: number): Promise<number> {
  for (;;) {
    const first = randomInt(lowestPort, highestPort + 1);
    let taken = 0;
    while (taken < count && (await takeFree(first + taken))) taken += 1;
    if (taken === count) return first;
  }
}

const takeFree = async (port: number) => (await take(port)) && !(await isInUse(port, '127.0.0.1'));

/** False where another process, or this one, has taken it already. */
async function take(port: number): Promise<boolean> {
  const socket = dgram.createSocket('udp4').unref();
  socket.bind({ port, address: '127.0.0.1', exclusive: true });
  try {
    await once(socket, 'listening');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
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
