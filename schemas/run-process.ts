/**
 * The life of one process: it says when it serves, drains on the first SIGTERM or SIGINT, stops hard after a limit,
 * ends with the supervisor that started it, and dies of an error with one clear line instead of a stack trace.
 *
 * A supervisor starts it with an IPC channel. Over that it sends `{ ready: true, ... }` once; when the channel
 * closes (the supervisor was killed) it stops. SIGINT is then the supervisor's business, for a terminal sends it
 * to every process of the group and the order of stopping would be lost.
 */

/** What `start` gives: facts for the supervisor (a port, an address), and the orderly stop. */
export interface RunningProcess {
  readonly ready?: Readonly<Record<string, unknown>>;
  /** Takes no new work, ends what runs, closes what is open. May be cut off by the limit. */
  stop(): Promise<void>;
}

export interface ProcessOptions {
  /** As the person who starts it knows it: `provider`, `gateway`, ... */
  readonly name: string;
  /** `signal` aborts when the process is told to stop before it serves. */
  start(context: { readonly signal: AbortSignal }): Promise<RunningProcess>;
  readonly stopLimitMs?: number;
}

/** The process cannot serve, and an operator can mend it. The message may have several lines, and no secret. */
export class StartupError extends Error {
  override readonly name: string = 'StartupError';
  readonly code: string;
  /** 2: the configuration or the arguments are wrong. 1: everything else. */
  readonly exitCode: 1 | 2;

  constructor(code: string, message: string, options: { exitCode?: 1 | 2; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** With the supervisor gone, or after an error that nobody caught, there is little to wait for. */
const shortLimitMs = 3_000;
const startLimitMs = 2_000;

export function runProcess({ name, start, stopLimitMs = 15_000 }: ProcessOptions): void {
  const supervised = process.send !== undefined;
  const abort = new AbortController();
  let ending = false;

  // Deferred, so that an error thrown at once goes the same way as a later one.
  const starting = Promise.resolve().then(() => start({ signal: abort.signal }));

  function end(exitCode: number, limitMs: number): void {
    if (ending) return;
    ending = true;
    abort.abort();
    setTimeout(() => {
      console.error(`latchkey ${name}: not done ${limitMs / 1000} s after the stop; ended hard`);
      process.exit(exitCode || 1);
    }, limitMs);
    void Promise.race([starting.catch(() => null), longStart()])
      .then((running) => running?.stop())
      .then(
        () => process.exit(exitCode),
        (error) => {
          console.error(describe(name, error));
          process.exit(1);
        },
      );
  }

  function fail(error: unknown): void {
    if (!ending) console.error(describe(name, error));
    end(exitCodeOf(error), shortLimitMs);
  }

  process.on('SIGTERM', () => end(0, stopLimitMs));
  process.on('SIGINT', () => {
    if (supervised) return;
    if (ending) process.exit(130);
    end(0, stopLimitMs);
  });
  if (supervised) process.on('disconnect', () => end(1, Math.min(shortLimitMs, stopLimitMs)));
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  if (supervised && !process.connected) end(1, shortLimitMs);

  starting.then((running) => {
    if (!ending && process.connected) process.send?.({ ready: true, ...running.ready });
  }, fail);
}

/** A start that does not heed its signal (it waits for NATS, say) is not waited for. */
function longStart(): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, startLimitMs, null));
}

function exitCodeOf(error: unknown): number {
  const code = (error as { exitCode?: unknown } | null)?.exitCode;
  return typeof code === 'number' && code > 0 ? code : 1;
}

/** The stack is for those who look for a fault: LATCHKEY_LOG_LEVEL=debug or trace. */
function describe(name: string, error: unknown): string {
  const level = process.env.LATCHKEY_LOG_LEVEL;
  if (!(error instanceof Error)) return `latchkey ${name}: something other than an error was thrown`;
  if (level === 'debug' || level === 'trace') return `latchkey ${name}: ${error.stack}`;
  if ('exitCode' in error) return `latchkey ${name}: ${error.message}`;
  // JSON.parse quotes its input, which can be anything.
  const message = error instanceof SyntaxError ? 'malformed input' : error.message.split('\n', 1)[0];
  return `latchkey ${name}: ${error.name}: ${message}`;
}
