/** `latchkey keys init`: makes the key files of an instance, and says which process each of them is for. */
import { providerWorkerNames } from '../../schemas/config/incoming-settings.ts';
import { loadConfig } from '../../schemas/config/load-config.ts';
import { formatReport } from '../../schemas/config/report.ts';
import { providerNameSchema } from '../../schemas/provider.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { ensureKeyFolder, keyRingFileName, rootKeyFileName } from '../keys/key-folder.ts';

interface InitKeysOptions {
  readonly out: string;
  readonly config: string | undefined;
  readonly providers: string | undefined;
}

export function initKeys({ out, config, providers }: InitKeysOptions): number {
  if ((config === undefined) === (providers === undefined))
    throw usage('needs either --config FILE or --providers A,B');
  const names = config === undefined ? namesOf(providers ?? '') : namesIn(config);
  const { instanceId, created, extended } = ensureKeyFolder(out, names);
  console.log(`instance ${instanceId}, keys in ${out}`);
  for (const file of created) console.log(`  ${file}  created: ${purposeOf(file)}`);
  for (const file of extended)
    console.log(`  ${file}  ${gainOf(file)}: ${purposeOf(file)}; give it the new file and start it again`);
  if (created.length + extended.length === 0) console.log('  all keys were there already; nothing changed');
  return 0;
}

function namesOf(list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  for (const name of names)
    if (!providerNameSchema.safeParse(name).success)
      throw usage(`provider name ${JSON.stringify(name)}: must match ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`);
  return names;
}

function namesIn(file: string): string[] {
  const { config, problems } = loadConfig(file);
  if (config === null)
    throw new StartupError('configuration', `keys init: ${formatReport(problems).trimEnd()}`, {
      exitCode: 2,
    });
  return providerWorkerNames(config);
}

const gainOf = (file: string) =>
  file.startsWith('provider.') ? 'gained a key of its own' : 'gained a provider';

function purposeOf(file: string): string {
  if (file === rootKeyFileName) return 'for later `keys` commands only; keep it apart from every process';
  if (file === keyRingFileName) return 'for the vault; without it nothing that is stored can be read';
  const role = file.replace('.keys.json', '').replace('.', ' ');
  return role === 'operator' ? "for the operator's command line" : `for the ${role}`;
}

function usage(message: string): StartupError {
  return new StartupError('usage', `keys init: ${message}: see \`latchkey keys init --help\``, {
    exitCode: 2,
  });
}
