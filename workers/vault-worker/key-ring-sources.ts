/**
 * Where a vault worker gets its key ring: from a file that it alone can read, or from an environment variable, as
 * secret stores of container platforms give it. A KMS would be one more source here.
 */
import { StartupError } from '../../schemas/run-process.ts';
import type { KeyRingSource } from '../../vault/sealing/key-ring.ts';
import { keyRingFilePath, parseKeyRing, readKeyRingFile } from '../keys/key-ring-file.ts';

/** @param path the file, or the folder that holds it under its usual name */
export function keyRingFromFile(path: string, instanceId: string): KeyRingSource {
  return {
    name: keyRingFilePath(path),
    read: async () => readKeyRingFile(path, instanceId),
  };
}

/** The text of the file, or its base64. What a process was started with stays: loading it again changes nothing. */
export function keyRingFromEnvironment(
  variable: string,
  instanceId: string,
  env: NodeJS.ProcessEnv,
): KeyRingSource {
  const where = `in ${variable}`;
  return {
    name: `the environment variable ${variable}`,
    async read() {
      const text = env[variable]?.trim();
      if (!text)
        throw new StartupError(
          'key-ring',
          `the environment variable ${variable} is not set: put the text of vault.keyring.json there, or its base64`,
        );
      return parseKeyRing(parse(text, where), { where, instanceId });
    },
  };
}

/**
 * @param choice `env:NAME` or `file:PATH`
 * @throws StartupError `usage`
 */
export function keyRingSource(choice: string, instanceId: string, env: NodeJS.ProcessEnv): KeyRingSource {
  const [kind, place] = splitOnce(choice);
  if (kind === 'env' && place !== '') return keyRingFromEnvironment(place, instanceId, env);
  if (kind === 'file' && place !== '') return keyRingFromFile(place, instanceId);
  throw new StartupError('usage', 'the key ring must be given as env:NAME or file:PATH', { exitCode: 2 });
}

function splitOnce(choice: string): [string, string] {
  const at = choice.indexOf(':');
  return at < 0 ? [choice, ''] : [choice.slice(0, at), choice.slice(at + 1)];
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text.startsWith('{') ? text : Buffer.from(text, 'base64').toString());
  } catch {
    throw new StartupError(
      'key-ring',
      `key ring ${where} is neither JSON nor the base64 of JSON: put the text of vault.keyring.json there`,
    );
  }
}
