/** A nats-server program, and whether Latchkey can use it: atomic batches and message TTLs need 2.12. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export const minimumVersion = '2.12.0';

export interface NatsServerBinary {
  readonly path: string;
  /** As the program says it: `2.15.1`. */
  readonly version: string;
}

/** @returns null if the program cannot be run or is no nats-server */
export async function readNatsServerVersion(path: string): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(path, ['-v'], { timeout: 10_000 });
    return /^nats-server:\s+v(\d+\.\d+\.\d+)/m.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}

export function isVersionUsable(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = minimumVersion.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
