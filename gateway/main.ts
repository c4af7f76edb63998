/**
 * `latchkey gateway --config FILE --keys DIR`: one gateway process. It starts only with its own key file, a valid
 * configuration, NATS and a vault of the same instance and issuer; what is missing is told in one line.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { NatsConnection } from 'nats';
import { type Bus, createBus } from '../schemas/bus.ts';
import { type GatewaySettings, gatewayConfig } from '../schemas/config/gateway-config.ts';
import { readProcessConfiguration } from '../schemas/config/process-configuration.ts';
import { createIssuerKeys } from '../schemas/external-issuer/issuer-keys.ts';
import { RefusedError } from '../schemas/failure.ts';
import { realmOf } from '../schemas/identity.ts';
import { createBootId } from '../schemas/ids.ts';
import { createLog, type Log } from '../schemas/log.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import { sessionEndedNoticeSchema } from '../schemas/messages/session-ended.ts';
import { openNatsConnection } from '../schemas/nats-connection.ts';
import { readRoleKeys } from '../schemas/role-key-file.ts';
import { deriveFromPair } from '../schemas/role-keys.ts';
import { runProcess, StartupError } from '../schemas/run-process.ts';
import { createSealedEnvelopes } from '../schemas/sealed-envelope.ts';
import { noticeSubject } from '../schemas/subjects.ts';
import { createAuthorizationServer } from './authorization-server/authorization-server.ts';
import { createJetStreamPublish } from './facts.ts';
import { createGateway } from './gateway.ts';
import { serveResourceMetadata } from './http/resource-metadata.ts';
import { createInstance } from './instance.ts';
import { createNatsPeers } from './mcp/nats-peers.ts';
import { createVaultSessionStore } from './mcp/vault-session-store.ts';
import {
  createVaultClient,
  fetchInstanceDescription,
  fetchIssuerKeys,
  introspectByVault,
} from './vault-client.ts';

/** How long the vault may take to answer the first question. */
const vaultLimitMs = 30_000;
/** New signing keys are shown in the JWKS for longer than this before they sign. */
const descriptionIntervalMs = 10_000;
/** Below the limit of whoever supervises the process. */
const drainLimitMs = 5_000;

runProcess({ name: 'gateway', start: () => start(process.argv.slice(2), process.env) });

