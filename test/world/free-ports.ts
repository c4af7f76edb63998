// Ports that were free a moment ago, for servers whose address must be known before they start, or stay the same
// over a restart. All are held open until the last one is found, so no two are the same.
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

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
