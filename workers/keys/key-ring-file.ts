/**
 * The key ring on disk: `vault.keyring.json`, mode 0600. It is changed by one command at a time, and is on disk with
 * its folder before anything can be sealed with what is new in it.
 */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readKeyJson } from '../../schemas/role-key-file.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { type KeyRingFile, keyRingFileSchema } from '../../vault/sealing/key-ring.ts';
import { keyRingFileName } from './key-folder.ts';
import { createPrivateFile, replacePrivateFile } from './private-files.ts';

/** @param path the file, or the folder that holds it under its usual name */
export function keyRingFilePath(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? join(path, keyRingFileName)
    : path;
}

/** @throws StartupError one line: missing, too open, malformed, or of another instance */
export function readKeyRingFile(path: string, instanceId: string): KeyRingFile {
  const file = keyRingFilePath(path);
  const remedy = 'put the key ring of this instance back';
  const json = readKeyJson(file, { missing: remedy, damaged: remedy });
  return parseKeyRing(json, { where: file, instanceId });
}

/** @param where as an operator knows it: a file, a variable. @throws StartupError `key-ring` */
export function parseKeyRing(json: unknown, options: { where: string; instanceId: string }): KeyRingFile {
  const { where, instanceId } = options;
  const parsed = keyRingFileSchema.safeParse(json);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole').join(', ');
    throw new StartupError(
      'key-ring',
      `key ring ${where} is not a latchkey-key-ring/1 file (wrong: ${wrong}): put the key ring of this instance there`,
    );
  }
  if (parsed.data.instanceId !== instanceId) {
    throw new StartupError(
      'key-ring',
      `key ring ${where} belongs to the instance ${parsed.data.instanceId}, the key file to ${instanceId}: use files that were made together`,
    );
  }
  return parsed.data;
}

/** @throws StartupError also if another command is changing it: one of two new keys would be lost, with its values */
export function changeKeyRingFile(
  path: string,
  instanceId: string,
  change: (ring: KeyRingFile) => KeyRingFile,
): KeyRingFile {
  const file = keyRingFilePath(path);
  const lock = `${file}.lock`;
  if (!createPrivateFile(lock, `${process.pid}\n`))
    throw new StartupError(
      'key-ring-locked',
      `key ring ${file} is being changed by another command: if none runs, remove ${lock}`,
    );
  try {
    const ring = change(readKeyRingFile(file, instanceId));
    replacePrivateFile(file, `${JSON.stringify(ring, null, 2)}\n`);
    return ring;
  } finally {
    rmSync(lock, { force: true });
  }
}
