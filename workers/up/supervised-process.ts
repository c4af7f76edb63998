/**
 * Keeps one process running. It has to say once over IPC that it serves; if it cannot, the start of the whole has
 * failed, with its own line. If it dies later it is started again, sooner at first and later each time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../../schemas/run-process.ts';
import type { ProcessLog } from './process-log.ts';

export interface SupervisedProcess {
  readonly name: string;
  /** Resolves at the first IPC message, which may come before it serves. */
  readonly firstWord: Promise<void>;
  /** Milliseconds from the spawn to the ready message. Rejects with the process's own line if it cannot start. */
  readonly ready: Promise<number>;
  /** It is not started again; SIGTERM first, SIGKILL after the limit. */
  stop(): Promise<void>;
  kill(): void;
}

export interface SupervisedProcessOptions {
  readonly name: string;
  readonly main: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly log: ProcessLog;
  /** Writes one line to the terminal. */
  readonly show: (line: string) => void;
  readonly startLimitMs?: number;
  readonly stopLimitMs?: number;
}

const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** Who lived so long starts anew without the pauses of before. */
const steadyMs = 30_000;

export function superviseProcess(options: SupervisedProcessOptions): SupervisedProcess {
  const { name, log, show, startLimitMs = 60_000, stopLimitMs = 8_000 } = options;
  const stopping = new AbortController();
  const spoken = Promise.withResolvers<void>();
  let child: ChildProcess | null = null;

  const first = start();
  const kept = first.then(({ exited }) => keepRunning(exited)).catch(() => undefined);

  /** Resolves when the process serves, with the promise of its end. */
  async function start(): Promise<{ exited: Promise<string>; tookMs: number }> {
    const startedAt = performance.now();
    const started = spawn(process.execPath, [options.main, ...options.args], {
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child = started;
    const plain: string[] = [];
    let serving = false;
    const take = (line: string) => {
      if (serving) show(line.replace(/^latchkey /, ''));
      else plain.push(line);
    };
    if (started.stdout) log.follow(started.stdout);
    if (started.stderr) log.follow(started.stderr, take);

    const exited = new Promise<string>((resolve) => {
      started.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'no process'));
      // Not `exit`: its last words may still be in the pipe.
      started.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    const said = new Promise<'ready'>((resolve) => {
      started.on('message', (message) => {
        spoken.resolve();
        if ((message as { ready?: unknown }).ready === true) resolve('ready');
      });
    });
    const limit = new AbortController();
    const outcome = await Promise.race([
      said,
      exited,
      sleep(startLimitMs, 'late' as const, { signal: limit.signal, ref: false }).catch(() => 'late' as const),
    ]);
    limit.abort();
    if (outcome === 'ready') {
      serving = true;
      return { exited, tookMs: performance.now() - startedAt };
    }
    if (outcome === 'late') {
      started.kill('SIGKILL');
      throw new StartupError('child-late', `${name}: not ready after ${startLimitMs / 1000} s`);
    }
    const exitCode = started.exitCode === 2 ? 2 : 1;
    const words = plain.join('\n').replace(/^latchkey /, '');
    throw new StartupError('child-failed', words || `${name}: ended at start (${outcome})`, { exitCode });
  }

  async function keepRunning(firstExit: Promise<string>): Promise<void> {
    let exited = firstExit;
    let aliveSince = performance.now();
    let pauseMs = firstPauseMs;
    for (;;) {
      const ending = await exited;
      if (stopping.signal.aborted) return;
      if (performance.now() - aliveSince > steadyMs) pauseMs = firstPauseMs;
      show(`${name}: ended unexpectedly (${ending}), is started again`);
      for (;;) {
        await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        if (stopping.signal.aborted) return;
        pauseMs = Math.min(2 * pauseMs, longestPauseMs);
        try {
          ({ exited } = await start());
          aliveSince = performance.now();
          show(`${name}: serves again`);
          break;
        } catch (error) {
          if (stopping.signal.aborted) return;
          show(`${(error as Error).message}; tried again in ${pauseMs / 1000} s`);
        }
      }
    }
  }

  const ready = first.then(({ tookMs }) => tookMs);
  const firstWord = Promise.race([spoken.promise, ready.then(() => undefined)]);
  // Whoever waits for one of them only gets to know; nobody waiting is no fault.
  ready.catch(() => undefined);
  firstWord.catch(() => undefined);

  return {
    name,
    firstWord,
    ready,
    async stop() {
      stopping.abort();
      const running = child;
      if (running && running.exitCode === null && running.signalCode === null && running.pid !== undefined) {
        const hard = setTimeout(() => running.kill('SIGKILL'), stopLimitMs);
        running.kill('SIGTERM');
        await new Promise((resolve) => running.once('close', resolve));
        clearTimeout(hard);
      }
      await kept;
    },
    kill() {
      stopping.abort();
      child?.kill('SIGKILL');
    },
  };
}
