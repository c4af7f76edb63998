/**
 * Folders and files that only their owner may read: made so, and refused where they are not. A file is written whole
 * or not at all, and never over another.
 */

import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chownSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { StartupError } from '../../schemas/run-process.ts';

/** Mode 0700; one that is there is left as it is. @throws StartupError `folder-unusable` */
export function ensureFolder(folder: string, what: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'a file stands there' : code;
    throw new StartupError('folder-unusable', `${what} ${folder} cannot be created (${why}): choose another`);
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError(
      'folder-unusable',
      `${what} ${folder} cannot be written (${code}): choose another`,
    );
  }
}

/** @throws StartupError `folder-unusable`, `folder-too-open` */
export function ensurePrivateFolder(folder: string, what: string): void {
  ensureFolder(folder, what);
  assertPrivateFolder(folder, what);
}

export function assertPrivateFolder(folder: string, what: string): void {
  const { mode, uid } = statSync(folder);
  if (process.platform === 'win32') return;
  if ((mode & 0o077) !== 0)
    throw new StartupError(
      'folder-too-open',
      `${what} ${folder} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}, others could get in: run \`chmod 700 ${folder}\``,
    );
  const self = process.getuid?.();
  if (self !== undefined && self !== 0 && uid !== self)
    throw new StartupError(
      'folder-unusable',
      `${what} ${folder} belongs to another user of this machine: choose another`,
    );
}

/** Mode 0600. False if there is such a file already; it is left as it is. */
export function createPrivateFile(file: string, text: string): boolean {
  const draft = writeDraft(file, text);
  try {
    // Unlike a rename, a link never replaces what is there.
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Whole, on disk when it returns, and of the same owner as the file it replaces. */
export function replacePrivateFile(file: string, text: string): void {
  const draft = writeDraft(file, text);
  const { uid, gid } = statSync(file);
  if (process.getuid?.() === 0) chownSync(draft, uid, gid);
  renameSync(draft, file);
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function writeDraft(file: string, text: string): string {
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
  const handle = openSync(draft, 'wx', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return draft;
}
