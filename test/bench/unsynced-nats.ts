/** A nats-server that leaves it to the system when its files are written: what is filled in here is lost in a power cut. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts } from '../world/free-ports.ts';
import { findTestNatsServer } from '../world/nats-server.ts';

export interface UnsyncedNats extends AsyncDisposable {
  readonly url: string;
}

/** @param folder holds its store; what is in it already is served again */
export async function openUnsyncedNats(folder: string): Promise<UnsyncedNats> {
  const { path } = await findTestNatsServer();
  const [port] = await findFreePorts(1);
  mkdirSync(folder, { recursive: true });
  const configuration = join(folder, 'nats-server.conf');
  const lines = [
    ...['host: "127.0.0.1"', `port: ${port}`, `log_file: ${JSON.stringify(join(folder, 'log'))}`],
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`,
  ];
  writeFileSync(configuration, lines.join('\n'));
  const child = spawn(path, ['-c', configuration], { stdio: 'ignore' });
  return {
    url: `nats://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}
