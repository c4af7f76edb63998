/**
 * Serves one provider on the bus: `latchkey.provider.<name>.*` (DESIGN.md section 4). Providers of one process share
 * nothing but the connection, so one that hangs delays no other. What works once (a code, a refresh token) is taken
 * only under this worker's own boot id and done once for one command id or claim.
 */
import { type Bus, goodAtAnyTime } from '../../schemas/bus.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { Log } from '../../schemas/log.ts';
import { type LogoutTokenContent, readLogoutToken } from '../../schemas/messages/backchannel-logout.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../../schemas/messages/client-metadata.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  authorizeAtProvider,
  exchangeAtProvider,
  exchangeTokenAtProvider,
  findProviderWorker,
  type RegistrationOutcome,
  refreshAtProvider,
  registerAtProvider,
  revokeAtProvider,
  type TokenExchangeOutcome,
} from '../../schemas/messages/provider-requests.ts';
import { type AskedProviderStatus, tellProviderStatus } from '../../schemas/messages/provider-status.ts';
import { deliverRefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { RolePair } from '../../schemas/role-keys.ts';
import { providerSubject, providerWorkerSubject, refreshOutcomeSubject } from '../../schemas/subjects.ts';
import type { BackendExchanges } from '../providers/backend-exchanges.ts';
import type { ClientRegistrar } from '../providers/client-registrar.ts';
import type { RegisteredProvider } from '../providers/registered-provider.ts';
import { type CommandMemory, createCommandMemory } from './command-memory.ts';
import { createRefreshRunner } from './refresh-runner.ts';

export interface ProviderWorkerOptions {
  readonly name: string;
  readonly provider: RegisteredProvider;
  /** null: the provider has a client that is configured. */
  readonly registrar?: Registrar | null;
  /** Of the requests to it. */
  readonly status: () => AskedProviderStatus;
  readonly backendExchanges: BackendExchanges;
  /** With the keys of this provider's role. */
  readonly bus: Bus;
  readonly bootId: string;
  /** For the documents of clients. */
  readonly fetchClientMetadata: (url: string) => Promise<ClientMetadataDocument>;
  /** Resolves while there is a connection to NATS. */
  readonly connected: () => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Registrar extends ClientRegistrar {
  /** The last one that the provider said it does not know. */
  readonly lost: () => ClientRegistration | null;
}

export interface ProviderWorker {
  /** Refreshes that run or whose outcome is not acknowledged. */
  readonly running: () => number;
  /** Takes nothing new, ends what runs, and resolves when every outcome is delivered. */
  stop(): Promise<void>;
}

/** Whoever takes over a registration asks the worker that made it for what came of it. */
const registrationKeptMs = 10 * 60_000;
/** Long enough for one acknowledgement that waits for the log; the runner repeats. */
const deliveryMs = 2_000;

export function serveProvider(options: ProviderWorkerOptions): ProviderWorker {
  const { name, provider, registrar = null, bus, bootId, connected, now, log } = options;
  const pair: RolePair = `vault-provider:${name}`;
  const queue = `provider-${name}`;
  const atAnyWorker = ({ name: operation }: Named) => ({
    subject: providerSubject(name, operation),
    pair,
    queue,
    goodForMs: goodAtAnyTime,
  });
  const atThisWorker = ({ name: operation }: Named) => ({
    subject: providerWorkerSubject(name, operation, bootId),
    pair,
    queue,
    goodForMs: goodAtAnyTime,
  });

  const authorizations = createCommandMemory<Awaited<ReturnType<RegisteredProvider['authorize']>>>();
  const exchanges = createCommandMemory<Awaited<ReturnType<RegisteredProvider['exchange']>>>();
  const registrations = createCommandMemory<RegistrationOutcome>({ keepMs: registrationKeptMs });
  const documents = createCommandMemory<ClientMetadataDocument>();
  const tokenExchanges = createCommandMemory<TokenExchangeOutcome>();
  const revocations = createCommandMemory<Awaited<ReturnType<RegisteredProvider['revoke']>>>();
  const logoutTokens = createCommandMemory<LogoutTokenContent>({ keepMs: 10_000 });
  const runner = createRefreshRunner({
    provider,
    now,
    log,
    async deliver({ partition, grantId, claimId }, outcome, commandId) {
      // Without a connection the attempts would pile up in the connection's buffer.
      await connected();
      const target = { subject: refreshOutcomeSubject(partition, name), pair };
      const delivery = { provider: name, grantId, claimId, outcome };
      await bus.request(deliverRefreshOutcome, target, delivery, {
        timeoutMs: deliveryMs,
        commandId,
        failUnheard: true,
      });
    },
  });
  let stopping = false;
  const assertMayBegin = (memory: Pick<CommandMemory<unknown>, 'has'>, commandId: string) => {
    if (stopping && !memory.has(commandId))
      throw new RefusedError('unavailable', 'this provider worker is stopping');
  };

  const stopServing = [
    ...[atAnyWorker, atThisWorker].map((at) =>
      bus.serve(authorizeAtProvider, at(authorizeAtProvider), (request, { commandId }) =>
        authorizations.run(commandId, () => provider.authorize(request)),
      ),
    ),
    bus.serve(revokeAtProvider, atAnyWorker(revokeAtProvider), (request, { commandId }) =>
      revocations.run(commandId, () => provider.revoke(request)),
    ),
    bus.serve(findClientMetadata, atAnyWorker(findClientMetadata), ({ url }, { commandId }) =>
      documents.run(commandId, () => options.fetchClientMetadata(url)),
    ),
    bus.serve(
      exchangeTokenAtProvider,
      atThisWorker(exchangeTokenAtProvider),
      ({ backend, subjectToken }, { commandId }) =>
        tokenExchanges.run(commandId, () => options.backendExchanges.exchange(backend, subjectToken)),
    ),
    bus.serve(readLogoutToken, atAnyWorker(readLogoutToken), ({ logoutToken }, { commandId }) =>
      logoutTokens.run(commandId, () => provider.readLogoutToken(logoutToken)),
    ),
    bus.serve(findProviderWorker, atAnyWorker(findProviderWorker), () => ({
      bootId,
      ...(registrar && { registers: describe(registrar) }),
    })),
    bus.serve(tellProviderStatus, atAnyWorker(tellProviderStatus), () => ({ status: options.status() })),
    bus.serve(refreshAtProvider, atThisWorker(refreshAtProvider), (order) => {
      runner.accept(order);
      return {};
    }),
  ];
  const stopRegistrations = bus.serve(
    registerAtProvider,
    atThisWorker(registerAtProvider),
    ({ metadataHash }, { commandId }) => {
      if (registrar?.metadataHash !== metadataHash)
        throw new RefusedError('invalid-request', 'metadataHash: this worker would register something else');
      assertMayBegin(registrations, commandId);
      return registrations.run(commandId, registrar.register);
    },
  );
  // Served until the last exchange is fetched: the outcome of a code is asked for again and again.
  const stopExchanges = bus.serve(
    exchangeAtProvider,
    atThisWorker(exchangeAtProvider),
    (request, { commandId }) => {
      assertMayBegin(exchanges, commandId);
      return exchanges.run(commandId, () => provider.exchange(request));
    },
  );

  return {
    running: runner.running,
    async stop() {
      stopping = true;
      await Promise.all(stopServing.map((stop) => stop()));
      const exchanged = exchanges.settled().then(stopExchanges);
      const registered = registrations.settled().then(stopRegistrations);
      await Promise.all([
        exchanged,
        registered,
        authorizations.settled(),
        documents.settled(),
        tokenExchanges.settled(),
        revocations.settled(),
        logoutTokens.settled(),
        runner.drain(),
      ]);
    },
  };
}

function describe({ metadataHash, attemptHash, lost }: Registrar) {
  return { metadataHash, attemptHash, lost: lost() };
}

type Named = Pick<Operation<unknown, unknown>, 'name'>;
