/**
 * A nats-server behind a proxy that keeps every byte that passes, both ways, as somebody between the processes and NATS
 * would see it. The server itself is reached past the proxy by nobody who is given this one's address.
 */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import type { InstallationNats } from './installation.ts';
import { openNatsServer } from './nats-server.ts';

export interface RecordedNats extends InstallationNats {
  /** What one connection said, and what it was told: each whole and in order. */
  recordings(): Buffer[];
}

export async function openRecordedNats(token: string): Promise<RecordedNats> {
  const nats = await openNatsServer({ token });
  const recordings: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = createConnection({ host: '127.0.0.1', port: nats.port });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const recording: Buffer[] = [];
      recordings.push(recording);
      sockets.add(from);
      from.on('data', (data) => {
        recording.push(data);
        to.write(data);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    port: nats.port,
    folder: nats.folder,
    get pid() {
      return nats.pid;
    },
    environmentOf: () => ({ LATCHKEY_NATS_TOKEN: token }),
    kill: nats.kill,
    start: nats.start,
    stop: nats.stop,
    recordings: () => recordings.map((chunks) => Buffer.concat(chunks)),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
      await nats[Symbol.asyncDispose]();
    },
  };
}
