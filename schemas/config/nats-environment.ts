/**
 * How a process reaches NATS: as its configuration says, or as whoever started it says. LATCHKEY_NATS_USER with
 * LATCHKEY_NATS_PASSWORD replace the user, so that processes that share one configuration file can each be a NATS user
 * of its own. LATCHKEY_NATS_URL (addresses separated by commas), with such a user or LATCHKEY_NATS_TOKEN, replaces the
 * whole `nats` block; by it `latchkey up` hands the address of its own server to its children. No secret stands in an
 * argument list.
 */
import type { NatsConnectionOptions } from '../nats-connection.ts';
import { StartupError } from '../run-process.ts';
import type { NatsSettings } from './process-settings.ts';
import { natsServerPattern } from './processes.ts';
import { readSecret, SecretUnreadableError } from './secret-reference.ts';

export type NatsAddress = Pick<NatsConnectionOptions, 'servers' | 'user' | 'password' | 'token' | 'tls'>;

/** A password that the `nats` block names counts for nothing then, and need not be there. */
export const isNatsUserInEnvironment = (env: NodeJS.ProcessEnv) =>
  Boolean(env.LATCHKEY_NATS_URL?.trim() || env.LATCHKEY_NATS_USER);

/** @throws StartupError neither names a server, or the password cannot be read */
export function natsAddress(settings: NatsSettings | null, env: NodeJS.ProcessEnv): NatsAddress {
  const { LATCHKEY_NATS_URL: url, LATCHKEY_NATS_TOKEN: token } = env;
  if (url?.trim())
    return {
      servers: serversIn(url),
      ...(token ? { token } : {}),
      ...userIn(env),
    };
  if (settings === null)
    throw new StartupError(
      'nats-missing',
      'no NATS server is named: write nats.servers into the configuration, or set LATCHKEY_NATS_URL',
      { exitCode: 2 },
    );
  const { password, ...address } = settings;
  const user = userIn(env);
  if (user !== null) return { ...address, ...user };
  return password === undefined ? address : { ...address, password: readPassword(password, env) };
}

function serversIn(url: string): string[] {
  const servers = url.split(',').map((server) => server.trim());
  if (servers.every((server) => natsServerPattern.test(server))) return servers;
  throw new StartupError(
    'nats-address',
    'LATCHKEY_NATS_URL must be nats://HOST:PORT or tls://HOST:PORT, or several with commas between them',
    { exitCode: 2 },
  );
}

function userIn(env: NodeJS.ProcessEnv): { user: string; password: string } | null {
  const { LATCHKEY_NATS_USER: user, LATCHKEY_NATS_PASSWORD: password } = env;
  if (!user) return null;
  if (password) return { user, password };
  throw new StartupError(
    'nats-password-missing',
    'LATCHKEY_NATS_USER is set, but LATCHKEY_NATS_PASSWORD is not: set both, or none',
    { exitCode: 2 },
  );
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
