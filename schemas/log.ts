/**
 * The log of one process: JSON lines on stdout. An error is told by class, code and place, never by its message or
 * its fields: those of a library can hold the body of a request or an answer.
 */
import { type Logger, pino } from 'pino';
import { StartupError } from './run-process.ts';

export type Log = Logger;

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

export interface LogOptions {
  /** `gateway`, `vault`, `provider`, ... */
  readonly process: string;
  readonly bootId: string;
  readonly level?: string;
}

export function createLog({
  process: name,
  bootId,
  level = process.env.LATCHKEY_LOG_LEVEL ?? 'info',
}: LogOptions): Log {
  if (!levels.includes(level))
    throw new StartupError('log-level', `LATCHKEY_LOG_LEVEL must be one of ${levels.join(', ')}`, {
      exitCode: 2,
    });
  return pino({
    level,
    base: { process: name, bootId },
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describeError, error: describeError },
  });
}

export interface ErrorDescription {
  readonly name: string;
  readonly code?: string;
  readonly at?: string;
  readonly cause?: ErrorDescription;
}

export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = (error as { code?: unknown }).code;
  const at = /^\s+at (.*)$/m.exec(error.stack?.slice(error.stack.indexOf('\n    at ')) ?? '')?.[1];
  return {
    name: error.name,
    ...(typeof code === 'string' && /^[\w-]{1,64}$/.test(code) ? { code } : {}),
    ...(at === undefined ? {} : { at }),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}
