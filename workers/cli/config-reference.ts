/** `latchkey config schema` and `latchkey config reference`: what the configuration may hold, for editors and people. */
import { writeFileSync } from 'node:fs';
import { authServerJsonSchema, configJsonSchema } from '../../schemas/config/json-schema.ts';
import { configurationDocument } from '../../schemas/config/reference-document.ts';
import { StartupError } from '../../schemas/run-process.ts';

export type ConfigText = 'schema' | 'authserver-schema' | 'reference';

export function configText(what: ConfigText): string {
  switch (what) {
    case 'schema':
      return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
    case 'authserver-schema':
      return `${JSON.stringify(authServerJsonSchema(), null, 2)}\n`;
    case 'reference':
      return configurationDocument();
    default:
      return what satisfies never;
  }
}

/** @throws StartupError the file cannot be written */
export function writeConfigText(what: ConfigText, file: string | undefined): number {
  if (file === undefined) {
    process.stdout.write(configText(what));
    return 0;
  }
  try {
    writeFileSync(file, configText(what));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartupError('not-written', `${file} cannot be written (${code}): check the path`, {
      cause: error,
    });
  }
  return 0;
}
