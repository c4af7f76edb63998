// The process of the reference server. It listens on loopback only (the package itself would listen on every
// address), tells its parent the port, and ends when the parent is gone, however that died.
import { enableCompileCache } from 'node:module';
import net from 'node:net';

enableCompileCache();
process.on('disconnect', () => process.exit());

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (this: net.Server, port: unknown, onListening?: () => void) {
  this.once('listening', () => process.send?.({ port: (this.address() as net.AddressInfo).port }));
  return listen.call(this, { port: Number(port), host: process.env.LISTEN_ON }, onListening);
} as typeof listen;

const programs = {
  sse: import.meta.resolve('@modelcontextprotocol/server-everything/dist/transports/sse.js'),
  'streamable-http': import.meta.resolve(
    '@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js',
  ),
};
await import(process.env.TRANSPORT === 'sse' ? programs.sse : programs['streamable-http']);
// The terminal's Ctrl-C reaches every process of the group; whoever started this one decides when it ends.
process.removeAllListeners('SIGINT');
process.on('SIGINT', () => {});
