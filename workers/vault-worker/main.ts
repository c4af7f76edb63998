/**
 * The vault worker as a process: configuration and key files in, a vault on the bus out. It needs NATS and its own
 * folder, and nothing else of the world.
 */
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type BusOptions, createBus } from '../../schemas/bus.ts';
import { readProcessConfiguration } from '../../schemas/config/process-configuration.ts';
import { vaultConfig } from '../../schemas/config/vault-config.ts';
import { createIssuerKeys, type IssuerKeysOptions } from '../../schemas/external-issuer/issuer-keys.ts';
import { createBootId } from '../../schemas/ids.ts';
import { createLog } from '../../schemas/log.ts';
import { NatsUnreachableError, openNatsConnection } from '../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../schemas/role-key-file.ts';
import { runProcess, StartupError } from '../../schemas/run-process.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { VaultError } from '../../vault/errors.ts';
import { openKeyRing } from '../../vault/sealing/key-ring.ts';
import { createTokenIntrospection } from '../../vault/token-introspection.ts';
import { openVault } from '../../vault/vault.ts';
import { lockFolder } from '../folder-lock.ts';
import { keyRingSource } from './key-ring-sources.ts';
import { createProviderRequests } from './provider-requests.ts';
import { startVaultWorker } from './vault-worker.ts';

/** A session's longest access token; the lifetime itself is the gateway's to choose below it. */
const longestAccessTokenSeconds = 3600;

