/**
 * The folder of an instance's keys: the root key, one file per role derived from it, and the vault's key ring. What
 * is there is never changed; a provider that is added gets its file, and the vault's file gains the pair with it. A provider's
 * file from before there were keys of one role alone gains that.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { createInstanceId, instanceIdSchema } from '../../schemas/ids.ts';
import { providerNamePattern } from '../../schemas/provider.ts';
import {
  deriveRoleKeyFile,
  type RoleKeyFile,
  readKeyJson,
  readRoleKeys,
  roleKeyFileName,
} from '../../schemas/role-key-file.ts';
import type { Role } from '../../schemas/role-keys.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { createKeyRingFile } from '../../vault/sealing/key-ring.ts';
import { createPrivateFile, ensurePrivateFolder, replacePrivateFile } from './private-files.ts';

export const rootKeyFileName = 'root.key';
export const keyRingFileName = 'vault.keyring.json';

const rootKeySchema = z.strictObject({
  format: z.literal('latchkey-root-key/1'),
  instanceId: instanceIdSchema,
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
type RootKey = z.infer<typeof rootKeySchema>;

export interface KeyFolder {
  readonly instanceId: string;
  /** The files that were made, and the one that gained a key; empty if all was there. */
  readonly created: readonly string[];
  readonly extended: readonly string[];
}

/** @throws StartupError with one line for the operator */
export function ensureKeyFolder(folder: string, providers: readonly string[]): KeyFolder {
  ensurePrivateFolder(folder, 'key folder');
  const known = [...new Set([...findProviders(folder), ...providers])].sort();
  const rootFile = join(folder, rootKeyFileName);
  return existsSync(rootFile)
    ? completeKeys(folder, readRootKey(rootFile), known)
    : createKeys(folder, known);
}

/** The root key comes last: where it is, the key ring was made, and a missing ring is never replaced by another. */
function createKeys(folder: string, providers: readonly string[]): KeyFolder {
  const present = readdirSync(folder).filter((name) =>
    /^root\.key$|\.keys\.json$|\.keyring\.json$/.test(name),
  );
  if (present.length > 0)
    throw new StartupError(
      'root-key-missing',
      `key folder ${folder} has ${present[0]} but no ${rootKeyFileName}: put the ${rootKeyFileName} of this instance there, or choose an empty folder`,
    );
  const root: RootKey = {
    format: 'latchkey-root-key/1',
    instanceId: createInstanceId(),
    key: randomBytes(32).toString('base64url'),
  };
  const files: [string, object][] = [
    ...roleFiles(root, providers),
    [keyRingFileName, createKeyRingFile(root.instanceId)],
    [rootKeyFileName, root],
  ];
  for (const [name, content] of files)
    if (!writeOnce(folder, name, content))
      throw new StartupError(
        'keys-in-use',
        `key folder ${folder} is being filled by another process: try again`,
      );
  const created = files.map(([name]) => name);
  return { instanceId: root.instanceId, created, extended: [] };
}

function completeKeys(folder: string, root: RootKey, providers: readonly string[]): KeyFolder {
  const created: string[] = [];
  const extended: string[] = [];
  for (const [name, content] of roleFiles(root, providers)) {
    if (writeOnce(folder, name, content)) {
      created.push(name);
      continue;
    }
    const present = readRoleKeys(join(folder, name), { role: content.role, instanceId: root.instanceId });
    const missing = Object.entries(content.pairs).filter(([pair]) => !(pair in present.pairs));
    const own = content.own !== undefined && present.own === undefined ? { own: content.own } : {};
    if (missing.length === 0 && !('own' in own)) continue;
    const current = readKeyJson(join(folder, name)) as RoleKeyFile;
    const pairs = { ...current.pairs, ...Object.fromEntries(missing) };
    replacePrivateFile(join(folder, name), serialise({ ...current, pairs, ...own }));
    extended.push(name);
  }
  return { instanceId: root.instanceId, created, extended };
}

function roleFiles(root: RootKey, providers: readonly string[]): [string, RoleKeyFile & { role: Role }][] {
  const rootKey = Buffer.from(root.key, 'base64url');
  const roles: Role[] = [
    'gateway',
    'vault',
    'operator',
    ...providers.map((name): Role => `provider:${name}`),
  ];
  return roles.map((role) => [
    roleKeyFileName(role),
    deriveRoleKeyFile({ rootKey, instanceId: root.instanceId, role, providers }),
  ]);
}

function findProviders(folder: string): string[] {
  return readdirSync(folder)
    .map((file) => /^provider\.(.+)\.keys\.json$/.exec(file)?.[1])
    .filter((name) => name !== undefined && providerNamePattern.test(name)) as string[];
}

function readRootKey(file: string): RootKey {
  const remedy = 'put back the one of this instance';
  const root = rootKeySchema.safeParse(readKeyJson(file, { missing: remedy, damaged: remedy }));
  if (!root.success)
    throw new StartupError('root-key-malformed', `${file} is not a latchkey-root-key/1 file: ${remedy}`);
  return root.data;
}

function writeOnce(folder: string, name: string, content: object): boolean {
  const file = join(folder, name);
  return !existsSync(file) && createPrivateFile(file, serialise(content));
}

function serialise(content: object): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}
