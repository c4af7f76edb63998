/** A folder with the given files that is gone after the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends Disposable {
  readonly path: (file: string) => string;
}

export function openTemporaryFolder(files: Readonly<Record<string, string>> = {}): TemporaryFolder {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-config-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return {
    path: (file) => join(folder, file),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
