/**
 * One provider worker as a process: it alone holds the client secrets of its providers, keeps nothing on disk, and
 * stops only after every refresh it began is delivered.
 */
import { parseArgs } from 'node:util';
import { createBus } from '../../schemas/bus.ts';
import { readProcessConfiguration } from '../../schemas/config/process-configuration.ts';
import {
  type IncomingIssuerSettings,
  type ProviderWorkerSettings,
  providerConfig,
} from '../../schemas/config/provider-config.ts';
import { readSecret, type SecretReference } from '../../schemas/config/secret-reference.ts';
import { createBootId } from '../../schemas/ids.ts';
import { createLog, type Log } from '../../schemas/log.ts';
import { NatsUnreachableError, openNatsConnection } from '../../schemas/nats-connection.ts';
import { type ClientRegistration, incomingWorkerName } from '../../schemas/provider.ts';
import { readRoleKeys, roleKeyFileName } from '../../schemas/role-key-file.ts';
import type { RoleKeys } from '../../schemas/role-keys.ts';
import { runProcess, StartupError } from '../../schemas/run-process.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { createBackendExchanges } from '../providers/backend-exchanges.ts';
import { createClientRegistrar } from '../providers/client-registrar.ts';
import { createGuardedFetch } from '../providers/guarded-fetch.ts';
import { createIncomingIssuer } from '../providers/incoming-issuer.ts';
import { createRegisteredClients } from '../providers/registered-clients.ts';
import { createRegisteredProvider } from '../providers/registered-provider.ts';
import { createClientMetadataFetch, fetchClientMetadata } from './client-metadata.ts';
import { watchConnection } from './connection-watch.ts';
import { serveIncomingIssuer } from './incoming-worker.ts';
import { observeFetch } from './observed-fetch.ts';
import { type Registrar, serveProvider } from './provider-worker.ts';

interface Options {
  readonly config: string;
  /** The folder with `provider.<name>.keys.json` of each provider. */
  readonly keys: string;
  readonly only: readonly string[] | undefined;
}

