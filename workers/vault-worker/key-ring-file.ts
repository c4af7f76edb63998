/** The key ring on disk: `vault.keyring.json`, readable by the vault worker alone. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { readKeyJson } from '../../schemas/role-key-file.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { type KeyRing, keyRingFileSchema, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { keyRingFileName } from '../keys/key-folder.ts';

/**
 * @param path the file, or the folder that holds it under its usual name
 * @throws StartupError one line: missing, too open, malformed, or of another instance
 */
export function readKeyRing(path: string, instanceId: string): KeyRing {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? join(path, keyRingFileName) : path;
  const parsed = keyRingFileSchema.safeParse(readKeyJson(file, 'put the key ring of this instance back'));
  if (!parsed.success) {
    const where = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole').join(', ');
    throw new StartupError(
      'key-ring',
      `key ring ${file} is not a latchkey-key-ring/1 file (wrong: ${where}): put the key ring of this instance there`,
    );
  }
  if (parsed.data.instanceId !== instanceId) {
    throw new StartupError(
      'key-ring',
      `key ring ${file} belongs to the instance ${parsed.data.instanceId}, the key file to ${instanceId}: use files that were made together`,
    );
  }
  return openKeyRing(parsed.data);
}
