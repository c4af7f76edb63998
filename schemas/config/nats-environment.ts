/**
 * How a process reaches NATS: as its configuration says, or as whoever started it says by LATCHKEY_NATS_URL (addresses
 * separated by commas) and either LATCHKEY_NATS_TOKEN or LATCHKEY_NATS_USER with LATCHKEY_NATS_PASSWORD. These replace
 * the whole `nats` block, so that `latchkey up` can hand the address of its own server to its children, and processes
 * that share one configuration file can each be a NATS user of its own; no secret stands in an argument list.
 */
import type { NatsConnectionOptions } from '../nats-connection.ts';
import { StartupError } from '../run-process.ts';
import type { NatsSettings } from './process-settings.ts';
import { readSecret, SecretUnreadableError } from './secret-reference.ts';

export type NatsAddress = Pick<NatsConnectionOptions, 'servers' | 'user' | 'password' | 'token' | 'tls'>;

/** The `nats` block counts for nothing then, and what it names need not be there. */
export const isNatsInEnvironment = (env: NodeJS.ProcessEnv) => (env.LATCHKEY_NATS_URL ?? '').trim() !== '';

/** @throws StartupError neither names a server, or the password cannot be read */
export function natsAddress(settings: NatsSettings | null, env: NodeJS.ProcessEnv): NatsAddress {
  const url = env.LATCHKEY_NATS_URL;
  if (url !== undefined && isNatsInEnvironment(env)) {
    const { LATCHKEY_NATS_TOKEN: token, LATCHKEY_NATS_USER: user, LATCHKEY_NATS_PASSWORD: password } = env;
    return {
      servers: url.split(',').map((server) => server.trim()),
      ...(token ? { token } : {}),
      ...(user ? { user } : {}),
      ...(password ? { password } : {}),
    };
  }
  if (settings === null)
    throw new StartupError(
      'nats-missing',
      'no NATS server is named: write nats.servers into the configuration, or set LATCHKEY_NATS_URL',
      { exitCode: 2 },
    );
  const { password, ...address } = settings;
  return password === undefined ? address : { ...address, password: readPassword(password, env) };
}

function readPassword(reference: Parameters<typeof readSecret>[0], env: NodeJS.ProcessEnv): string {
  try {
    return readSecret(reference, env).reveal();
  } catch (error) {
    if (!(error instanceof SecretUnreadableError)) throw error;
    throw new StartupError('secret-unreadable', `${error.path}: ${error.message}: ${error.fix}`, {
      exitCode: 2,
    });
  }
}
