/**
 * `latchkey gateway --config FILE --keys DIR`: one gateway process. It starts only with its own key file, a valid
 * configuration, NATS and a vault of the same instance and issuer; what is missing is told in one line.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { NatsConnection } from 'nats';
import { type Bus, createBus } from '../schemas/bus.ts';
import { type GatewaySettings, gatewayConfig } from '../schemas/config/gateway-config.ts';
import { loadConfig } from '../schemas/config/load-config.ts';
import { formatReport } from '../schemas/config/report.ts';
import { readSecrets } from '../schemas/config/secret-reference.ts';
import { RefusedError } from '../schemas/failure.ts';
import { createBootId } from '../schemas/ids.ts';
import { createLog, type Log } from '../schemas/log.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import { NatsUnreachableError, openNatsConnection } from '../schemas/nats-connection.ts';
import { readRoleKeys } from '../schemas/role-key-file.ts';
import { deriveFromPair } from '../schemas/role-keys.ts';
import { runProcess, StartupError } from '../schemas/run-process.ts';
import { createSealedEnvelopes } from '../schemas/sealed-envelope.ts';
import type { Secret } from '../schemas/secret.ts';
import { createAuthorizationServer } from './authorization-server/authorization-server.ts';
import { createGateway } from './gateway.ts';
import { createVaultClient, fetchInstanceDescription } from './vault-client.ts';

const startLimitMs = 30_000;
/** Below the limit of whoever supervises the process. */
const drainLimitMs = 5_000;

runProcess({ name: 'gateway', start: () => start(process.argv.slice(2), process.env) });

