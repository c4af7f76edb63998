/**
 * One provider worker as a process, with the plug-in `oauth2`, as `workers/provider-worker/main.ts` runs it, but it can
 * be stopped at a named step.
 */
import { createBus } from '../../schemas/bus.ts';
import type { OAuth2ProviderSettings } from '../../schemas/config/provider-config.ts';
import { readSecret } from '../../schemas/config/secret-reference.ts';
import { createBootId } from '../../schemas/ids.ts';
import { createLog } from '../../schemas/log.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { watchConnection } from '../../workers/provider-worker/connection-watch.ts';
import { serveProvider } from '../../workers/provider-worker/provider-worker.ts';
import { createBackendExchanges } from '../../workers/providers/backend-exchanges.ts';
import { createGuardedFetch } from '../../workers/providers/guarded-fetch.ts';
import { createProvider } from '../../workers/providers/provider-kinds.ts';
import { listenForFaults } from './faults.ts';
import { refuseClientMetadata } from './vault.ts';

export interface ProviderWorkerOrder {
  readonly url: string;
  readonly rootKey: string;
  readonly instanceId: string;
  readonly settings: OAuth2ProviderSettings;
  readonly clientSecret: string;
  readonly chain: readonly string[];
}

process.once('message', async (order: ProviderWorkerOrder) => {
  const { url, rootKey, instanceId, settings, clientSecret, chain } = order;
  const { name } = settings;
  const bootId = createBootId();
  const faults = listenForFaults();
  const now = Date.now;
  const connection = await openNatsConnection({ servers: url.split(','), role: 'provider', bootId });
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({
      ...{ instanceId, providers: chain, role: `provider:${name}` },
      rootKey: Buffer.from(rootKey, 'base64url'),
    }),
  );
  const log = createLog({ process: 'provider', bootId, level: 'fatal' });
  const bus = createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now }) });
  const guardedFetch = createGuardedFetch({ allowPrivateAddresses: true });
  const provider = createProvider(settings, {
    ...{ now, log, clientSecret: new Secret(clientSecret) },
    fetch: (...given) => {
      const answer = guardedFetch(...given);
      // The provider has the request before this process can end.
      setTimeout(() => faults.reach('provider-called'), 50);
      return answer;
    },
  });
  const refresh: typeof provider.refresh = async (request) => {
    await faults.reach('before-call');
    const outcome = await provider.refresh(request);
    await faults.reach('after-answer');
    return outcome;
  };
  const request: typeof bus.request = async (...given) => {
    const answer = await bus.request(...given);
    await faults.reach('acknowledged');
    return answer;
  };
  serveProvider({
    ...{ name, bootId, now, log, fetchClientMetadata: refuseClientMetadata },
    status: () => 'unknown',
    backendExchanges: createBackendExchanges(settings, {
      ...{ now, log },
      secretOf: () => null,
      readSecret: (reference) => readSecret(reference, process.env),
      fetchFor: createGuardedFetch,
    }),
    connected: watchConnection(connection),
    bus: { ...bus, request },
    provider: { ...provider, refresh },
  });
  await connection.flush();
  process.send!({ ready: true });
});
process.on('disconnect', () => process.exit());
