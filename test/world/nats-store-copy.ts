/** Copies of what a nats-server has stored, and their return: a backup, or a disk that did not keep what was written. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestNatsServer } from './nats-server.ts';

/** Stops the server, copies its store, and starts it again. @returns the folder of the copy */
export async function copyStore(nats: TestNatsServer): Promise<string> {
  await nats.stop();
  const copy = mkdtempSync(join(nats.folder, 'copy-'));
  cpSync(join(nats.folder, 'store'), copy, { recursive: true });
  await nats.start();
  return copy;
}

/** Kills the server, puts the copy in the place of its store, or of one stream in it, and starts it again. */
export async function putBack(nats: TestNatsServer, copy: string, stream?: string): Promise<void> {
  await nats.kill();
  const part = stream === undefined ? '' : join('jetstream', '$G', 'streams', stream);
  const place = join(nats.folder, 'store', part);
  rmSync(place, { recursive: true, force: true });
  cpSync(join(copy, part), place, { recursive: true });
  await nats.start();
}
