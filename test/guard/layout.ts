// Keeps the top level of the project a map that fits in one look: nothing lies there but what is named here.
import { readdirSync } from 'node:fs';

const allowed = new Set([
  'LICENSE',
  'README.md',
  'SECURITY.md',
  'compose.yaml',
  'deploy',
  'docs',
  'gateway',
  'node_modules',
  'package-lock.json',
  'package.json',
  'schemas',
  'test',
  'tsconfig.json',
  'vault',
  'workers',
]);

/** What lies at the top level and should not; dot files are free. */
export function findStrayEntries(root: string): string[] {
  return readdirSync(root).filter((entry) => !entry.startsWith('.') && !allowed.has(entry));
}
