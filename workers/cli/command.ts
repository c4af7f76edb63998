/** One command of the command line: what it is called, what it takes, and what it does. */

export interface CommandOption {
  /** What stands for the value in the help; without it the option is a switch. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly help: string;
}

export interface CommandValues {
  readonly one: (option: string) => string | undefined;
  /** Of a switch. */
  readonly has: (option: string) => boolean;
  readonly many: (option: string) => readonly string[];
  /** The command's argument. */
  readonly argument: string | undefined;
  /** As typed, for a command that passes them on. */
  readonly typed: readonly string[];
}

export interface Command {
  /** One word, or two: `keys init`. */
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  /** What is given without an option's name: `keys retire KEY-ID`. */
  readonly argument?: { readonly name: string; readonly help: string };
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Resolves with the exit code. @throws StartupError with one line for the terminal */
  run(values: CommandValues): Promise<number> | number;
}