runProcess({
  name: 'provider',
  async start() {
    const options = readOptions(process.argv.slice(2));
    const { settings, secrets, nats } = readProcessConfiguration(
      options.config,
      (config) => providerConfig(config, options.only),
      process.env,
    );
    assertKnown(options.only, settings);
    const keys = readKeys(options.keys, settings);
    const bootId = createBootId();
    const log = createLog({
      process: 'provider',
      bootId,
      level: process.env.LATCHKEY_LOG_LEVEL ?? settings.logLevel,
    });
    const connection = await openNatsConnection({ ...nats, role: 'provider', bootId });
    const connected = watchConnection(connection);
    let stopping = false;
    void connection.closed().then((cause) => {
      if (!stopping) throw new NatsUnreachableError('the connection to NATS was closed for good', { cause });
    });

    const now = () => Date.now();
    const fetchDocument = createClientMetadataFetch();
    const busOf = (name: string, providerLog: Log) =>
      createBus({
        connection,
        envelopes: createSealedEnvelopes({ keys: keys.get(name)!, bootId, now }),
        onProblem: (problem) => providerLog.warn(problem, 'a message could not be answered'),
      });
    const serveIncoming = (issuer: IncomingIssuerSettings) => {
      const fetch = createGuardedFetch({ allowPrivateAddresses: issuer.allowPrivateIps });
      const clientSecret = issuer.introspection && secrets.get(issuer.introspection.clientSecret.path)!;
      return serveIncomingIssuer({
        bus: busOf(incomingWorkerName, log.child({ provider: incomingWorkerName })),
        issuer: createIncomingIssuer(issuer, { clientSecret, fetch, now }),
      });
    };
    const workers = settings.providers.map((provider) => {
      const { name } = provider;
      const providerLog = log.child({ provider: name });
      const observed = observeFetch(createGuardedFetch({ allowPrivateAddresses: provider.allowPrivateIps }));
      const secretOf = ({ path }: SecretReference) => secrets.get(path) ?? null;
      const registeredClients = createRegisteredClients(name, keys.get(name)!);
      let lost: ClientRegistration | null = null;
      let registrar: Registrar | null = null;
      if (provider.clientId === null) {
        const { initialAccessToken } = provider.registration;
        const made = createClientRegistrar(provider, {
          initialAccessToken: initialAccessToken && secretOf(initialAccessToken),
          ...{ registeredClients, fetch: observed.fetch, now, log: providerLog },
        });
        registrar = { ...made, lost: () => lost };
      }
      return serveProvider({
        name,
        bootId,
        status: observed.status,
        connected,
        fetchClientMetadata: (url) => fetchClientMetadata(fetchDocument, url),
        now,
        log: providerLog,
        bus: busOf(name, providerLog),
        provider: createRegisteredProvider(provider, secretOf, {
          ...{ registeredClients, fetch: observed.fetch, now, log: providerLog },
          onLost(registration) {
            lost = registration;
          },
        }),
        registrar,
        backendExchanges: createBackendExchanges(provider, {
          secretOf,
          readSecret: (reference) => readSecret(reference, process.env),
          fetchFor: createGuardedFetch,
          now,
          log: providerLog,
        }),
      });
    });
    const incoming = settings.incoming && serveIncoming(settings.incoming);
    await connection.flush();
    const names = workerNames(settings);
    log.info({ providers: names }, 'serving');

    return {
      ready: { bootId, providers: names },
      async stop() {
        log.info({ refreshes: workers.reduce((sum, worker) => sum + worker.running(), 0) }, 'stopping');
        await Promise.all([...workers.map((worker) => worker.stop()), incoming?.stop()]);
        stopping = true;
        await connection.drain();
        log.info('stopped');
      },
    };
  },
});

function readOptions(args: readonly string[]): Options {
  const usage = 'usage: latchkey provider --config FILE --keys DIR [--only NAME]...';
  let values: { config?: string; keys?: string; only?: string[] };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        keys: { type: 'string' },
        only: { type: 'string', multiple: true },
      },
    }));
  } catch (cause) {
    throw new StartupError('usage', usage, { exitCode: 2, cause });
  }
  const { config, keys } = values;
  if (config === undefined || keys === undefined) throw new StartupError('usage', usage, { exitCode: 2 });
  return { config, keys, only: values.only?.flatMap((names) => names.split(',')) };
}

/** Of everything that this process serves. */
function workerNames({ providers, incoming }: ProviderWorkerSettings): string[] {
  const names = providers.map(({ name }) => name);
  return incoming === null ? names : [...names, incomingWorkerName];
}

function assertKnown(only: readonly string[] | undefined, settings: ProviderWorkerSettings): void {
  const known = workerNames(settings);
  const unknown = only?.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new StartupError(
    'unknown-provider',
    `--only ${unknown}: the configuration has no upstream of this name`,
    {
      exitCode: 2,
    },
  );
}

function readKeys(folder: string, settings: ProviderWorkerSettings): Map<string, RoleKeys> {
  const found = new Map<string, RoleKeys>();
  let instanceId: string | undefined;
  for (const name of workerNames(settings)) {
    const keys = readRoleKeys(folder, {
      role: `provider:${name}`,
      ...(instanceId === undefined ? {} : { instanceId }),
    });
    instanceId = keys.instanceId;
    found.set(name, keys);
  }
  for (const { name, clientId } of settings.providers)
    if (clientId === null && found.get(name)!.own === undefined)
      throw new StartupError(
        'provider-key-missing',
        `key file ${roleKeyFileName(`provider:${name}`)} has no key for the client that \`dcr_config\` registers: run \`latchkey keys init\` again where the root key is, and give this worker the new file`,
      );
  return found;
}
