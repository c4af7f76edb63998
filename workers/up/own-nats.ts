/**
 * The supervisor's own nats-server: on loopback, on a port and with a token that are new at each start, so that what
 * an earlier supervisor left behind finds no way in. If it dies it is started again under the same address, and its
 * clients come back by themselves.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { findNatsServer } from '../nats-server/find-nats-server.ts';
import { type NatsServerProcess, startNatsServer } from '../nats-server/nats-server-process.ts';
import type { NatsAccess } from './child-environment.ts';
import type { DataFolder } from './data-folder.ts';
import type { Running } from './up.ts';

const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** Between two looks whether there is room in the folder of the store again. */
const roomPauseMs = 3000;
const neededBytes = 16 * 2 ** 20;

export interface OwnNats extends Running, NatsAccess {}

/**
 * Resolves as soon as there is a program to run and an address to hand out; `ready` when it answers.
 *
 * @throws StartupError there is no nats-server and none can be fetched
 */
export async function startOwnNats({
  folder,
  show,
  ending,
}: {
  folder: DataFolder;
  show: (line: string) => void;
  ending: AbortSignal;
}): Promise<OwnNats> {
  let tried = 0;
  const binary = await findNatsServer({
    env: process.env,
    dataFolder: folder.path,
    onFetch: (source) =>
      show(
        tried++ === 0
          ? `nats: no nats-server is installed here; fetching ${source}`
          : `nats: that cannot be reached; fetching ${source}`,
      ),
  });
  const port = await findFreePort();
  ending.throwIfAborted();
  const token = randomBytes(32).toString('base64url');
  const startedAt = performance.now();
  const stopping = new AbortController();
  let server: NatsServerProcess | null = null;
  let endedOnPurpose = false;
  const start = async () => {
    const started = await startNatsServer({ binary, folder: folder.nats, port, token });
    server = started;
    if (stopping.signal.aborted) await started.stop();
    void started.storeFailed.then((reason) => startAnewWithRoom(started, reason));
    return started;
  };

  const first = start();
  const ready = first.then(() => performance.now() - startedAt);
  ready.catch(() => undefined);
  const kept = first.then(({ exited }) => keepRunning(exited)).catch(() => undefined);

  /** Its end has it started again. */
  async function startAnewWithRoom(failed: NatsServerProcess, reason: string): Promise<void> {
    show(
      `nats: its store cannot be written (${reason}): nothing new is stored; it is started anew when there is room in ${folder.nats}`,
    );
    do await sleep(roomPauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    while (!stopping.signal.aborted && !hasRoom(folder.nats));
    if (stopping.signal.aborted) return;
    endedOnPurpose = true;
    await failed.stop();
  }

  async function keepRunning(firstExit: NatsServerProcess['exited']): Promise<void> {
    let exited = firstExit;
    for (;;) {
      const { code, signal } = await exited;
      if (stopping.signal.aborted) return;
      const why = endedOnPurpose ? 'ended' : `ended unexpectedly (${signal ?? `exit code ${code}`})`;
      endedOnPurpose = false;
      show(`nats: ${why}, is started again`);
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
        await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        if (stopping.signal.aborted) return;
        try {
          ({ exited } = await start());
          show('nats: serves again');
          break;
        } catch (error) {
          show(`${(error as Error).message}; tried again`);
        }
      }
    }
  }

  return {
    name: 'nats',
    url: `nats://127.0.0.1:${port}`,
    token,
    ready,
    async stop() {
      stopping.abort();
      await first.catch(() => undefined);
      await server?.stop();
      await kept;
    },
    kill() {
      stopping.abort();
      server?.kill();
    },
  };
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= neededBytes;
  } catch {
    // Whatever became of the folder, the server has not got it back yet.
    return false;
  }
}

/** Another program could take it in between; then the start ends with a line that says so, and the next one works. */
async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await once(probe.close(), 'close');
  return port;
}
