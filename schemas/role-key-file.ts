/**
 * The key file of one role on disk: made by `latchkey keys init`, read once at start by the process of that role.
 * A file that is missing, readable by others, of another role or of another instance stops the start with one
 * line that says what to do; no message ever holds a key.
 */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import type * as z from 'zod';
import {
  deriveOwnKey,
  derivePairKey,
  pairsOf,
  type Role,
  type RoleKeys,
  type RolePair,
  roleKeysSchema,
} from './role-keys.ts';
import { StartupError } from './run-process.ts';

/** What stands in the file: keys as base64url text. */
export type RoleKeyFile = z.input<typeof roleKeysSchema>;

export class RoleKeyFileError extends StartupError {
  override readonly name = 'RoleKeyFileError';
  declare readonly code:
    | 'missing'
    | 'unreadable'
    | 'too-open'
    | 'malformed'
    | 'wrong-role'
    | 'other-instance';

  constructor(code: RoleKeyFileError['code'], message: string) {
    super(code, message);
  }
}

const providerRole = 'provider:';

/** `gateway.keys.json`, `provider.corporate.keys.json`, ... */
export function roleKeyFileName(role: Role): string {
  return `${role.replace(':', '.')}.keys.json`;
}

/**
 * @param path the file, or the folder that holds it under its usual name
 * @param expected.role the role of the process that reads
 * @param expected.instanceId where the reader knows its instance already
 * @throws RoleKeyFileError
 */
export function readRoleKeys(path: string, expected: { role: Role; instanceId?: string }): RoleKeys {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? join(path, roleKeyFileName(expected.role)) : path;
  const keys = roleKeysSchema.safeParse(readKeyJson(file));
  if (!keys.success) {
    const where = keys.error.issues.map((issue) => issue.path.join('.') || 'the whole').join(', ');
    throw new RoleKeyFileError(
      'malformed',
      `key file ${file} is not a latchkey-role-keys/1 file (wrong: ${where}): ${roleKeyRemedies.damaged}`,
    );
  }
  const { role, instanceId } = keys.data;
  if (role !== expected.role)
    throw new RoleKeyFileError(
      'wrong-role',
      `key file ${file} is for the role ${role}: this process needs ${roleKeyFileName(expected.role)}`,
    );
  if (expected.instanceId !== undefined && instanceId !== expected.instanceId)
    throw new RoleKeyFileError(
      'other-instance',
      `key file ${file} belongs to the instance ${instanceId}, expected ${expected.instanceId}: use the key files that were made together`,
    );
  return keys.data;
}

/** What `latchkey keys init` writes for a role, from the root key of the instance. */
export function deriveRoleKeyFile(options: {
  rootKey: Buffer;
  instanceId: string;
  role: Role;
  /** Every provider of the instance; the vault shares a key with each. */
  providers: readonly string[];
  generation?: number;
}): RoleKeyFile {
  const { rootKey, instanceId, role, providers, generation = 1 } = options;
  const pairs: Partial<Record<RolePair, { generation: number; key: string }[]>> = {};
  for (const pair of pairsOf(role, providers))
    pairs[pair] = [{ generation, key: derivePairKey(rootKey, pair, generation) }];
  const file: RoleKeyFile = { format: 'latchkey-role-keys/1', instanceId, role, pairs };
  if (!role.startsWith(providerRole)) return file;
  const key = deriveOwnKey(rootKey, role.slice(providerRole.length), generation);
  return { ...file, own: [{ generation, key }] };
}

/** What to do about a key file. */
export interface KeyFileRemedies {
  readonly missing: string;
  readonly damaged: string;
}

/** It is derived from the root key, so the same one can be made again. */
const roleKeyRemedies: KeyFileRemedies = {
  missing: 'make it with `latchkey keys init`',
  damaged: 'put it back, or remove it and run `latchkey keys init` on the folder that has root.key',
};

/** Reads a JSON file that holds a key, and refuses one that other accounts of the machine could read. */
export function readKeyJson(file: string, remedies: KeyFileRemedies = roleKeyRemedies): unknown {
  let text: string;
  try {
    assertPrivate(file, statSync(file));
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof RoleKeyFileError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new RoleKeyFileError('missing', `key file ${file} does not exist: ${remedies.missing}`);
    throw new RoleKeyFileError(
      'unreadable',
      `key file ${file} cannot be read (${code}): check its owner and mode`,
    );
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new RoleKeyFileError('malformed', `key file ${file} is not JSON: ${remedies.damaged}`);
  }
}

/**
 * Only the owner may read. One exception, which secret volumes of container platforms need: a file of root may be
 * readable by the group through which this process was given it.
 */
function assertPrivate(file: string, { mode, uid }: Stats): void {
  if (process.platform === 'win32') return;
  const permissions = mode & 0o777;
  const forbidden = uid === 0 && process.getuid?.() !== 0 ? 0o037 : 0o077;
  if ((permissions & forbidden) !== 0)
    throw new RoleKeyFileError(
      'too-open',
      `key file ${file} has mode ${permissions.toString(8).padStart(4, '0')}, others could read it: run \`chmod 600 ${file}\``,
    );
}
