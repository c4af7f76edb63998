import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const commandLine = suite('command line');

const names = [
  ...['up', 'gateway', 'vault', 'provider', 'validate'],
  ...['config schema', 'config reference'],
  ...['keys init', 'keys rotate', 'keys rotate-signing', 'keys retire', 'users find', 'users forget'],
  ...['consents list', 'consents remove'],
  ...['grants list', 'grants revoke', 'grants forecast'],
];

const latchkey = fileURLToPath(new URL('../../../workers/cli/latchkey.ts', import.meta.url));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [latchkey, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

commandLine('tells its commands, and its version', () => {
  const help = run('--help');
  assert.is(help.status, 0);
  for (const name of names) assert.match(help.stdout, new RegExp(`^ {2}${name} +\\S`, 'm'));
  const version = run('--version');
  assert.is(version.status, 0);
  assert.match(version.stdout, /^latchkey \d+\.\d+\.\d+\n$/);
});

for (const [name, options] of Object.entries({
  up: ['--config FILE', '--data DIR', '--port N'],
  gateway: ['--config FILE', '--keys PATH'],
  vault: ['--config FILE', '--keys PATH', '--key-ring PLACE', '--data DIR'],
  provider: ['--config FILE', '--keys DIR', '--only NAME'],
  validate: ['--config FILE', '--secrets', '--online'],
  'config schema': ['--authserver', '--out FILE'],
  'config reference': ['--out FILE'],
  'keys init': ['--out DIR', '--config FILE', '--providers A,B'],
  'keys rotate': ['--data DIR', '--keys DIR', '--config FILE', '--wait SECONDS'],
  'keys rotate-signing': ['--data DIR', '--keys PATH', '--config FILE', '--early'],
  'users find': ['--data DIR', '--keys PATH', '--user ID', '--provider NAME', '--subject SUBJECT'],
  'consents list': ['--data DIR', '--keys PATH', '--config FILE', '--user ID'],
  'consents remove': ['--data DIR', '--keys PATH', '--config FILE', '--user ID', '--client ID'],
  'users forget': [
    '--data DIR',
    '--keys PATH',
    '--user ID',
    '--provider NAME',
    '--subject SUBJECT',
    '--keys-backup-days N',
  ],
  'grants list': ['--data DIR', '--keys PATH', '--config FILE', '--user ID', '--provider NAME'],
  'grants revoke': ['--data DIR', '--keys PATH', '--config FILE', '--user ID', '--provider NAME'],
  'grants forecast': ['--data DIR', '--keys PATH', '--config FILE', '--days N', '--provider NAME', '--list'],
}))
  commandLine(`${name} --help tells its options`, () => {
    const { status, stdout, stderr } = run(...name.split(' '), '--help');
    assert.is(status, 0);
    assert.is(stderr, '');
    assert.match(stdout, `Usage: latchkey ${name} [options]`);
    for (const option of options) assert.match(stdout, `  ${option} `);
  });

for (const name of names)
  commandLine(`${name} refuses an unknown option in one line`, () => {
    const { status, stdout, stderr } = run(...name.split(' '), '--colour', 'red');
    assert.is(status, 2);
    assert.is(stdout, '');
    assert.is(stderr, `latchkey: ${name}: Unknown option '--colour': see \`latchkey ${name} --help\`\n`);
  });

commandLine('refuses unknown and incomplete commands, stray words and options without value', () => {
  const refusals: [args: string[], line: RegExp, exitCode?: number][] = [
    [['vualt'], /^latchkey: unknown command "vualt": see `latchkey --help`\n$/],
    [
      ['keys'],
      /^latchkey: `keys` is not complete: use `latchkey keys init` or `latchkey keys rotate` or `latchkey keys rotate-signing` or `latchkey keys retire`\n$/,
    ],
    [['keys', 'retire', '--keys', 'k', 'a', 'b'], /^latchkey: keys retire: takes one KEY-ID: see [^\n]*\n$/],
    [['keys', 'rotate'], /^latchkey: keys rotate: needs --keys or --data: see [^\n]*\n$/],
    [
      ['users', 'forget', '--user', 'usr_x'],
      /^latchkey: users forget: needs --keys or --data: see [^\n]*\n$/,
    ],
    [
      ['users', 'forget', '--data', 'no-such-folder', '--user', 'usr_x'],
      /^latchkey: no `latchkey up` serves with the data folder \S+no-such-folder: start it, or [^\n]*\n$/,
      1,
    ],
    [
      ['keys', 'rotate', '--data', 'd', '--config', 'c'],
      /^latchkey: keys rotate: takes either --data or --config\n$/,
    ],
    [['up', 'now'], /^latchkey: up: Unexpected argument 'now'[^\n]*\n$/],
    [['up', '--data'], /^latchkey: up: Option '--data <value>' argument missing: see [^\n]*\n$/],
    [['up', '--data='], /^latchkey: up: --data needs a value\n$/],
    [['validate'], /^latchkey: validate: needs --config FILE: see [^\n]*\n$/],
    [['keys', 'init', '--providers', 'a'], /^latchkey: keys init: needs --out DIR: see [^\n]*\n$/],
  ];
  for (const [args, line, exitCode = 2] of refusals) {
    const { status, stderr } = run(...args);
    assert.is(status, exitCode, args.join(' '));
    assert.match(stderr, line);
  }
});

commandLine('without a command shows the commands and fails', () => {
  const { status, stderr } = run();
  assert.is(status, 2);
  assert.match(stderr, 'Usage: latchkey <command>');
});

commandLine.run();
