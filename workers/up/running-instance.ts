/**
 * By what the operator's commands find a running `latchkey up`: a file in its data folder that names its configuration
 * and, where it runs a NATS of its own, that server's address and token. The token opens no more than the keys that lie
 * in the same folder do; it is new at each start, and the file is there only while everything serves.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { StartupError } from '../../schemas/run-process.ts';
import { createPrivateFile } from '../keys/private-files.ts';

const runningInstanceSchema = z.strictObject({
  format: z.literal('latchkey-running/1'),
  config: z.string(),
  /** Null where the configuration names the servers. */
  nats: z.strictObject({ url: z.string(), token: z.string() }).nullable(),
});
export type RunningInstance = Omit<z.infer<typeof runningInstanceSchema>, 'format'>;

const fileOf = (dataFolder: string) => join(dataFolder, 'running.json');

/** Only for who holds the folder. What a killed supervisor left is replaced. */
export function announceInstance(dataFolder: string, { config, nats }: RunningInstance): void {
  withdrawInstance(dataFolder);
  const content = { format: 'latchkey-running/1', config: resolve(config), nats };
  createPrivateFile(fileOf(dataFolder), `${JSON.stringify(content, null, 2)}\n`);
}

export function withdrawInstance(dataFolder: string): void {
  rmSync(fileOf(dataFolder), { force: true });
}

/** @throws StartupError `not-running`: there is none, or it cannot be read */
export function findRunningInstance(dataFolder: string): RunningInstance {
  const file = fileOf(resolve(dataFolder));
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code;
    throw new StartupError(
      'not-running',
      why === 'ENOENT' || why === 'ENOTDIR'
        ? `no \`latchkey up\` serves with the data folder ${resolve(dataFolder)}: start it, or name the NATS to use by --config or LATCHKEY_NATS_URL, with --keys`
        : `${file} cannot be read (${why ?? 'no JSON'}): run this as the user of \`latchkey up\``,
      { cause },
    );
  }
  const running = runningInstanceSchema.safeParse(content);
  if (running.success) return running.data;
  throw new StartupError(
    'not-running',
    `${file} was written by another version of latchkey: use the version that runs \`latchkey up\``,
  );
}