async function start(args: readonly string[], env: NodeJS.ProcessEnv) {
  const { configFile, keysPath } = readArguments(args);
  const { settings, secrets } = readSettings(configFile, env);
  const keys = readRoleKeys(keysPath, { role: 'gateway' });
  const bootId = createBootId();
  const log = createLog({
    process: 'gateway',
    bootId,
    level: env.LATCHKEY_LOG_LEVEL ?? settings.logLevel,
  });

  const connection = await connectToNats(settings, secrets, bootId, env);
  const envelopes = createSealedEnvelopes({ keys, bootId, now: Date.now });
  const bus = createBus({
    connection,
    envelopes,
    onProblem: ({ subject, error }) => log.warn({ subject, error }, 'a message could not be read'),
  });
  try {
    const description = await findInstance(bus, settings, keys.instanceId);
    const vault = createVaultClient(bus, description.partitions);
    const jetstream = connection.jetstream({ timeout: 2_000 });
    const gateway = createGateway({
      settings,
      secrets,
      authorizationServer: await createAuthorizationServer({
        issuer: settings.issuer,
        mcpUrl: settings.resource,
        description,
        vault,
        upstreams: settings.upstreams.map(({ name, displayName, callbackUrl }) => ({
          name,
          displayName,
          callbackPath: new URL(callbackUrl).pathname,
        })),
        settings: settings.lifespans,
        cookieKeys: deriveFromPair(keys, 'gateway-vault', 'cookies'),
        log,
      }),
      vault,
      description,
      fetchDescription: () => fetchInstanceDescription(bus, 2_000),
      pingNats: () => connection.flush(),
      publish: (subject, body, messageId) => jetstream.publish(subject, body, { msgID: messageId }),
      sessionIdKeys: deriveFromPair(keys, 'gateway-vault', 'mcp session ids'),
      bootId,
      version: readVersion(),
      log,
    });
    const { host, port } = settings.listen;
    const listening = await gateway.listen(host, port).catch((cause) => {
      throw cannotListen(host, port, cause);
    });
    log.info({ host, port: listening, mcpUrl: settings.mcpUrl }, 'the gateway serves');
    return {
      ready: { port: listening, mcpUrl: settings.mcpUrl },
      async stop() {
        await gateway.close(drainLimitMs);
        await closeConnection(connection, log);
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function readArguments(args: readonly string[]): { configFile: string; keysPath: string } {
  const usage = 'usage: latchkey gateway --config FILE --keys DIR';
  let values: { config?: string; keys?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string' }, keys: { type: 'string' } },
    }));
  } catch (cause) {
    throw new StartupError('usage', usage, { exitCode: 2, cause });
  }
  if (values.config === undefined || values.keys === undefined)
    throw new StartupError('usage', usage, { exitCode: 2 });
  return { configFile: values.config, keysPath: values.keys };
}

function readSettings(
  file: string,
  env: NodeJS.ProcessEnv,
): { settings: GatewaySettings; secrets: ReadonlyMap<string, Secret> } {
  const { config, problems } = loadConfig(file);
  if (config === null)
    throw new StartupError('configuration', formatReport(problems).trimEnd(), { exitCode: 2 });
  const settings = gatewayConfig(config);
  // The password of NATS is not needed where the environment names another NATS.
  const wanted = settings.secrets.filter(
    (reference) => env.LATCHKEY_NATS_URL === undefined || reference !== settings.nats?.password,
  );
  const { secrets, problems: unread } = readSecrets(wanted, env);
  if (unread.length > 0)
    throw new StartupError('configuration', formatReport(unread).trimEnd(), { exitCode: 2 });
  return { settings, secrets };
}

async function connectToNats(
  { nats }: GatewaySettings,
  secrets: ReadonlyMap<string, Secret>,
  bootId: string,
  env: NodeJS.ProcessEnv,
): Promise<NatsConnection> {
  const { LATCHKEY_NATS_URL: url, LATCHKEY_NATS_TOKEN: token } = env;
  const password = nats?.password && secrets.get(nats.password.path)?.reveal();
  const target =
    url !== undefined
      ? { servers: url.split(','), ...(token === undefined ? {} : { token }) }
      : nats && {
          servers: nats.servers,
          ...(nats.user === undefined ? {} : { user: nats.user }),
          ...(password === undefined ? {} : { password }),
          ...(nats.tls === undefined ? {} : { tls: nats.tls }),
        };
  if (!target)
    throw new StartupError('nats', 'no NATS is configured: set nats.servers or LATCHKEY_NATS_URL', {
      exitCode: 2,
    });
  try {
    return await openNatsConnection({ ...target, role: 'gateway', bootId, startTimeoutMs: startLimitMs });
  } catch (cause) {
    if (cause instanceof NatsUnreachableError) throw new StartupError(cause.code, cause.message, { cause });
    throw cause;
  }
}

async function findInstance(
  bus: Bus,
  { issuer }: GatewaySettings,
  instanceId: string,
): Promise<InstanceDescription> {
  let description: InstanceDescription;
  try {
    description = await fetchInstanceDescription(bus, startLimitMs);
  } catch (cause) {
    const why =
      cause instanceof RefusedError
        ? `refuses to serve this gateway (${cause.code})`
        : `did not answer within ${startLimitMs / 1000} s: is a vault worker running on this NATS, with keys that were made together with the gateway's?`;
    throw new StartupError('vault-unreachable', `the vault ${why}`, { cause });
  }
  if (description.instanceId !== instanceId)
    throw new StartupError(
      'other-instance',
      `the vault belongs to the instance ${description.instanceId}, the gateway's key file to ${instanceId}: use the key files that were made together`,
    );
  if (description.issuer !== issuer)
    throw new StartupError(
      'issuer-mismatch',
      `the vault signs for the issuer ${description.issuer}, this configuration names ${issuer}: give vault and gateway the same issuer`,
      { exitCode: 2 },
    );
  return description;
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): StartupError {
  const why =
    cause.code === 'EADDRINUSE'
      ? 'another program listens there: stop it, or change gateway.listen.port'
      : cause.code === 'EACCES'
        ? 'this user may not listen there'
        : (cause.code ?? 'unknown reason');
  return new StartupError('listen', `cannot listen on ${host} port ${port}: ${why}`, { cause });
}

async function closeConnection(connection: NatsConnection, log: Log): Promise<void> {
  try {
    await connection.drain();
  } catch (error) {
    log.debug({ error }, 'NATS was away at the stop');
    await connection.close();
  }
}

function readVersion(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
}
