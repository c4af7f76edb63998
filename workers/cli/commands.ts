/** Every command there is. What a command needs is loaded when it runs. */
import { join } from 'node:path';
import { StartupError } from '../../schemas/run-process.ts';
import type { Command, CommandValues } from './command.ts';
import type { Operator } from './operator.ts';
import type { NamedPerson } from './person.ts';
import { runMain } from './run-main.ts';

const config = { value: 'FILE', help: 'The configuration file' };
const keys = (role: string) => ({
  value: 'PATH',
  help: `The key file of the ${role}, or the folder that holds it (made by \`latchkey keys init\`)`,
});
const operatorConfig = {
  value: 'FILE',
  help: 'The configuration file, for the address of NATS; not needed with LATCHKEY_NATS_URL',
};
const operatorKeys = {
  value: 'DIR',
  help: 'The folder with operator.keys.json and vault.keyring.json; with --data the one in it',
};
const operatorData = {
  value: 'DIR',
  help: 'The data folder of a running `latchkey up`: its NATS, configuration and keys are used',
};
/** For commands that do not need the key ring. */
const reachOperator = {
  data: operatorData,
  keys: {
    value: 'PATH',
    help: 'The key file of the operator, or the folder that holds it; with --data the one in it',
  },
  config: operatorConfig,
};
const writtenTo = { value: 'FILE', help: 'Writes it into this file instead' };
const person = {
  user: { value: 'ID', help: 'The person, usr_...' },
  issuer: {
    value: 'ISSUER',
    help: 'Instead: the external issuer whose tokens the person has, with --subject',
  },
  subject: { value: 'SUBJECT', help: 'Who the person is there (the claim of linking.principalClaim)' },
};
const firstProvider = { value: 'NAME', help: 'Instead: the first provider of the sign-in, with --subject' };
const onlyProvider = { value: 'NAME', help: 'Only grants of this provider' };
const wait = {
  value: 'SECONDS',
  help: 'For how long to wait for workers that have another ring (300 unless given)',
};
const operatorEnvironment = `Environment: LATCHKEY_NATS_URL with LATCHKEY_NATS_USER and LATCHKEY_NATS_PASSWORD, or LATCHKEY_NATS_TOKEN.`;
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
      'key-ring': {
        value: 'PLACE',
        help: 'Where the key ring is: file:PATH, or env:NAME with the text of the file or its base64;\nvault.keyring.json beside the key file unless given. SIGHUP has it read again',
      },
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
      online: { help: 'Also ask the identity providers about themselves, from here' },
    },
    async run({ typed, one }) {
      requireOption(one('config'), 'validate', '--config FILE');
      const { validateCommand } = await import('./validate.ts');
      return validateCommand(typed, { stdout: process.stdout, stderr: process.stderr, env: process.env });
    },
  },
  {
    name: 'config schema',
    summary: 'Prints the JSON Schema of the configuration, with which editors complete and check it',
    options: {
      authserver: { help: "That of ToolHive's authserver-config.yaml beside the main file" },
      out: writtenTo,
    },
    async run({ one, has }) {
      const { writeConfigText } = await import('./config-reference.ts');
      return writeConfigText(has('authserver') ? 'authserver-schema' : 'schema', one('out'));
    },
  },
  {
    name: 'config reference',
    summary: 'Prints every key, rule and environment variable, as in docs/configuration.md',
    options: { out: writtenTo },
    async run({ one }) {
      const { writeConfigText } = await import('./config-reference.ts');
      return writeConfigText('reference', one('out'));
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
  {
    name: 'keys rotate',
    summary: 'Makes a new key for the vault, and seals anew what older ones seal, while everything runs',
    details: `The new key is added to vault.keyring.json and seals as soon as every vault worker has it; a worker with a
copy of its own needs the new file first, and is named until it has it. Older keys stay until \`keys retire\`.
Back up vault.keyring.json when the command says so. A rotation that was cut off goes on with the same command.

${operatorEnvironment}`,
    options: { data: operatorData, keys: operatorKeys, config: operatorConfig, wait },
    run: (values) =>
      asOperator(values, 'keys rotate', async ({ operator, keys, print }) => {
        const { rotateKeys } = await import('./keys-rotate.ts');
        await rotateKeys({ operator, keys, print, waitSeconds: wholeNumber(values, 'wait', 300) });
      }),
  },
  {
    name: 'keys rotate-signing',
    summary: 'Has the next key sign access tokens, and shows a new one as the next',
    details: `No token is refused by it: the next key is shown in the JWKS long before, and the one before stays there until
its tokens have expired. The vault does the same by itself after vault.signingKeyDays (90). A next key that is shown for
less than ten minutes is refused unless --early is given, for copies of the JWKS outside of Latchkey may lack it.

${operatorEnvironment}`,
    options: { ...reachOperator, early: { help: 'Also a next key that was shown only a moment ago' } },
    run: (values) =>
      asOperator(values, 'keys rotate-signing', async ({ operator, print }) => {
        const { rotateSigningKeys } = await import('./keys-rotate-signing.ts');
        await rotateSigningKeys({ operator, print, early: values.has('early') });
      }),
  },
  {
    name: 'keys retire',
    summary: 'Removes an old key of the vault, if nothing is sealed with it any more',
    details: `If something still is, the command says what, and removes nothing.

${operatorEnvironment}`,
    argument: { name: 'KEY-ID', help: 'The key, kek_...' },
    options: { data: operatorData, keys: operatorKeys, config: operatorConfig, wait },
    run: (values) =>
      asOperator(values, 'keys retire', async ({ operator, keys, print }) => {
        const { retireKey } = await import('./keys-retire.ts');
        const keyId = requireOption(values.argument, 'keys retire', 'KEY-ID');
        await retireKey({ operator, keys, keyId, print, waitSeconds: wholeNumber(values, 'wait', 300) });
      }),
  },
  {
    name: 'users forget',
    summary: 'Ends the sessions of a person, and makes everything of them unreadable',
    details: `The data key of the person is destroyed at once, and every vault worker lets go of what it had opened. Copies
of the data become unreadable when the last backup of the stream KEYS from before has expired; the command prints
that date.

${operatorEnvironment}`,
    options: {
      ...reachOperator,
      ...person,
      provider: firstProvider,
      'keys-backup-days': {
        value: 'N',
        help: 'For how many days backups of KEYS are kept (vault.keysBackupDays of the configuration, or 30)',
      },
    },
    run: (values) =>
      asOperator(values, 'users forget', async ({ operator, print }) => {
        const { forgetPerson } = await import('./users-forget.ts');
        await forgetPerson({
          ...{ operator, print, now: Date.now },
          ...namedPerson(values),
          provider: values.one('provider'),
          keysBackupDays: wholeNumber(values, 'keys-backup-days', operator.keysBackupDays ?? 30),
        });
      }),
  },
  {
    name: 'users find',
    summary: 'Says by which ids a person is known: usr_... in other commands, pri_... in facts',
    details: `The ids are derived: they are told whether anything is kept of the person or not.

${operatorEnvironment}`,
    options: { ...reachOperator, ...person, provider: firstProvider },
    run: (values) =>
      asOperator(values, 'users find', async ({ operator, print }) => {
        const { findIds } = await import('./users-find.ts');
        await findIds({ operator, print, ...namedPerson(values), provider: values.one('provider') });
      }),
  },
  {
    name: 'consents list',
    summary: 'Lists the clients that a person has approved, and is not asked about again',
    details: operatorEnvironment,
    options: { ...reachOperator, user: person.user },
    run: (values) =>
      asOperator(values, 'consents list', async ({ operator, print }) => {
        const { listPersonsConsents } = await import('./consents.ts');
        const person = requireOption(values.one('user'), 'consents list', '--user ID');
        await listPersonsConsents({ operator, print, user: person });
      }),
  },
  {
    name: 'consents remove',
    summary: 'Has a person asked again at the next sign-in, for one client or for all',
    details: `Sessions that are open go on: what they hold takes \`grants revoke\` away, and \`users forget\` ends them.

${operatorEnvironment}`,
    options: {
      ...reachOperator,
      user: person.user,
      client: { value: 'ID', help: 'Only for this client, as `consents list` names it' },
    },
    run: (values) =>
      asOperator(values, 'consents remove', async ({ operator, print }) => {
        const { removePersonsConsents } = await import('./consents.ts');
        const person = requireOption(values.one('user'), 'consents remove', '--user ID');
        await removePersonsConsents({ operator, print, user: person, client: values.one('client') });
      }),
  },
  {
    name: 'grants list',
    summary: 'Lists what a person holds: grants of their sessions, and linked accounts',
    details: operatorEnvironment,
    options: { ...reachOperator, ...person, provider: onlyProvider },
    run: (values) =>
      asOperator(values, 'grants list', async ({ operator, print }) => {
        const { listPersonsGrants } = await import('./grants.ts');
        const person = namedPerson(values);
        await listPersonsGrants({ operator, print, person, provider: values.one('provider') });
      }),
  },
  {
    name: 'grants revoke',
    summary: 'Takes grants of a person away, at one provider or at all',
    details: `They are gone when the command returns. After that the providers are asked to revoke the tokens; where that cannot
be done, the vault worker logs it. Sessions stay: \`users forget\` ends them too.

${operatorEnvironment}`,
    options: { ...reachOperator, ...person, provider: onlyProvider },
    run: (values) =>
      asOperator(values, 'grants revoke', async ({ operator, print }) => {
        const { revokePersonsGrants } = await import('./grants.ts');
        const person = namedPerson(values);
        await revokePersonsGrants({ operator, print, person, provider: values.one('provider') });
      }),
  },
  {
    name: 'grants forecast',
    summary: 'Says what will end when: for each day and provider how many grants',
    details: `ends: nothing will be left of the grant. reauth-required: the person must sign in at the provider again.
kept-alive: it would end that day, and is refreshed before. Days are in UTC.

${operatorEnvironment}`,
    options: {
      ...reachOperator,
      days: { value: 'N', help: 'For how many days, with today (30 unless given)' },
      provider: onlyProvider,
      list: { help: 'Also each grant, by its id' },
    },
    run: (values) =>
      asOperator(values, 'grants forecast', async ({ operator, print }) => {
        const { forecast } = await import('./grants-forecast.ts');
        const days = wholeNumber(values, 'days', 30);
        const [provider, list] = [values.one('provider'), values.has('list')];
        await forecast({ operator, print, days, provider, list, now: Date.now });
      }),
  },
];

interface OperatorWork {
  readonly operator: Operator;
  readonly keys: string;
  readonly print: (line: string) => void;
}

async function asOperator(
  { one }: CommandValues,
  command: string,
  work: (given: OperatorWork) => Promise<void>,
): Promise<number> {
  const data = one('data');
  const keys = requireOption(one('keys') ?? (data && join(data, 'keys')), command, '--keys or --data');
  if (data !== undefined && one('config') !== undefined)
    throw new StartupError('usage', `${command}: takes either --data or --config`, { exitCode: 2 });
  const { openOperator, operatorOfDataFolder } = await import('./operator.ts');
  const place =
    data === undefined
      ? { config: one('config'), env: process.env }
      : operatorOfDataFolder(data, process.env);
  await using operator = await openOperator({ ...place, keys });
  await work({ operator, keys, print: (line) => console.log(line) });
  return 0;
}

function wholeNumber(values: CommandValues, option: string, otherwise: number): number {
  const typed = values.one(option);
  if (typed === undefined) return otherwise;
  if (/^\d{1,6}$/.test(typed)) return Number(typed);
  throw new StartupError('usage', `--${option} must be a whole number`, { exitCode: 2 });
}

/** Whom the command is about. */
const namedPerson = (values: CommandValues): NamedPerson => ({
  user: values.one('user'),
  issuer: values.one('issuer'),
  subject: values.one('subject'),
});

function requireOption(value: string | undefined, command: string, option: string): string {
  if (value !== undefined) return value;
  throw new StartupError('usage', `${command}: needs ${option}: see \`latchkey ${command} --help\``, {
    exitCode: 2,
  });
}
