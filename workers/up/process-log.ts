/**
 * Where the output of a child process goes: every line into its log file, and what a person must see, warnings and
 * errors, in one readable line to the terminal, the same one once in a while only.
 */
import { openSync, renameSync, statSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const rotateBytes = 10 * 1024 * 1024;
const shown = ['warn', 'error', 'fatal'];
const repeatMs = 10_000;

export interface ProcessLog {
  /** Reads lines until the stream ends. `plain` gets those that are no log record. */
  follow(stream: Readable, plain?: (line: string) => void): void;
  /** A line of the supervisor's own about this process. */
  note(line: string): void;
}

export interface ProcessLogOptions {
  readonly name: string;
  readonly file: string;
  /** Writes one line to the terminal. */
  readonly show: (line: string) => void;
  /** Monotonic, milliseconds. */
  readonly elapsed?: () => number;
}

export function openProcessLog(options: ProcessLogOptions): ProcessLog {
  const { name, file, show, elapsed = () => performance.now() } = options;
  const lastShownAt = new Map<string, number>();
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > rotateBytes) renameSync(file, `${file}.1`);
  const handle = openSync(file, 'a', 0o600);

  function write(line: string): void {
    try {
      writeSync(handle, `${line}\n`);
    } catch {
      // A full disk must not end the processes whose log it is.
    }
  }

  function showNowAndThen(line: string): void {
    const now = elapsed();
    if (now - (lastShownAt.get(line) ?? Number.NEGATIVE_INFINITY) < repeatMs) return;
    if (lastShownAt.size > 1000) lastShownAt.clear();
    lastShownAt.set(line, now);
    show(line);
  }

  return {
    follow(stream, plain) {
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
        write(line);
        const record = readRecord(line);
        if (record === null) plain?.(line);
        else if (shown.includes(record.level ?? '')) showNowAndThen(describeRecord(name, record));
      });
    },
    note(line) {
      write(line);
    },
  };
}

interface LogRecord {
  readonly level?: string;
  readonly msg?: string;
  readonly err?: { readonly name?: string; readonly code?: string };
}

function readRecord(line: string): LogRecord | null {
  if (!line.startsWith('{')) return null;
  try {
    const record = JSON.parse(line);
    return typeof record === 'object' ? record : null;
  } catch {
    return null;
  }
}

function describeRecord(name: string, { level, msg, err }: LogRecord): string {
  const error = err === undefined ? '' : ` (${[err.name, err.code].filter(Boolean).join(' ')})`;
  return `${name}: ${level === 'warn' ? 'warning' : 'error'}: ${msg ?? 'no message'}${error}`;
}
