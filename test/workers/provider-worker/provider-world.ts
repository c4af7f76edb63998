// A provider worker in the test's own process, on a real NATS, with a vault that the test plays.
import { randomBytes } from 'node:crypto';
import { type Bus, createBus } from '../../../schemas/bus.ts';
import type { ClientProviderSettings } from '../../../schemas/config/provider-config.ts';
import { createBootId, createClaimId, createInstanceId } from '../../../schemas/ids.ts';
import {
  exchangeAtProvider,
  findProviderWorker,
  refreshAtProvider,
} from '../../../schemas/messages/provider-requests.ts';
import {
  deliverRefreshOutcome,
  type RefreshOutcomeDelivery,
} from '../../../schemas/messages/refresh-outcome.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import type { InboxConnection } from '../../../schemas/reply-inbox.ts';
import { deriveRoleKeyFile } from '../../../schemas/role-key-file.ts';
import { type RoleKeys, type RolePair, roleKeysSchema } from '../../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import type { Secret } from '../../../schemas/secret.ts';
import { providerSubject, providerWorkerSubject, refreshOutcomeSubject } from '../../../schemas/subjects.ts';
import {
  createClientMetadataFetch,
  fetchClientMetadata,
} from '../../../workers/provider-worker/client-metadata.ts';
import { watchConnection } from '../../../workers/provider-worker/connection-watch.ts';
import { type ProviderWorker, serveProvider } from '../../../workers/provider-worker/provider-worker.ts';
import { createBackendExchanges } from '../../../workers/providers/backend-exchanges.ts';
import { createProvider } from '../../../workers/providers/provider-kinds.ts';
import { createDependencies, exchangeDependencies } from '../providers/provider-settings.ts';

const partition = 7;

export interface ProviderWorld {
  /** Keys of a role of this instance. */
  keys(role: 'vault' | 'provider:test' | 'provider:other'): RoleKeys;
  openWorker(settings: ClientProviderSettings): Promise<TestWorker>;
  openVault(): Promise<TestVault>;
}

export interface TestWorker extends AsyncDisposable {
  readonly bootId: string;
  readonly worker: ProviderWorker;
  readonly connection: InboxConnection;
  readonly lines: string[];
}

export interface TestVault extends AsyncDisposable {
  readonly bus: Bus;
  readonly connection: InboxConnection;
  readonly delivered: RefreshOutcomeDelivery[];
  /** Starts to acknowledge what is delivered; `refuse` first. */
  serveOutcomes(acknowledge?: (attempt: number) => Promise<void> | void): () => Promise<void>;
  findWorker(name?: string): Promise<string>;
  refresh(
    bootId: string,
    refreshToken: Secret,
    change?: { claimId?: string; deadlineAt?: number },
  ): Promise<object>;
  exchange(
    bootId: string,
    request: Parameters<typeof exchangeAtProvider.request.parse>[0] & object,
    commandId?: string,
  ): Promise<typeof exchangeAtProvider.response._zod.output>;
}

export const pair: RolePair = 'vault-provider:test';

export function createProviderWorld(url: string, token?: string): ProviderWorld {
  const rootKey = randomBytes(32);
  const instanceId = createInstanceId();
  const providers = ['test', 'other'];
  const now = () => Date.now();

  const keys: ProviderWorld['keys'] = (role) =>
    roleKeysSchema.parse(deriveRoleKeyFile({ rootKey, instanceId, role, providers }));

  const open = (role: 'vault' | 'provider', bootId: string) =>
    openNatsConnection({ servers: [url], role, bootId, ...(token === undefined ? {} : { token }) });

  return {
    keys,
    async openWorker(settings) {
      const bootId = createBootId();
      const connection = await open('provider', bootId);
      const dependencies = createDependencies({ timeoutMs: 5_000 });
      const envelopes = createSealedEnvelopes({ keys: keys('provider:test'), bootId, now });
      const worker = serveProvider({
        name: 'test',
        bootId,
        bus: createBus({ connection, envelopes }),
        provider: createProvider(settings, dependencies),
        status: () => 'unknown',
        backendExchanges: createBackendExchanges(settings, exchangeDependencies(dependencies)),
        connected: watchConnection(connection),
        fetchClientMetadata: (url) => fetchClientMetadata(createClientMetadataFetch(), url),
        now,
        log: dependencies.log,
      });
      await connection.flush();
      return {
        bootId,
        worker,
        connection,
        lines: dependencies.lines,
        [Symbol.asyncDispose]: () => connection.close(),
      };
    },

    async openVault() {
      const bootId = createBootId();
      const connection = await open('vault', bootId);
      const bus = createBus({
        connection,
        envelopes: createSealedEnvelopes({ keys: keys('vault'), bootId, now }),
      });
      const delivered: RefreshOutcomeDelivery[] = [];
      return {
        bus,
        connection,
        delivered,
        serveOutcomes(acknowledge = () => {}) {
          const subject = refreshOutcomeSubject(partition, 'test');
          return bus.serve(deliverRefreshOutcome, { subject, pair, queue: 'vault' }, async (delivery) => {
            delivered.push(delivery);
            await acknowledge(delivered.length);
            return {};
          });
        },
        async findWorker(name = 'test') {
          const target = { subject: providerSubject(name, 'find-worker'), pair };
          return (await bus.request(findProviderWorker, target, {}, { timeoutMs: 2000, failUnheard: true }))
            .bootId;
        },
        refresh(at, refreshToken, change = {}) {
          const subject = providerWorkerSubject('test', 'refresh', at);
          const request = {
            claimId: createClaimId(),
            grantId: `grt_${'a'.repeat(32)}`,
            partition,
            refreshToken,
            scope: null,
            registration: { clientId: 'latchkey', generation: 0 },
            deadlineAt: Date.now() + 10_000,
            ...change,
          };
          return bus.request(refreshAtProvider, { subject, pair }, request, { timeoutMs: 2000 });
        },
        exchange(at, request, commandId) {
          const subject = providerWorkerSubject('test', 'exchange', at);
          const options = { timeoutMs: 5000, ...(commandId === undefined ? {} : { commandId }) };
          return bus.request(exchangeAtProvider, { subject, pair }, request as never, options);
        },
        [Symbol.asyncDispose]: () => connection.close(),
      };
    },
  };
}
