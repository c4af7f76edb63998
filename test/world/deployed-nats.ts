/** A nats-server with the configuration that Latchkey ships for operators; only address, ports and store are others. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findFreePorts } from './free-ports.ts';
import type { InstallationNats } from './installation.ts';
import { findTestNatsServer } from './nats-server.ts';

export const natsConfiguration = fileURLToPath(
  new URL('../../deploy/nats/nats-server.conf', import.meta.url),
);
const shippedStore = 'store_dir: "/data"';
export const natsUsers = ['vault', 'gateway', 'operator', 'provider-corporate', 'provider-gitlab'] as const;
export type NatsUser = (typeof natsUsers)[number];

export interface DeployedNats extends InstallationNats {
  readonly monitorUrl: string;
  readonly passwords: Readonly<Record<NatsUser, string>>;
  /** What the server logged; it names every message that a user was not allowed. */
  log(): string;
}

/** In the form that the configuration asks for. */
export function createNatsPasswords(): Record<NatsUser, string> {
  const password = () => `n${randomBytes(24).toString('hex')}`;
  return Object.fromEntries(natsUsers.map((user) => [user, password()])) as Record<NatsUser, string>;
}

export function natsPasswordEnvironment(passwords: Readonly<Record<NatsUser, string>>): NodeJS.ProcessEnv {
  const variable = (user: string) => `NATS_${user.replace('-', '_').toUpperCase()}_PASSWORD`;
  return Object.fromEntries(Object.entries(passwords).map(([user, password]) => [variable(user), password]));
}

export async function openDeployedNats(): Promise<DeployedNats> {
  const { path } = await findTestNatsServer();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-deployed-nats-'));
  const logFile = join(folder, 'log');
  const [port, monitorPort] = (await findFreePorts(2)) as [number, number];
  const passwords = createNatsPasswords();
  const configFile = join(folder, 'nats-server.conf');
  const shipped = readFileSync(natsConfiguration, 'utf8');
  // Unlike address and ports, the store cannot be given beside a file that names one.
  writeFileSync(
    configFile,
    shipped.replace(shippedStore, `store_dir: ${JSON.stringify(join(folder, 'store'))}`),
  );
  let child = await launch();

  async function launch() {
    const places = ['-a', '127.0.0.1', '-p', `${port}`, '-m', `${monitorPort}`];
    const files = ['-c', configFile, '-l', logFile, '--ports_file_dir', folder];
    const server = spawn(path, [...files, ...places], {
      env: natsPasswordEnvironment(passwords),
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    // Written when the server listens, and removed by it when it stops in order.
    while (!readdirSync(folder).some((name) => name.endsWith(`_${server.pid}.ports`))) {
      if (server.exitCode !== null) throw new Error(`nats-server ended with ${server.exitCode}`);
      await sleep(20);
    }
    return server;
  }

  async function end(signal: NodeJS.Signals) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  return {
    ...{ folder, port, passwords },
    url: `nats://127.0.0.1:${port}`,
    monitorUrl: `http://127.0.0.1:${monitorPort}`,
    get pid() {
      return child.pid!;
    },
    environmentOf: (user) => ({
      LATCHKEY_NATS_USER: user,
      LATCHKEY_NATS_PASSWORD: passwords[user as NatsUser],
    }),
    log: () => readFileSync(logFile, 'utf8'),
    async start() {
      child = await launch();
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async [Symbol.asyncDispose]() {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
