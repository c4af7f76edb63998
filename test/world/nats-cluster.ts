/** Real nats-servers as one cluster, or one alone, with a limit on what they store; gone afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type NatsConnection } from 'nats';
import { findFreePorts } from './free-ports.ts';
import { findTestNatsServer } from './nats-server.ts';

export interface NatsClusterNode {
  readonly name: string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts again on the same store and port. */
  start(change?: { maxFileStore?: string }): void;
}

export interface TestNatsCluster extends AsyncDisposable {
  /** Of all nodes, with commas. */
  readonly url: string;
  readonly nodes: readonly NatsClusterNode[];
  /** Resolves when streams can be made. */
  ready(): Promise<void>;
}

export async function openNatsCluster(
  options: { size?: 1 | 3; maxFileStore?: string } = {},
): Promise<TestNatsCluster> {
  const { size = 3, maxFileStore } = options;
  const { path } = await findTestNatsServer();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-nats-cluster-'));
  const ports = await findFreePorts(2 * size);
  const routes = ports.slice(size).map((port) => `nats://127.0.0.1:${port}`);
  const url = ports
    .slice(0, size)
    .map((port) => `nats://127.0.0.1:${port}`)
    .join(',');

  const nodes = Array.from({ length: size }, (_, index) => {
    const name = `node-${index + 1}`;
    const home = join(folder, name);
    mkdirSync(home);
    let child: ChildProcess | undefined;
    const start = (change: { maxFileStore?: string } = { ...(maxFileStore && { maxFileStore }) }) => {
      const limit = change.maxFileStore === undefined ? [] : [`  max_file_store: ${change.maxFileStore}`];
      const cluster = ['cluster {', '  name: test', `  listen: "127.0.0.1:${ports[size + index]}"`];
      const lines = [
        ...['host: "127.0.0.1"', `port: ${ports[index]}`, `server_name: ${name}`],
        `log_file: ${JSON.stringify(join(home, 'log'))}`,
        ...['jetstream {', `  store_dir: ${JSON.stringify(join(home, 'store'))}`],
        ...['  sync_interval: always', ...limit, '}'],
        ...(size === 1 ? [] : [...cluster, `  routes: ${JSON.stringify(routes)}`, '}']),
      ];
      writeFileSync(join(home, 'conf'), lines.join('\n'));
      child = spawn(path, ['-c', join(home, 'conf')], { stdio: 'ignore' });
    };
    start();
    return {
      name,
      start,
      async kill() {
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      },
    };
  });

  return {
    url,
    nodes,
    async ready() {
      await using connection = await connectWhenUp(url);
      const probe = { name: 'PROBE', subjects: ['probe'], num_replicas: size };
      for (;;) {
        try {
          const manager = await connection.jetstreamManager({ timeout: 1000 });
          await manager.streams.add(probe);
          await manager.streams.delete(probe.name);
          return;
        } catch {
          await sleep(100);
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function connectWhenUp(url: string): Promise<NatsConnection & AsyncDisposable> {
  for (;;) {
    try {
      const connection = await connect({ servers: url.split(',') });
      return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
    } catch {
      await sleep(50);
    }
  }
}
