/** Every command there is. What a command needs is loaded when it runs. */
import { StartupError } from '../../schemas/run-process.ts';
import type { Command } from './command.ts';
import { runMain } from './run-main.ts';

const config = { value: 'FILE', help: 'The configuration file' };
const keys = (role: string) => ({
  value: 'PATH',
  help: `The key file of the ${role}, or the folder that holds it (made by \`latchkey keys init\`)`,
});
const environment = `Environment: LATCHKEY_LOG_LEVEL (trace, debug, info, warn, error; info unless set).`;

export const commands: readonly Command[] = [
  {
    name: 'up',
    summary: 'Starts everything on this machine: its own NATS, vault, provider worker and gateway',
    details: `Without --config it starts a demo: two identity providers, two people and three MCP backends.
A second start continues with the data of the first. Ctrl-C stops everything; a second one at once.

Environment: LATCHKEY_NATS_SERVER (the nats-server to use, 2.12 or newer), LATCHKEY_LOG_LEVEL.`,
    options: {
      config: { value: 'FILE', help: 'The configuration file; without it the demo is started' },
      data: { value: 'DIR', help: 'Where keys, data and logs lie (.latchkey unless given)' },
      port: { value: 'N', help: 'The first port of the demo (4483 unless given)' },
    },
    async run(values) {
      const { up } = await import('../up/up.ts');
      return up({ config: values.one('config'), data: values.one('data'), port: values.one('port') });
    },
  },
  {
    name: 'gateway',
    summary: 'Runs one gateway: the HTTP side, without disk and without any provider secret',
    details: environment,
    options: { config, keys: keys('gateway') },
    run: ({ typed }) => runMain('gateway/main.ts', typed),
  },
  {
    name: 'vault',
    summary: 'Runs the vault worker: the encrypted token store behind NATS',
    details: environment,
    options: {
      config,
      keys: keys('vault'),
      data: { value: 'DIR', help: 'Where its SQLite files lie; needs a lasting volume' },
    },
    run: ({ typed }) => runMain('workers/vault-worker/main.ts', typed),
  },
  {
    name: 'provider',
    summary: 'Runs a provider worker: it alone holds client secrets and speaks with identity providers',
    details: environment,
    options: {
      config,
      keys: {
        value: 'DIR',
        help: 'The folder with provider.<name>.keys.json of each provider that it serves',
      },
      only: {
        value: 'NAME',
        multiple: true,
        help: 'Serves only this provider; may be given several times',
      },
    },
    run: ({ typed }) => runMain('workers/provider-worker/main.ts', typed),
  },
  {
    name: 'validate',
    summary: 'Checks a configuration and reports everything that is wrong with it, without starting anything',
    details: 'Exit code: 0 if the configuration is valid (warnings may remain), 2 if not.',
    options: {
      config,
      secrets: { help: 'Also check that every secret named in it can be read here' },
    },
    async run({ typed, one }) {
      requireOption(one('config'), 'validate', '--config FILE');
      const { validateCommand } = await import('./validate.ts');
      return validateCommand(typed, { stdout: process.stdout, stderr: process.stderr, env: process.env });
    },
  },
  {
    name: 'keys init',
    summary: 'Makes the keys of an instance: the root key, one file per role, and the key ring of the vault',
    details: `Existing keys are never changed. With a further provider it is run again on the same folder: the
provider gets its file, and the vault's file gains the pair with it.
Move each file to the machine of its process, and keep root.key apart from all of them.`,
    options: {
      out: { value: 'DIR', help: 'The folder for the files; made with mode 0700' },
      config: { value: 'FILE', help: 'Takes the providers from this configuration' },
      providers: { value: 'A,B', help: 'The names of the providers, instead of --config' },
    },
    async run({ one }) {
      const { initKeys } = await import('./keys-init.ts');
      return initKeys({
        out: requireOption(one('out'), 'keys init', '--out DIR'),
        config: one('config'),
        providers: one('providers'),
      });
    },
  },
];

function requireOption(value: string | undefined, command: string, option: string): string {
  if (value !== undefined) return value;
  throw new StartupError('usage', `${command}: needs ${option}: see \`latchkey ${command} --help\``, {
    exitCode: 2,
  });
}
