/**
 * How the vault reaches the workers of a provider. What can be used once (a code, a refresh token) is addressed to one
 * worker: it is found first, and only if nobody listens under its name any more, so that nobody has seen the request,
 * is another one asked.
 */
import type * as z from 'zod';
import type { Bus, RequestTarget } from '../../schemas/bus.ts';
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { createCommandId } from '../../schemas/ids.ts';
import { endUpstreamSessions, readLogoutToken } from '../../schemas/messages/backchannel-logout.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../../schemas/messages/client-metadata.ts';
import { fetchIssuerKeys, type IssuerPublicKey } from '../../schemas/messages/issuer-keys.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  authorizeAtProvider,
  exchangeAtProvider,
  exchangeTokenAtProvider,
  findProviderWorker,
  refreshAtProvider,
  registerAtProvider,
  revokeAtProvider,
} from '../../schemas/messages/provider-requests.ts';
import { deliverRefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import { introspectAtIssuer } from '../../schemas/messages/token-introspection.ts';
import { incomingWorkerName } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import {
  providerSubject,
  providerWorkerSubject,
  refreshOutcomeSubject,
  upstreamLogoutSubject,
} from '../../schemas/subjects.ts';
import type { ProviderSignIns } from '../../vault/authorization/sign-in.ts';
import type { ProviderExchanges } from '../../vault/exchange/exchanged-tokens.ts';
import type { ProviderRefreshes } from '../../vault/refresh/refresher.ts';
import type { ProviderRegistrar } from '../../vault/registration/client-registrations.ts';
import type { ProviderLogouts } from '../../vault/session/upstream-logout.ts';

/** A provider's own time-out is 10 s; a worker that starts is waited for. */
const exchangeTimeoutMs = 20_000;
const findTimeoutMs = 2_000;
/** Reading the metadata and registering have 10 s each. */
const registrationTimeoutMs = 25_000;
/** The worker gives the endpoint 4 s, and the gateway waits a little longer. */
const introspectionTimeoutMs = 5_000;
/** A worker that reads the provider's keys for the first time is waited for, and so is a partition that changes hands. */
const logoutTimeoutMs = 8_000;
/** The worker gives the client's server 3 s. */
const documentTimeoutMs = 4_000;
/** A worker that is flooded is asked for longer, but the claim must not run out before it has begun. */
const shortestAcceptMs = 2_000;
const acceptShare = 0.5;
const otherWorkers = 3;
/** What comes in this time goes to the same worker. */
const foundForMs = 100;

type FoundWorker = z.infer<typeof findProviderWorker.response>;

/** What a gateway has fetched, which reaches nothing but backends. */
interface ClientDocuments {
  fetchClientMetadata(provider: string, url: string): Promise<ClientMetadataDocument>;
}

/** What the external issuer of incoming tokens says. */
interface IncomingRequests {
  fetchIssuerKeys(): Promise<readonly IssuerPublicKey[]>;
  /** null: the token is not active. */
  introspect(token: Secret): Promise<Readonly<Record<string, unknown>> | null>;
}

export function createProviderRequests(
  bus: Bus,
): ProviderSignIns &
  ProviderRefreshes &
  ProviderExchanges &
  ProviderLogouts &
  ProviderRegistrar &
  ClientDocuments &
  IncomingRequests {
  const found = new Map<string, Promise<FoundWorker>>();
  const anyWorker = (provider: string, operation: { name: string }): RequestTarget => ({
    subject: providerSubject(provider, operation.name),
    pair: `vault-provider:${provider}`,
  });

  const oneWorker = (provider: string, operation: { name: string }, bootId: string): RequestTarget => ({
    subject: providerWorkerSubject(provider, operation.name, bootId),
    pair: `vault-provider:${provider}`,
  });

  function findWorker(provider: string): Promise<FoundWorker> {
    const known = found.get(provider);
    if (known) return known;
    const options = { timeoutMs: findTimeoutMs };
    const asked = bus.request(findProviderWorker, anyWorker(provider, findProviderWorker), {}, options);
    found.set(provider, asked);
    const forget = () => {
      if (found.get(provider) === asked) found.delete(provider);
    };
    asked.then(() => setTimeout(forget, foundForMs), forget);
    return asked;
  }

  /** Who is there but has too much to do is waited for. @throws NoRespondersError nobody was sent anything */
  async function findBusyWorker(provider: string, until: number): Promise<FoundWorker> {
    for (;;) {
      try {
        return await findWorker(provider);
      } catch (cause) {
        if (cause instanceof DeadlineExceededError && performance.now() < until) continue;
        throw new NoRespondersError(`no worker of ${provider} was found`, { cause });
      }
    }
  }

  async function askOne<Request, Response>(
    provider: string,
    operation: Operation<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const commandId = createCommandId();
    const until = performance.now() + timeoutMs / 2;
    for (let attempt = 1; ; attempt++) {
      const { bootId } = await findBusyWorker(provider, until);
      const target = oneWorker(provider, operation, bootId);
      try {
        return await bus.request(operation, target, request, { timeoutMs, commandId, failUnheard: true });
      } catch (error) {
        if (!(error instanceof NoRespondersError) || attempt === otherWorkers) throw error;
        found.delete(provider);
      }
    }
  }

  return {
    authorize(provider, at) {
      const options = { timeoutMs: exchangeTimeoutMs };
      if (at === undefined)
        return bus.request(authorizeAtProvider, anyWorker(provider, authorizeAtProvider), {}, options);
      const target = oneWorker(provider, authorizeAtProvider, at.worker);
      const { client } = at;
      return bus.request(authorizeAtProvider, target, { client }, { ...options, failUnheard: true });
    },

    async findRegistrar(provider) {
      const target = anyWorker(provider, findProviderWorker);
      const options = { timeoutMs: exchangeTimeoutMs };
      const { bootId: worker, registers } = await bus.request(findProviderWorker, target, {}, options);
      if (registers === undefined)
        throw new RefusedError(
          'unavailable',
          `no worker of ${provider} that was asked registers Latchkey there`,
        );
      return { worker, ...registers };
    },

    register(provider, worker, metadataHash, commandId) {
      const target = oneWorker(provider, registerAtProvider, worker);
      const options = { timeoutMs: registrationTimeoutMs, commandId, failUnheard: true };
      return bus.request(registerAtProvider, target, { metadataHash }, options);
    },

    async fetchClientMetadata(provider, url) {
      const target = anyWorker(provider, findClientMetadata);
      try {
        return await bus.request(findClientMetadata, target, { url }, { timeoutMs: documentTimeoutMs });
      } catch (cause) {
        if (cause instanceof RefusedError) throw cause;
        const message = `no worker of ${provider} fetches the documents of clients`;
        throw new RefusedError('unavailable', message, { retryable: false, cause });
      }
    },

    async fetchIssuerKeys() {
      const target = anyWorker(incomingWorkerName, fetchIssuerKeys);
      return (await bus.request(fetchIssuerKeys, target, {}, { timeoutMs: exchangeTimeoutMs })).keys;
    },

    async introspect(accessToken) {
      const target = anyWorker(incomingWorkerName, introspectAtIssuer);
      const options = { timeoutMs: introspectionTimeoutMs };
      return (await bus.request(introspectAtIssuer, target, { accessToken }, options)).claims;
    },

    exchange: (provider, leg, parameters, client) =>
      askOne(provider, exchangeAtProvider, { leg, parameters, client }, exchangeTimeoutMs),

    exchangeToken: (provider, { backend, subjectToken }) =>
      askOne(provider, exchangeTokenAtProvider, { backend, subjectToken }, exchangeTimeoutMs),

    async revoke(provider, tokens, registration, client) {
      const target = anyWorker(provider, revokeAtProvider);
      const revoke = (token: Secret, tokenTypeHint: 'refresh_token' | 'access_token') =>
        bus.request(
          revokeAtProvider,
          target,
          { token, tokenTypeHint, registration, client },
          { timeoutMs: exchangeTimeoutMs },
        );
      // With its refresh token a grant ends (RFC 7009 section 2.1); some providers take access tokens alone.
      const { refreshToken, accessToken } = tokens;
      if (refreshToken && (await revoke(refreshToken, 'refresh_token')).revoked) return;
      await revoke(accessToken, 'access_token');
    },

    readLogoutToken: (provider, logoutToken) =>
      bus.request(
        readLogoutToken,
        anyWorker(provider, readLogoutToken),
        { logoutToken },
        { timeoutMs: logoutTimeoutMs },
      ),

    async endUpstreamSessions(partition, provider, signedOut) {
      const target: RequestTarget = {
        subject: upstreamLogoutSubject(partition, provider),
        pair: `vault-provider:${provider}`,
      };
      await bus.request(endUpstreamSessions, target, signedOut, { timeoutMs: logoutTimeoutMs });
    },

    async forward(partition, delivery) {
      const { provider } = delivery;
      const target: RequestTarget = {
        subject: refreshOutcomeSubject(partition, provider),
        pair: `vault-provider:${provider}`,
      };
      await bus.request(deliverRefreshOutcome, target, delivery, { timeoutMs: exchangeTimeoutMs });
    },

    prepare(provider) {
      // Whoever gives it a refresh hears what became of this.
      findWorker(provider).catch(() => undefined);
    },

    async start({ claimId, deadlineAt, partition, grant }, client) {
      const { grantId, provider, registration, tokens } = grant;
      if (!tokens.refreshToken) return 'not-sent';
      const { refreshToken, scope } = tokens;
      const order = { claimId, grantId, partition, refreshToken, scope, registration, client, deadlineAt };
      try {
        const timeoutMs = Math.max(shortestAcceptMs, (deadlineAt - Date.now()) * acceptShare);
        await askOne(provider, refreshAtProvider, order, timeoutMs);
        return 'accepted';
      } catch (error) {
        const unheard = error instanceof NoRespondersError || error instanceof RefusedError;
        return unheard ? 'not-sent' : 'unknown';
      }
    },
  };
}