runProcess({
  name: 'vault',
  async start() {
    const { values } = parseArgs({
      options: {
        config: { type: 'string' },
        keys: { type: 'string' },
        'key-ring': { type: 'string' },
        data: { type: 'string' },
      },
    });
    if (!values.keys) throw new StartupError('usage', 'needs --keys PATH', { exitCode: 2 });
    if (!values.data) throw new StartupError('usage', 'needs --data DIR', { exitCode: 2 });
    const { settings, nats } = readProcessConfiguration(values.config, vaultConfig, process.env);
    const bootId = createBootId();
    const level = process.env.LATCHKEY_LOG_LEVEL ?? settings.logLevel;
    const log = createLog({ process: 'vault', bootId, level });
    const keys = readRoleKeys(values.keys, { role: 'vault' });
    const choice = values['key-ring'] ?? settings.keyRing ?? `file:${keyRingPath(values.keys)}`;
    const source = keyRingSource(choice, keys.instanceId, process.env);
    const keyRing = openKeyRing(await source.read(), {
      source,
      onKeyMissing: (err) => log.error({ err, keys: keyRing.keyIds(), source: source.name }, 'key ring'),
    });
    process.on('SIGHUP', () => {
      keyRing.load(null).then(
        () => log.info({ keys: keyRing.keyIds(), current: keyRing.current() }, 'key ring loaded'),
        (err) => log.error({ err, source: source.name }, 'key ring not loaded; the one before stays'),
      );
    });
    const lock = lockFolder(
      resolve(values.data),
      'vault.lock',
      () =>
        `data folder ${resolve(values.data!)} is used by another vault worker: give each one a folder of its own (--data DIR)`,
    );

    const now = Date.now;
    const envelopes = createSealedEnvelopes({ keys, bootId, now });
    let stopping = false;
    /** Inboxes go by the boot id, and what two connections subscribe must not be the same. */
    const connectAs = async (id: string) => {
      const opened = await openNatsConnection({ ...nats, role: 'vault', bootId: id });
      void opened.closed().then((cause) => {
        if (!stopping)
          throw new NatsUnreachableError('the connection to NATS was closed for good', { cause });
      });
      const onProblem: BusOptions['onProblem'] = ({ subject, error }) =>
        log.warn({ subject, err: error }, 'request not answered as asked');
      return { connection: opened, bus: createBus({ connection: opened, envelopes, onProblem }) };
    };
    const { connection, bus } = await connectAs(bootId);
    const gateways = await connectAs(createBootId());
    const providers = settings.providers.map(({ name }) => name);
    const requests = createProviderRequests(bus);
    const { incoming } = settings;
    const onProblem = (error: unknown) => log.warn({ err: error }, 'work in the background failed');
    const issuerKeys =
      incoming.type === 'external' ? openIssuerKeys(requests.fetchIssuerKeys, onProblem) : null;
    const introspect =
      incoming.type === 'external' && incoming.introspects
        ? createTokenIntrospection({ ask: requests.introspect, now })
        : null;
    const inChain = settings.providers.filter(({ loginPolicy }) => loginPolicy !== 'on_demand');
    const vault = await openVault({
      connection,
      keyRing,
      issuer: settings.issuer,
      audiences: settings.allowedAudiences,
      maxAccessTokenSeconds: Math.max(settings.lifespans.accessTokenSeconds, longestAccessTokenSeconds),
      signingKeyMs: settings.signingKeyDays * 24 * 3_600_000,
      chain: inChain.map(({ name }) => name),
      optional: inChain.filter(({ loginPolicy }) => loginPolicy === 'optional').map(({ name }) => name),
      ...(incoming.type === 'external'
        ? { external: { rules: incoming.rules, keys: issuerKeys!, introspect } }
        : providers[0] !== undefined && { identityProvider: providers[0] }),
      linkable: providers,
      linkedIdleMs: settings.linking.idleDays * 24 * 3_600_000,
      keepLinkedAlive: settings.linking.keepAlive,
      providers: requests,
      registrations: {
        at: settings.providers.filter(({ registers }) => registers).map(({ name }) => name),
        registrar: requests,
        onAnswerLost: (provider) =>
          log.warn(
            { provider },
            'what came of registering Latchkey at the provider is not known: it may have a client there that nobody uses, which can be deleted; Latchkey is registered anew',
          ),
      },
      tokenExchanges: settings.tokenExchanges,
      refreshTokenReuse: new Map(
        settings.providers.flatMap(({ name, refreshTokenReuse: reuse }) => (reuse ? [[name, reuse]] : [])),
      ),
      refreshAheadSeconds: settings.refresh.refreshAheadSeconds,
      refreshUsedWithinSeconds: settings.refresh.refreshUsedWithinSeconds,
      refreshLimits: {
        concurrency: settings.refresh.refreshConcurrency,
        perSecond: settings.refresh.refreshesPerSecond,
      },
      folder: values.data,
      worker: bootId,
      replicas: settings.replicas,
      now,
      random: Math.random,
      onProblem,
      onBuiltAnew: () =>
        log.warn(
          'projection.sqlite was damaged, or not of this version or of the streams of this NATS, and is built anew from those',
        ),
      onRevocationFailed: ({ provider, grantId, error }) =>
        log.warn({ provider, grantId, err: error }, 'tokens could not be revoked at their provider'),
      onFatal: (error) => {
        // Nobody waits for this: it ends the process with its one line.
        void Promise.reject(new StartupError(error.code, error.message, { cause: error }));
      },
    }).catch((error) => {
      if (error instanceof VaultError) throw new StartupError(error.code, error.message, { cause: error });
      throw error;
    });
    const worker = startVaultWorker({
      ...{ bus, gateways: gateways.bus, vault, providers },
      fetchClientMetadata: (url) => requests.fetchClientMetadata(providers[0]!, url),
      issuerKeys,
      introspect,
    });
    await worker.ownership.settled();
    await Promise.all([connection.flush(), gateways.connection.flush()]);
    log.info({ partitions: worker.ownership.serving().length }, 'serving');
    return {
      async stop() {
        await worker.stop();
        issuerKeys?.[Symbol.dispose]();
        await vault[Symbol.asyncDispose]();
        stopping = true;
        await Promise.all([connection.drain(), gateways.connection.drain()]);
        lock[Symbol.dispose]();
      },
    };
  },
});

/** An issuer that is away takes nothing away for a day; a key that it removed counts for five minutes at most. */
function openIssuerKeys(
  fetchKeys: IssuerKeysOptions['fetchKeys'],
  onProblem: IssuerKeysOptions['onProblem'],
) {
  const times = { renewMs: 300_000, retryMs: 5_000, minIntervalMs: 5_000, keepMs: 24 * 3_600_000 };
  return createIssuerKeys({ fetchKeys, elapsed: () => performance.now(), onProblem, times });
}

/** Beside the role's key file, if that was named itself. */
function keyRingPath(keys: string): string {
  return keys.endsWith('.json') ? join(dirname(keys), 'vault.keyring.json') : keys;
}
