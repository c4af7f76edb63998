/**
 * Whether a nats-server can still write its store. Since 2.14 a stream that could not be written once takes nothing more
 * until the server is started again, also when there is room again; its log alone tells.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';

const lookEveryMs = 1000;
const longestPieceBytes = 64 * 1024;

export interface StoreFailure extends Disposable {
  /** What the operating system said, such as `no space left on device`. Does not resolve while all is well. */
  readonly seen: Promise<string>;
}

/** @param from where the log of this server begins in the file */
export function watchForStoreFailure(logFile: string, from: number): StoreFailure {
  const { promise, resolve } = Promise.withResolvers<string>();
  let at = from;
  let rest = '';
  const timer = setInterval(() => {
    for (;;) {
      const piece = readPiece(logFile, at);
      if (piece === null) return;
      at = piece.end;
      const lines = `${rest}${piece.text}`.split('\n');
      rest = lines.pop() ?? '';
      const reason = lines.map(reasonOf).find((found) => found !== null);
      if (reason == null) continue;
      clearInterval(timer);
      resolve(reason);
      return;
    }
  }, lookEveryMs);
  timer.unref();
  return { seen: promise, [Symbol.dispose]: () => clearInterval(timer) };
}

/** The second line comes again and again: the first one may have found no room in the log. */
const tellingLines = [
  /Critical write error: .*?([^:]+)$/,
  /failed to store a msg on stream .*: write .*?([^:]+)$/,
];

function reasonOf(line: string): string | null {
  const found = tellingLines.map((telling) => telling.exec(line)?.[1]).find((reason) => reason !== undefined);
  return found?.trim() ?? null;
}

/** null: there is nothing new. */
function readPiece(file: string, from: number): { text: string; end: number } | null {
  try {
    const { size } = statSync(file);
    // Shorter than before: the server began a new file.
    const start = size < from ? 0 : from;
    if (size === start) return null;
    const piece = Buffer.alloc(Math.min(size - start, longestPieceBytes));
    const handle = openSync(file, 'r');
    try {
      const length = readSync(handle, piece, 0, piece.length, start);
      return length === 0 ? null : { text: piece.toString('utf8', 0, length), end: start + length };
    } finally {
      closeSync(handle);
    }
  } catch {
    return null;
  }
}
