/**
 * The data folder of `latchkey up`: readable by its owner only, of one instance for its whole life, and used by one
 * supervisor at a time. Whoever holds it holds a lock of the operating system, which ends with the process.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { instanceIdSchema } from '../../schemas/ids.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { lockFolder } from '../folder-lock.ts';
import { ensureKeyFolder, rootKeyFileName } from '../keys/key-folder.ts';
import { createPrivateFile, ensureFolder, ensurePrivateFolder } from '../keys/private-files.ts';

export const defaultDataFolder = '.latchkey';

export interface DataFolder extends Disposable {
  readonly path: string;
  readonly keys: string;
  readonly nats: string;
  readonly vault: string;
  readonly demo: string;
  readonly logs: string;
  /** The one that held the folder before did not end in order: what it started may live for another moment. */
  readonly wasCutOff: boolean;
  /** Makes what is missing of the keys. @throws StartupError if keys and data are not of one instance */
  ensureKeys(providers: readonly string[]): void;
}

const instanceFileSchema = z.object({ format: z.literal('latchkey-data/1'), instanceId: instanceIdSchema });

/** @throws StartupError */
export function openDataFolder(folder: string): DataFolder {
  const path = resolve(folder);
  ensurePrivateFolder(path, 'data folder');
  const instanceFile = join(path, 'instance.json');
  const instanceId = readInstanceId(path, instanceFile);
  const pidFile = join(path, 'up.pid');
  const lock = lockFolder(path, 'up.lock', () => {
    const holder = existsSync(pidFile) ? ` (process ${readFileSync(pidFile, 'utf8').trim()})` : '';
    return `data folder ${path} is used by another \`latchkey up\`${holder}: stop that one, or choose another folder with --data DIR`;
  });
  const wasCutOff = existsSync(pidFile);
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });

  const data = {
    path,
    keys: join(path, 'keys'),
    nats: join(path, 'nats'),
    vault: join(path, 'vault'),
    demo: join(path, 'demo'),
    logs: join(path, 'logs'),
    wasCutOff,
    ensureKeys(providers: readonly string[]) {
      if (instanceId !== null && !existsSync(join(data.keys, rootKeyFileName)))
        throw new StartupError(
          'keys-missing',
          `data folder ${path} has data but no ${join('keys', rootKeyFileName)}: put the keys of this instance back, or start with another folder (--data DIR)`,
        );
      const keys = ensureKeyFolder(data.keys, providers);
      if (instanceId !== null && keys.instanceId !== instanceId)
        throw new StartupError(
          'other-instance',
          `data folder ${path} belongs to the instance ${instanceId}, its keys to ${keys.instanceId}: put the right keys back`,
        );
      createPrivateFile(
        instanceFile,
        `${JSON.stringify({ format: 'latchkey-data/1', instanceId: keys.instanceId })}\n`,
      );
    },
    [Symbol.dispose]() {
      rmSync(pidFile, { force: true });
      lock[Symbol.dispose]();
    },
  };
  for (const part of [data.nats, data.vault, data.logs]) ensureFolder(part, 'folder');
  return data;
}

function readInstanceId(path: string, instanceFile: string): string | null {
  if (!existsSync(instanceFile)) {
    const own = ['up.lock', 'up.pid', 'keys', 'nats', 'vault', 'logs', 'bin', 'demo'];
    const foreign = readdirSync(path).find((name) => !own.some((known) => name.startsWith(known)));
    if (foreign === undefined) return null;
    throw new StartupError(
      'not-a-data-folder',
      `data folder ${path} is not empty and was not made by latchkey (it has ${foreign}): choose another with --data DIR`,
    );
  }
  let content: unknown = null;
  try {
    content = JSON.parse(readFileSync(instanceFile, 'utf8'));
  } catch {
    // Refused below like any other content.
  }
  const instance = instanceFileSchema.safeParse(content);
  if (instance.success) return instance.data.instanceId;
  throw new StartupError(
    'data-format',
    `data folder ${path} has another format (${instanceFile} is not latchkey-data/1): use the version of latchkey that made it, or another folder (--data DIR)`,
  );
}
