/**
 * What a process reads at its start: its part of the configuration, and the secrets that part names. Every problem is
 * in one report; with an error among them the process ends with exit code 2 before anything listens.
 */
import type { NatsConnectionOptions } from '../nats-connection.ts';
import { StartupError } from '../run-process.ts';
import type { Secret } from '../secret.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load-config.ts';
import type { ProcessSettings } from './process-settings.ts';
import { formatReport } from './report.ts';
import { readSecrets } from './secret-reference.ts';

export interface ProcessConfiguration<Settings> {
  readonly settings: Settings;
  /** By the path of the reference in the configuration. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly nats: Pick<NatsConnectionOptions, 'servers' | 'user' | 'password' | 'token' | 'tls'>;
}

/**
 * @param select the part of this process, such as `gatewayConfig`
 * @throws StartupError with the report, exit code 2
 */
export function readProcessConfiguration<Settings extends ProcessSettings>(
  file: string | undefined,
  select: (config: Config) => Settings,
  env: NodeJS.ProcessEnv,
): ProcessConfiguration<Settings> {
  if (file === undefined) throw unusable('needs --config FILE');
  const { config, problems } = loadConfig(file);
  if (config === null) throw unusable(formatReport(problems).trimEnd());
  const settings = select(config);
  const read = readSecrets(settings.secrets, env);
  if (read.problems.length > 0) throw unusable(formatReport([...problems, ...read.problems]).trimEnd());
  return { settings, secrets: read.secrets, nats: natsOptions(settings, read.secrets, env) };
}

/** `LATCHKEY_NATS_URL` (comma-separated) and `LATCHKEY_NATS_TOKEN` go before the block `nats`: the supervisor sets them. */
function natsOptions(
  { nats }: ProcessSettings,
  secrets: ReadonlyMap<string, Secret>,
  env: NodeJS.ProcessEnv,
): ProcessConfiguration<never>['nats'] {
  const url = env.LATCHKEY_NATS_URL;
  if (url) {
    const token = env.LATCHKEY_NATS_TOKEN;
    return { servers: url.split(','), ...(token ? { token } : {}) };
  }
  if (!nats) throw unusable('knows no NATS: set nats.servers in the configuration, or LATCHKEY_NATS_URL');
  const password = nats.password && secrets.get(nats.password.path)?.reveal();
  return {
    servers: nats.servers,
    ...(nats.user === undefined ? {} : { user: nats.user }),
    ...(password === undefined ? {} : { password }),
    ...(nats.tls === undefined ? {} : { tls: nats.tls }),
  };
}

function unusable(message: string): StartupError {
  return new StartupError('configuration', message, { exitCode: 2 });
}
