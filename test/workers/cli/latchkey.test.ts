import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const commandLine = suite('command line');

const latchkey = fileURLToPath(new URL('../../../workers/cli/latchkey.ts', import.meta.url));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [latchkey, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

commandLine('tells its commands, and its version', () => {
  const help = run('--help');
  assert.is(help.status, 0);
  for (const name of ['up', 'gateway', 'vault', 'provider', 'validate', 'keys init'])
    assert.match(help.stdout, new RegExp(`^ {2}${name} +\\S`, 'm'));
  const version = run('--version');
  assert.is(version.status, 0);
  assert.match(version.stdout, /^latchkey \d+\.\d+\.\d+\n$/);
});

for (const [name, options] of Object.entries({
  up: ['--config FILE', '--data DIR', '--port N'],
  gateway: ['--config FILE', '--keys PATH'],
  vault: ['--config FILE', '--keys PATH', '--data DIR'],
  provider: ['--config FILE', '--keys DIR', '--only NAME'],
  validate: ['--config FILE', '--secrets'],
  'keys init': ['--out DIR', '--config FILE', '--providers A,B'],
}))
  commandLine(`${name} --help tells its options`, () => {
    const { status, stdout, stderr } = run(...name.split(' '), '--help');
    assert.is(status, 0);
    assert.is(stderr, '');
    assert.match(stdout, `Usage: latchkey ${name} [options]`);
    for (const option of options) assert.match(stdout, `  ${option} `);
  });

for (const name of ['up', 'gateway', 'vault', 'provider', 'validate', 'keys init'])
  commandLine(`${name} refuses an unknown option in one line`, () => {
    const { status, stdout, stderr } = run(...name.split(' '), '--colour', 'red');
    assert.is(status, 2);
    assert.is(stdout, '');
    assert.is(stderr, `latchkey: ${name}: Unknown option '--colour': see \`latchkey ${name} --help\`\n`);
  });

commandLine('refuses unknown and incomplete commands, stray words and options without value', () => {
  const refusals: [string[], RegExp][] = [
    [['vualt'], /^latchkey: unknown command "vualt": see `latchkey --help`\n$/],
    [['keys'], /^latchkey: `keys` is not complete: use `latchkey keys init`\n$/],
    [['up', 'now'], /^latchkey: up: Unexpected argument 'now'[^\n]*\n$/],
    [['up', '--data'], /^latchkey: up: Option '--data <value>' argument missing: see [^\n]*\n$/],
    [['up', '--data='], /^latchkey: up: --data needs a value\n$/],
    [['validate'], /^latchkey: validate: needs --config FILE: see [^\n]*\n$/],
    [['keys', 'init', '--providers', 'a'], /^latchkey: keys init: needs --out DIR: see [^\n]*\n$/],
  ];
  for (const [args, line] of refusals) {
    const { status, stderr } = run(...args);
    assert.is(status, 2, args.join(' '));
    assert.match(stderr, line);
  }
});

commandLine('without a command shows the commands and fails', () => {
  const { status, stderr } = run();
  assert.is(status, 2);
  assert.match(stderr, 'Usage: latchkey <command>');
});

commandLine.run();
