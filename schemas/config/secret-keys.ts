/** Keys under which people write a secret into the file; each is refused with the reference to write instead. */

import type * as z from 'zod';
import { keysOf } from './schema-path.ts';

const secretWords =
  /^(client_?secret|secret|password|pass|passwd|token|(initial_?)?access_?token|refresh_?token|api_?key|private_?key|nkey|seed|header_?value)$/i;

export function isSecretKey(key: string): boolean {
  return secretWords.test(key.replaceAll('-', '_'));
}

/** The references that the object knows for this secret, such as `client_secret_env_var`. */
export function referenceHint(key: string, schema: z.core.$ZodType | null): string {
  const plain = key.replace(/[-_]/g, '').toLowerCase();
  const references = keysOf(schema).filter((known) => {
    const word = known.replace(/_/g, '').toLowerCase();
    return /(env|envvar|file)$/.test(word) && word.startsWith(plain);
  });
  if (references.length === 0)
    return 'remove it from the file, and treat it as disclosed if the file was shared';
  return `write ${references.map((known) => `\`${known}\``).join(' or ')} instead, naming the variable or file that holds it`;
}
