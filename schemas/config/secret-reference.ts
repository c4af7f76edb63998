/**
 * A secret is named in the configuration by an environment variable or a file, and read at the edge by the one
 * process that needs it. Configuration and secrets stay two objects. Neither the variable's content nor a
 * file path that might be a pasted secret is ever shown.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { Secret } from '../secret.ts';
import type { Problem } from './problem.ts';
import { isHeaderValue } from './rules/headers.ts';

export interface SecretReference {
  readonly source: 'env' | 'file';
  /** The variable's name or the file's path. */
  readonly name: string;
  /** Where the reference stands in the configuration. */
  readonly path: string;
  /** What the secret must be able to stand in. */
  readonly form?: 'header-value';
}

export class SecretUnreadableError extends Error {
  override readonly name = 'SecretUnreadableError';
  readonly code = 'secret-unreadable';
  readonly path: string;
  readonly fix: string;

  constructor(reference: SecretReference, message: string, fix: string) {
    super(message);
    this.path = reference.path;
    this.fix = fix;
  }
}

/** The reference that a block of the configuration holds under one of two keys, or null. */
export function findReference<Block extends object>(
  path: string,
  block: Block,
  envKey: keyof Block & string,
  fileKey: keyof Block & string,
): SecretReference | null {
  const variable = block[envKey];
  if (typeof variable === 'string') return { source: 'env', name: variable, path: `${path}.${envKey}` };
  const file = block[fileKey];
  return typeof file === 'string' ? { source: 'file', name: file, path: `${path}.${fileKey}` } : null;
}

/** Reads one secret; one newline at the end is not part of it. Throws `SecretUnreadableError`. */
export function readSecret(reference: SecretReference, env: NodeJS.ProcessEnv): Secret {
  const text = reference.source === 'env' ? readVariable(reference, env) : readSecretFile(reference);
  const value = text.replace(/\r?\n$/, '');
  if (reference.form === 'header-value' && !isHeaderValue(value))
    throw new SecretUnreadableError(
      reference,
      'what is named there has a character that cannot stand in a header',
      'let it be one line of plain ASCII',
    );
  return new Secret(value);
}

/** Reads all that a process needs, by the path of the reference, and reports all that cannot be read at once. */
export function readSecrets(
  references: readonly SecretReference[],
  env: NodeJS.ProcessEnv,
): { readonly secrets: ReadonlyMap<string, Secret>; readonly problems: readonly Problem[] } {
  const secrets = new Map<string, Secret>();
  const problems: Problem[] = [];
  for (const reference of references) {
    try {
      secrets.set(reference.path, readSecret(reference, env));
    } catch (error) {
      if (!(error instanceof SecretUnreadableError)) throw error;
      problems.push({
        rule: 'F-08',
        severity: 'error',
        path: error.path,
        message: error.message,
        fix: error.fix,
      });
    }
  }
  return { secrets, problems };
}

function readVariable(reference: SecretReference, env: NodeJS.ProcessEnv): string {
  const value = env[reference.name];
  const variable = shownVariable(reference.name);
  if (value === undefined) {
    throw new SecretUnreadableError(
      reference,
      `${variable} is not set`,
      'set it for the process that needs it, or name another',
    );
  }
  if (value.trim() === '')
    throw new SecretUnreadableError(reference, `${variable} is empty`, 'set it to the secret');
  return value;
}

function readSecretFile(reference: SecretReference): string {
  let text: string;
  try {
    text = readFileSync(reference.name, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SecretUnreadableError(
      reference,
      unreadable(code),
      isAbsolute(reference.name)
        ? 'write the path of a file that holds the secret'
        : 'write the path of a file that holds the secret; this one begins in the folder in which the process was started',
    );
  }
  if (text.trim() === '') {
    throw new SecretUnreadableError(reference, 'the file named there is empty', 'write the secret into it');
  }
  return text;
}

function unreadable(code: string | undefined): string {
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'the file named there does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'the file named there may not be read by this user';
  if (code === 'EISDIR') return 'a folder is named there, not a file';
  return `the file named there cannot be read (${code ?? 'unknown reason'})`;
}

/** A name in the usual form is shown; anything else might be the secret itself. */
function shownVariable(name: string): string {
  return /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(name)
    ? `the environment variable ${name}`
    : 'the environment variable named there';
}
