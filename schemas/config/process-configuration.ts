/**
 * What a process reads at its start: its part of the configuration, and the secrets that part names. Every problem is
 * in one report; with an error among them the process ends with exit code 2 before anything listens.
 */
import { StartupError } from '../run-process.ts';
import type { Secret } from '../secret.ts';
import type { Config } from './config.ts';
import { loadConfig } from './load-config.ts';
import { isNatsUserInEnvironment, type NatsAddress, natsAddress } from './nats-environment.ts';
import type { ProcessSettings } from './process-settings.ts';
import { formatReport } from './report.ts';
import { readSecrets } from './secret-reference.ts';

export interface ProcessConfiguration<Settings> {
  readonly settings: Settings;
  /** By the path of the reference in the configuration. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly nats: NatsAddress;
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
  const unused = isNatsUserInEnvironment(env) ? settings.nats?.password : undefined;
  const needed = settings.secrets.filter((reference) => reference !== unused);
  const read = readSecrets(needed, env);
  if (read.problems.length > 0) throw unusable(formatReport([...problems, ...read.problems]).trimEnd());
  return { settings, secrets: read.secrets, nats: natsAddress(settings.nats, env) };
}

function unusable(message: string): StartupError {
  return new StartupError('configuration', message, { exitCode: 2 });
}
