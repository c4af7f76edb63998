/**
 * A nats-server child on loopback with JetStream on disk, which acknowledges only what is synced to it
 * (`sync_interval: always`; by default JetStream acknowledges before it fsyncs). An orphan that a killed parent left
 * on the same store is stopped first.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join, resolve as resolvePath } from 'node:path';
import { StartupError } from '../../schemas/run-process.ts';
import type { NatsServerBinary } from './nats-server-binary.ts';
import { stopOrphan } from './orphan.ts';
import { watchForStoreFailure } from './store-failure.ts';

export interface NatsServerProcess extends AsyncDisposable {
  /** `nats://127.0.0.1:<port>`, without credentials. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The end of the process, however it came. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Resolves with the reason when its store could not be written: it stores no more until it is started again. */
  readonly storeFailed: Promise<string>;
  stop(): Promise<void>;
  kill(): void;
}

export interface NatsServerOptions {
  readonly binary: NatsServerBinary;
  /** Holds the JetStream store, the configuration, the pid and the log of the server; made with mode 0700. */
  readonly folder: string;
  /** 0: a free one. */
  readonly port?: number;
  /** What a client must present; it stands in the configuration file (mode 0600) and nowhere else. */
  readonly token?: string;
  readonly startTimeoutMs?: number;
}

const logLimitBytes = 10 * 1024 * 1024;
const stopTimeoutMs = 10_000;

/** @throws StartupError the port is in use, or the server does not come up: one line, and where its log is */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServerProcess> {
  const { binary, port = 0, startTimeoutMs = 20_000 } = options;
  // An orphan is known by the path of its configuration, so that must not depend on where it was started.
  const folder = resolvePath(options.folder);
  const ports = join(folder, 'ports');
  const pidFile = join(folder, 'nats-server.pid');
  const logFile = join(folder, 'nats-server.log');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const configFile = join(folder, 'nats-server.conf');
  await stopOrphan(pidFile, configFile);
  rmSync(ports, { recursive: true, force: true });
  mkdirSync(ports, { mode: 0o700 });
  const logStart = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  rmSync(configFile, { force: true });
  writeFileSync(configFile, configuration({ ...options, folder, port, ports, pidFile, logFile }), {
    mode: 0o600,
    flag: 'wx',
  });

  // A group of its own: Ctrl-C in the terminal must reach it last, through its parent.
  const child = spawn(binary.path, ['-c', configFile], { stdio: 'ignore', detached: true });
  // The server writes it too, but a parent that is killed before that would leave an orphan that nobody knows.
  if (child.pid !== undefined) writeFileSync(pidFile, String(child.pid), { mode: 0o600 });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  const readPort = await waitUntilReady({ child, ports, startTimeoutMs }).catch((why: Error) => {
    child.kill('SIGKILL');
    throw notStarted(why.message, { port, logFile, logStart });
  });

  const storeFailure = watchForStoreFailure(logFile, logStart);
  void exited.then(() => storeFailure[Symbol.dispose]());

  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await exited;
    clearTimeout(timer);
  };
  return {
    url: `nats://127.0.0.1:${readPort}`,
    port: readPort,
    pid: child.pid!,
    exited,
    storeFailed: storeFailure.seen,
    stop,
    kill: () => void child.kill('SIGKILL'),
    [Symbol.asyncDispose]: stop,
  };
}

function configuration(
  options: NatsServerOptions & { ports: string; pidFile: string; logFile: string },
): string {
  const { folder, port, token, ports, pidFile, logFile } = options;
  const text = (value: string) => JSON.stringify(value);
  return [
    '# Written by Latchkey at every start.',
    'host: "127.0.0.1"',
    `port: ${port === 0 ? -1 : port}`,
    `pid_file: ${text(pidFile)}`,
    `ports_file_dir: ${text(ports)}`,
    `log_file: ${text(logFile)}`,
    `log_size_limit: ${logLimitBytes}`,
    'log_max_num: 2',
    ...(token === undefined ? [] : [`authorization { token: ${text(token)} }`]),
    'jetstream {',
    `  store_dir: ${text(join(folder, 'store'))}`,
    '  # Acknowledge only what is on disk.',
    '  sync_interval: always',
    '}',
    '',
  ].join('\n');
}

/** The server writes its ports into a file when it listens; it answers then. */
async function waitUntilReady(options: {
  child: ChildProcess;
  ports: string;
  startTimeoutMs: number;
}): Promise<number> {
  const giveUpAt = performance.now() + options.startTimeoutMs;
  while (performance.now() < giveUpAt) {
    const { exitCode, signalCode, pid } = options.child;
    if (pid === undefined) throw new Error('it cannot be run');
    if (exitCode !== null || signalCode !== null) throw new Error('it ended at once');
    const port = readPortsFile(options.ports);
    if (port !== null && (await answers(port))) return port;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`it was not ready within ${Math.round(options.startTimeoutMs / 1000)} s`);
}

function readPortsFile(folder: string): number | null {
  const file = readdirSync(folder).find((name) => name.endsWith('.ports'));
  if (!file) return null;
  try {
    const { nats } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nats?: string[] };
    return nats?.[0] ? Number(new URL(nats[0]).port) : null;
  } catch {
    return null; // half written
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket
      .once('data', () => end(true))
      .once('error', () => end(false))
      .setTimeout(1000, () => end(false));
    function end(yes: boolean) {
      socket.destroy();
      resolve(yes);
    }
  });
}

function notStarted(why: string, at: { port: number; logFile: string; logStart: number }): StartupError {
  const log = readLog(at.logFile, at.logStart);
  if (/address already in use/.test(log)) {
    return new StartupError('port-in-use', `nats-server: port ${at.port} is in use: stop what uses it`);
  }
  return new StartupError('nats-server-failed', `nats-server: ${why}: see ${at.logFile}`);
}

function readLog(file: string, start: number): string {
  try {
    const log = readFileSync(file);
    // Shorter than before: the server began a new file.
    return log.subarray(log.length < start ? 0 : start).toString();
  } catch {
    return ''; // It did not come so far as to write one.
  }
}
