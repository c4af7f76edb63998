/** Finds the command, checks its options strictly, prints its help, and turns its errors into one line. */
import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { describeError } from '../../schemas/log.ts';
import { StartupError } from '../../schemas/run-process.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';

export async function runCommandLine(typed: readonly string[]): Promise<number> {
  try {
    return await dispatch(typed);
  } catch (error) {
    if (!(error instanceof StartupError)) {
      const { name, code, at } = describeError(error);
      console.error(`latchkey: ${name}${code ? ` ${code}` : ''}${at ? ` at ${at}` : ''}`);
      return 1;
    }
    console.error(`latchkey: ${error.message}`);
    return error.exitCode;
  }
}

async function dispatch(typed: readonly string[]): Promise<number> {
  const [first] = typed;
  if (first === undefined) {
    console.error(overview());
    return 2;
  }
  if (first === '--help' || first === '-h' || first === 'help') return print(overview());
  if (first === '--version' || first === '-v') return print(`latchkey ${readVersion()}`);

  const command = commands.find(({ name }) => name.split(' ').every((word, at) => typed[at] === word));
  if (command === undefined) {
    const alike = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
    throw usage(
      alike.length > 0
        ? `\`${first}\` is not complete: use \`latchkey ${alike.join('` or `latchkey ')}\``
        : `unknown command ${JSON.stringify(first)}: see \`latchkey --help\``,
    );
  }
  const rest = typed.slice(command.name.split(' ').length);
  const { values, argument } = parse(command, rest);
  if (values.help === true) return print(helpOf(command));
  if (values.version === true) return print(`latchkey ${readVersion()}`);
  return command.run({
    one: (option) => values[option] as string | undefined,
    has: (option) => values[option] === true,
    many: (option) => (values[option] ?? []) as string[],
    argument,
    typed: rest,
  });
}

function parse(
  command: Command,
  typed: readonly string[],
): { values: Record<string, unknown>; argument: string | undefined } {
  const options: NonNullable<ParseArgsConfig['options']> = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
  };
  for (const [name, option] of Object.entries(command.options))
    options[name] = { type: option.value ? 'string' : 'boolean', multiple: option.multiple ?? false };
  let values: Record<string, unknown>;
  let positionals: string[];
  try {
    const allowPositionals = command.argument !== undefined;
    ({ values, positionals } = parseArgs({ args: [...typed], options, strict: true, allowPositionals }));
  } catch (error) {
    // Node adds advice on `--` after the first sentence.
    const why = (error as Error).message.split(/[.\n]/, 1)[0];
    throw usage(`${command.name}: ${why}: see \`latchkey ${command.name} --help\``);
  }
  for (const [name, value] of Object.entries(values))
    if ([value].flat().includes('')) throw usage(`${command.name}: --${name} needs a value`);
  if (positionals.length > 1)
    throw usage(
      `${command.name}: takes one ${command.argument?.name}: see \`latchkey ${command.name} --help\``,
    );
  return { values, argument: positionals[0] };
}

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return `Usage: latchkey <command> [options]

Commands:
${commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

  latchkey <command> --help   tells the options of a command
  latchkey --version          prints the version

Without any configuration: latchkey up`;
}

function helpOf({ name, summary, details, argument, options }: Command): string {
  const rows: string[][] = Object.entries(options).map(([option, { value, help }]) => [
    `--${option}${value ? ` ${value}` : ''}`,
    help,
  ]);
  if (argument) rows.unshift([argument.name, argument.help]);
  rows.push(['--help', 'Print this help']);
  const width = Math.max(...rows.map(([left]) => left?.length ?? 0));
  const lines = rows.map(
    ([left = '', right = '']) =>
      `  ${left.padEnd(width)}  ${right.replaceAll('\n', `\n${' '.repeat(width + 4)}`)}`,
  );
  const given = argument ? `${argument.name} ` : '';
  return `Usage: latchkey ${name} ${given}[options]\n\n${summary}.${details ? `\n\n${details}` : ''}\n\nOptions:\n${lines.join('\n')}`;
}

function usage(message: string): StartupError {
  return new StartupError('usage', message, { exitCode: 2 });
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).version;
}