async function start(args: readonly string[], env: NodeJS.ProcessEnv) {
  const { values } = parseArgs({
    args: [...args],
    options: { config: { type: 'string' }, keys: { type: 'string' } },
  });
  if (!values.keys) throw new StartupError('usage', 'needs --keys PATH', { exitCode: 2 });
  const { settings, secrets, nats } = readProcessConfiguration(values.config, gatewayConfig, env);
  const keys = readRoleKeys(values.keys, { role: 'gateway' });
  const bootId = createBootId();
  const log = createLog({
    process: 'gateway',
    bootId,
    level: env.LATCHKEY_LOG_LEVEL ?? settings.logLevel,
  });

  const connection = await openNatsConnection({ ...nats, role: 'gateway', bootId });
  const envelopes = createSealedEnvelopes({ keys, bootId, now: Date.now });
  const bus = createBus({
    connection,
    envelopes,
    onProblem: ({ subject, error }) => log.warn({ subject, error }, 'a message could not be read'),
  });
  try {
    const description = await findInstance(bus, settings, keys.instanceId);
    const fetchDescription = () => fetchInstanceDescription(bus, 1_000);
    const instance = createInstance({ description, fetchDescription, elapsed: () => performance.now() });
    const vault = createVaultClient(bus, description.partitions);
    const { incoming } = settings;
    const issuerKeys =
      incoming.type === 'external'
        ? openIssuerKeys(bus, (error) => log.warn({ error }, 'the keys of the issuer were not renewed'))
        : null;
    const peers = createNatsPeers({
      connection,
      bootId,
      keys: deriveFromPair(keys, 'gateway-vault', 'between gateways'),
      now: Date.now,
      log,
    });
    const gateway = createGateway({
      settings,
      secrets,
      authorizationServer:
        incoming.type === 'embedded'
          ? createAuthorizationServer({
              issuer: settings.issuer,
              mcpUrl: settings.resource,
              instance,
              vault,
              upstreams: settings.upstreams.map(
                ({ name, displayName, host, scopes, loginPolicy, isOpenIdProvider, callbackUrl }) => ({
                  name,
                  displayName,
                  host,
                  scopes,
                  loginPolicy,
                  isOpenIdProvider,
                  callbackPath: new URL(callbackUrl).pathname,
                }),
              ),
              settings: settings.lifespans,
              clients: settings.clients.map(({ secret, ...client }) => ({
                ...client,
                // It was read, or this process would not be here.
                secret: secret && secrets.get(secret.path)!,
              })),
              confidentialRegistration: settings.confidentialRegistration,
              redirectSchemes: settings.redirectSchemes,
              clientDocuments: settings.clientDocuments,
              cookieKeys: deriveFromPair(keys, 'gateway-vault', 'cookies'),
              log,
            })
          : incoming.type === 'external'
            ? serveResourceMetadata({ ...settings, scopes: incoming.scopes })
            : { handle: async () => false },
      anonymous: incoming.type === 'anonymous',
      ...(incoming.type === 'external' && {
        external: {
          ...{ rules: incoming.rules, scopes: incoming.scopes, keys: issuerKeys! },
          introspect: incoming.introspects ? (token) => introspectByVault(bus, token) : null,
        },
      }),
      vault,
      instance,
      fetchDescription,
      pingNats: () => connection.flush(),
      publish: createJetStreamPublish(connection),
      followEndedSessions: (onEnded) => followEndedSessions(connection, onEnded, log),
      sessionIdKeys: deriveFromPair(keys, 'gateway-vault', 'mcp session ids'),
      bootId,
      peers,
      sessionStore: createVaultSessionStore(vault),
      version: readVersion(),
      log,
    });
    const { host, port } = settings.listen;
    const listening = await gateway.listen(host, port).catch((cause) => {
      throw cannotListen(host, port, cause);
    });
    log.info({ host, port: listening, mcpUrl: settings.mcpUrl }, 'the gateway serves');
    if (incoming.type === 'anonymous')
      log.warn(
        { host, port: listening },
        'ANONYMOUS: incomingAuth.type is anonymous, so everybody who reaches this gateway may call every tool',
      );
    const freshness = setInterval(() => {
      instance.refresh().catch((error) => log.debug({ error }, 'the vault did not describe the instance'));
    }, descriptionIntervalMs);
    return {
      ready: { port: listening, mcpUrl: settings.mcpUrl },
      async stop() {
        clearInterval(freshness);
        await gateway.close(drainLimitMs);
        issuerKeys?.[Symbol.dispose]();
        peers[Symbol.dispose]();
        await closeConnection(connection, log);
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * What a vault worker knows is asked for often, and costs the issuer nothing. With a key that a token names the vault
 * itself has the issuer asked.
 */
function openIssuerKeys(bus: Bus, onProblem: (error: unknown) => void) {
  return createIssuerKeys({
    fetchKeys: (onDemand) => fetchIssuerKeys(bus, onDemand),
    elapsed: () => performance.now(),
    onProblem,
    times: { renewMs: 10_000, retryMs: 2_000, minIntervalMs: 1_000, keepMs: 24 * 3_600_000 },
  });
}

function followEndedSessions(
  connection: NatsConnection,
  onEnded: (sessionId: string) => void,
  log: Log,
): void {
  connection.subscribe(noticeSubject('session-ended'), {
    callback(error, message) {
      const notice = error ? null : sessionEndedNoticeSchema.safeParse(parseJson(message.data));
      if (notice?.success) onEnded(notice.data.sessionId);
      else log.warn({ error }, 'a notice of the vault could not be read');
    },
  });
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch {
    return null;
  }
}

async function findInstance(
  bus: Bus,
  { issuer, incoming }: GatewaySettings,
  instanceId: string,
): Promise<InstanceDescription> {
  let description: InstanceDescription;
  try {
    description = await fetchInstanceDescription(bus, vaultLimitMs);
  } catch (cause) {
    const why =
      cause instanceof RefusedError
        ? `refuses to serve this gateway (${cause.code})`
        : `did not answer within ${vaultLimitMs / 1000} s: is a vault worker running on this NATS, with keys that were made together with the gateway's?`;
    throw new StartupError('vault-unreachable', `the vault ${why}`, { cause });
  }
  if (description.instanceId !== instanceId)
    throw new StartupError(
      'other-instance',
      `the vault belongs to the instance ${description.instanceId}, the gateway's key file to ${instanceId}: use the key files that were made together`,
    );
  const realm = incoming.type === 'external' ? issuer : realmOf(instanceId);
  if (description.issuer === issuer && description.realm !== realm)
    throw new StartupError(
      'incoming-auth-mismatch',
      'vault and gateway do not agree whether an external issuer issues the tokens: give them the same configuration',
      { exitCode: 2 },
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
        ? 'this user may not listen there: choose a port from 1024 on, or let it'
        : `${cause.code ?? 'unknown reason'}: set gateway.listen.host to an address of this machine`;
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
