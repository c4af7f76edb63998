/** Every environment variable that a process of Latchkey reads, beside those that a configuration names for its secrets. */

export interface EnvironmentVariable {
  readonly name: string;
  /** Which processes read it. */
  readonly readBy: string;
  readonly meaning: string;
}

const everyProcess = "gateway, vault, provider, and the operator's commands";

export const environmentVariables: readonly EnvironmentVariable[] = [
  {
    name: 'LATCHKEY_NATS_URL',
    readBy: everyProcess,
    meaning:
      'One or more addresses of NATS, separated by commas. The whole `nats` block of the file counts for nothing then',
  },
  {
    name: 'LATCHKEY_NATS_USER',
    readBy: everyProcess,
    meaning: 'The NATS user of this process, in place of the one in the file; needs `LATCHKEY_NATS_PASSWORD`',
  },
  { name: 'LATCHKEY_NATS_PASSWORD', readBy: everyProcess, meaning: 'Its password' },
  {
    name: 'LATCHKEY_NATS_TOKEN',
    readBy: everyProcess,
    meaning: 'With `LATCHKEY_NATS_URL`, where the server asks for a token instead of a user',
  },
  {
    name: 'LATCHKEY_LOG_LEVEL',
    readBy: 'every process',
    meaning:
      'How much is logged: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`; goes before `operational.logLevel`',
  },
  {
    name: 'LATCHKEY_NATS_SERVER',
    readBy: '`latchkey up`',
    meaning:
      'The path of the nats-server to start, 2.12 or newer; else the one on `PATH`, else one is fetched',
  },
  {
    name: 'LATCHKEY_DEMO',
    readBy: 'the world of the demo',
    meaning: 'JSON: its folder, ports and addresses, as compose.yaml writes them',
  },
];
