/** A real nats-server for one test: a store of its own in a temporary folder, a free port, gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNatsServer } from '../../workers/nats-server/find-nats-server.ts';
import { type NatsServerProcess, startNatsServer } from '../../workers/nats-server/nats-server-process.ts';

/** Shared by all test runs, so that the program is fetched once. */
const programFolder = fileURLToPath(new URL('../../node_modules/.cache/latchkey', import.meta.url));

export interface TestNatsServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Holds everything that the server writes. */
  readonly folder: string;
  readonly pid: number;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts again on the same store and port. */
  start(): Promise<void>;
  /** An orderly stop. */
  stop(): Promise<void>;
}

export const findTestNatsServer = () => findNatsServer({ env: process.env, dataFolder: programFolder });

export async function openNatsServer({ token }: { token?: string } = {}): Promise<TestNatsServer> {
  const binary = await findTestNatsServer();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-nats-'));
  const start = (port: number) =>
    startNatsServer({ binary, folder, port, ...(token === undefined ? {} : { token }) });
  let running: NatsServerProcess = await start(0);
  const { port, url } = running;
  return {
    port,
    url,
    folder,
    get pid() {
      return running.pid;
    },
    async kill() {
      running.kill();
      await running.exited;
    },
    async start() {
      running = await start(port);
    },
    stop: () => running.stop(),
    async [Symbol.asyncDispose]() {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
