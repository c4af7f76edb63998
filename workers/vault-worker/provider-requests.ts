/**
 * How the vault reaches the workers of a provider. What can be used once (a code, a refresh token) is addressed to one
 * worker: it is found first, and only if nobody listens under its name any more, so that nobody has seen the request,
 * is another one asked.
 */
import type { Bus, RequestTarget } from '../../schemas/bus.ts';
import { NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { createCommandId } from '../../schemas/ids.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  authorizeAtProvider,
  exchangeAtProvider,
  findProviderWorker,
  refreshAtProvider,
  revokeAtProvider,
} from '../../schemas/messages/provider-requests.ts';
import { deliverRefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { Secret } from '../../schemas/secret.ts';
import { providerSubject, providerWorkerSubject, refreshOutcomeSubject } from '../../schemas/subjects.ts';
import type { ProviderSignIns } from '../../vault/authorization/sign-in.ts';
import type { ProviderRefreshes } from '../../vault/refresh/refresher.ts';

/** A provider's own time-out is 10 s; a worker that starts is waited for. */
const exchangeTimeoutMs = 20_000;
const findTimeoutMs = 2_000;
const acceptTimeoutMs = 2_000;
const otherWorkers = 3;

export function createProviderRequests(bus: Bus): ProviderSignIns & ProviderRefreshes {
  const anyWorker = (provider: string, operation: { name: string }): RequestTarget => ({
    subject: providerSubject(provider, operation.name),
    pair: `vault-provider:${provider}`,
  });

  async function askOne<Request, Response>(
    provider: string,
    operation: Operation<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const commandId = createCommandId();
    for (let attempt = 1; ; attempt++) {
      const found = await bus.request(
        findProviderWorker,
        anyWorker(provider, findProviderWorker),
        {},
        { timeoutMs: findTimeoutMs },
      );
      const subject = providerWorkerSubject(provider, operation.name, found.bootId);
      try {
        const target: RequestTarget = { subject, pair: `vault-provider:${provider}` };
        return await bus.request(operation, target, request, { timeoutMs, commandId, failUnheard: true });
      } catch (error) {
        if (!(error instanceof NoRespondersError) || attempt === otherWorkers) throw error;
      }
    }
  }

  return {
    authorize: (provider) =>
      bus.request(
        authorizeAtProvider,
        anyWorker(provider, authorizeAtProvider),
        {},
        { timeoutMs: exchangeTimeoutMs },
      ),

    exchange: (provider, leg, parameters) =>
      askOne(provider, exchangeAtProvider, { leg, parameters }, exchangeTimeoutMs),

    async revoke(provider, tokens, registration) {
      const target = anyWorker(provider, revokeAtProvider);
      const revoke = (token: Secret, tokenTypeHint: 'refresh_token' | 'access_token') =>
        bus.request(
          revokeAtProvider,
          target,
          { token, tokenTypeHint, registration },
          { timeoutMs: exchangeTimeoutMs },
        );
      // With its refresh token a grant ends (RFC 7009 section 2.1); some providers take access tokens alone.
      const { refreshToken, accessToken } = tokens;
      if (refreshToken && (await revoke(refreshToken, 'refresh_token')).revoked) return;
      await revoke(accessToken, 'access_token');
    },

    async forward(partition, delivery) {
      const { provider } = delivery;
      const target: RequestTarget = {
        subject: refreshOutcomeSubject(partition, provider),
        pair: `vault-provider:${provider}`,
      };
      await bus.request(deliverRefreshOutcome, target, delivery, { timeoutMs: exchangeTimeoutMs });
    },

    async start({ claimId, deadlineAt, partition, grant }) {
      const { grantId, provider, registration, tokens } = grant;
      if (!tokens.refreshToken) return 'not-sent';
      const { refreshToken, scope } = tokens;
      const order = { claimId, grantId, partition, refreshToken, scope, registration, deadlineAt };
      try {
        await askOne(provider, refreshAtProvider, order, acceptTimeoutMs);
        return 'accepted';
      } catch (error) {
        const unheard = error instanceof NoRespondersError || error instanceof RefusedError;
        return unheard ? 'not-sent' : 'unknown';
      }
    },
  };
}
