/** docs/configuration.md as text: every key, every rule, every key that is refused, every environment variable. */
import { environmentVariables } from './environment-variables.ts';
import type { Problem } from './problem.ts';
import { listReference, type ReferenceEntry } from './reference.ts';
import { listRefusals } from './refused-keys.ts';
import { type RuleId, ruleTexts } from './rule-texts.ts';
import { severityOf } from './rules.ts';

interface Section {
  readonly title: string;
  /** What lies in it and in no longer base of another section. */
  readonly base: string;
  readonly text?: string;
}

const upstream = 'authServer.runConfig.upstreams[]';

const sections: readonly Section[] = [
  { title: 'The server', base: '' },
  {
    title: 'Callers',
    base: 'incomingAuth',
    text: 'How callers of the MCP endpoint prove who they are: with a token of the authorization server below, or, without `authServer`, with one of an external issuer, or not at all ([operations.md](operations.md)).',
  },
  {
    title: 'The authorization server',
    base: 'authServer',
    text: "What is under `runConfig` may stand in `authserver-config.yaml` beside the main file instead, as ToolHive has it, but not in both. A file of that name is ToolHive's own format, without `authServer:` and `runConfig:`.",
  },
  {
    title: 'Identity providers',
    base: upstream,
    text: 'A provider has a `type` and the block of that type, or a `preset` ([providers.md](providers.md)), which says the type and what its block has unless written; then `client_id` is all that the block needs.',
  },
  { title: 'A provider with OpenID Connect', base: `${upstream}.oidc_config` },
  { title: 'A provider with plain OAuth 2.0', base: `${upstream}.oauth2_config` },
  { title: 'Backends', base: 'backends' },
  {
    title: 'Strategies',
    base: 'outgoingAuth',
    text: 'A backend has its own strategy in `outgoingAuth.backends`, else `outgoingAuth.default`, else `unauthenticated`. `outgoingAuth.default` and each `outgoingAuth.backends.NAME` have the same keys.',
  },
  { title: 'Tool names', base: 'aggregation' },
  { title: 'Time limits and logs', base: 'operational' },
  { title: 'The gateway', base: 'gateway' },
  { title: 'NATS', base: 'nats' },
  { title: 'The vault', base: 'vault' },
  {
    title: 'Linked accounts',
    base: 'linking',
    text: 'With tokens of an external issuer, `linking.providers` has what stands under `authServer.runConfig.upstreams` otherwise, with the same keys but `login_policy`.',
  },
];

export function configurationDocument(): string {
  const entries = listReference();
  return `${[
    '# The configuration',
    '<!-- Made by `npm run generate` from schemas/config/; changes go there. -->',
    `One YAML file for all processes, checked as a whole by \`latchkey validate --config FILE\` and at every start. Unknown keys are refused. It holds no secret, only the names of the environment variables or files that do. Names are ToolHive's where the thing is ToolHive's; the column "of" says which are.
[deploy/config.example.yaml](../deploy/config.example.yaml) is a whole file with comments.`,
    `For an editor with the YAML language server, the first line of the file names the schema, as a path from the file or an address:

\`\`\`yaml
# yaml-language-server: $schema=path/to/schemas/config/latchkey.schema.json
\`\`\`

\`latchkey config schema\` prints it, \`latchkey config schema --authserver\` the one of \`authserver-config.yaml\`, \`latchkey config reference\` this page.`,
    'Durations are those of Go, with their unit: `300ms`, `30s`, `10m`, `1h30m`, `168h`. An address is a full http or https address. The path of a file begins in the folder in which the process was started, unless it is absolute. `NAME` stands for a name that you choose, `[]` for an element of a list. Keys without "required" and without a default may be left out.',
    '## Keys',
    ...sections.map((section) => sectionText(section, entries)),
    ...ruleTables(),
    '## Keys of ToolHive that are refused',
    'Silence would let you believe that they work, so each is refused by name (F-04).',
    table(
      ['where', 'key or value', 'why', 'instead'],
      listRefusals().map(({ location, word, message, fix }) => [
        location === '' ? '(top level)' : `\`${shown(location)}\``,
        `\`${word}\``,
        message,
        fix,
      ]),
    ),
    '## Environment variables',
    'Beside these, a process reads the variables that its part of the configuration names for secrets, and `vault.keyRing: env:NAME`. `NODE_COMPILE_CACHE` moves the folder for compiled code. What compose reads is at the top of [compose.yaml](../compose.yaml).',
    table(
      ['variable', 'read by', 'meaning'],
      environmentVariables.map(({ name, readBy, meaning }) => [`\`${name}\``, readBy, meaning]),
    ),
  ].join('\n\n')}\n`;
}

function sectionText({ title, base, text }: Section, entries: readonly ReferenceEntry[]): string {
  const own = entries.filter(({ location }) => sectionOf(location) === base && !isRepeated(location));
  const rows = own.map((entry) => [
    `\`${shown(isInside(entry.location, longBase(base)) ? entry.location.slice(base.length + 1) : entry.location)}\``,
    entry.kind,
    entry.required ? 'required' : entry.defaultText === null ? '' : `\`${entry.defaultText}\``,
    entry.description ?? '',
    entry.example === null ? '' : `\`${entry.example}\``,
    entry.origin,
  ]);
  return [
    `### ${title}`,
    ...(text === undefined ? [] : [text]),
    ...(longBase(base) === '' ? [] : [`In \`${base}\`:`]),
    table(['key', 'kind', 'default', 'meaning', 'example', 'of'], rows),
  ].join('\n\n');
}

/** A base that is said once, for the table would be too wide with it in each row. */
function longBase(base: string): string {
  return base.startsWith(upstream) ? base : '';
}

/** The longest base that the location lies in. */
function sectionOf(location: string): string {
  const around = sections
    .map(({ base }) => base)
    .filter((base) => base === location || isInside(location, base));
  return around.reduce((longest, base) => (base.length > longest.length ? base : longest), '');
}

function isInside(location: string, base: string): boolean {
  return base !== '' && location.startsWith(base) && /^[.[]/.test(location.slice(base.length));
}

/** The strategy of one backend has the keys of the default one, a linked provider those of an upstream. */
function isRepeated(location: string): boolean {
  return location.startsWith('outgoingAuth.backends.*') || location.startsWith('linking.providers[]');
}

function ruleTables(): string[] {
  const rows = (Object.keys(ruleTexts) as RuleId[]).map((id) => {
    const { title, wrong, instead } = ruleTexts[id];
    const severities: Record<Problem['severity'], string> = { error: '', warning: ' (warning)' };
    return [`${id}${severities[severityOf(id)]}`, title, wrong, instead];
  });
  const of = (letter: string) => rows.filter(([id]) => id?.startsWith(letter));
  const heads = ['rule', 'what holds', 'what is wrong', 'what to write instead'];
  return [
    '## Rules',
    'All problems are told at once, each with its rule, the path and what to write. With an error nothing starts, and the exit code is 2; warnings stop nothing.',
    table(heads, [...of('F'), ...of('V')]),
    'With `latchkey validate --online` also these, if the file has no error: each provider, and the external issuer of incoming tokens, is asked about itself, from the machine on which the command runs, with the time limits and refusals of addresses of a provider worker.',
    table(heads, of('O')),
  ];
}

function shown(location: string): string {
  return location.replaceAll('*', 'NAME');
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)].join('\n');
}
