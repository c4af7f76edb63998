/**
 * Runs the refreshes of one provider, each on its own: a claim is sent to the provider at most once and never after its
 * deadline, and what came of it is delivered to the owner of the partition until that acknowledges, however long
 * this takes. Between the provider's answer and the acknowledgement this process holds the only copy of a rotated
 * refresh token, so nothing but the end of the process ends a delivery.
 */
import { LRUCache } from 'lru-cache';
import { RefusedError } from '../../schemas/failure.ts';
import { createCommandId } from '../../schemas/ids.ts';
import type { Log } from '../../schemas/log.ts';
import type { RefreshOutcome } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration, RegisteredClient } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { RegisteredProvider } from '../providers/registered-provider.ts';

export interface RefreshOrder {
  readonly claimId: string;
  readonly grantId: string;
  readonly partition: number;
  readonly refreshToken: Secret;
  readonly registration: ClientRegistration;
  /** As in the message: the registration with its secret, if Latchkey made it. */
  readonly client?: RegisteredClient | null | undefined;
  readonly deadlineAt: number;
}

export interface RefreshRunnerOptions {
  readonly provider: Pick<RegisteredProvider, 'refresh'>;
  /** One attempt; resolves when the owner has acknowledged. The command id is the same for all attempts. */
  readonly deliver: (order: RefreshOrder, outcome: RefreshOutcome, commandId: string) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Log;
  readonly longestPauseMs?: number;
}

export interface RefreshRunner {
  /** Returns at once. A claim that was accepted before is not run again. */
  accept(order: RefreshOrder): void;
  /** How many refreshes run or wait for their acknowledgement. */
  readonly running: () => number;
  /** Resolves when all that was accepted is delivered. */
  drain(): Promise<void>;
}

const firstPauseMs = 50;
/** Longer than any claim lives; after its deadline a claim is not sent anyway. */
const rememberMs = 15 * 60_000;

/** What an answer needs to be with the vault before the claim may be taken over. */
const deliveryMarginMs = 1_000;
/** Of the time that is left, reaching the provider may take half: a request that is cut off at once could lose tokens. */
const connectingShare = 0.5;

export function createRefreshRunner({
  provider,
  deliver,
  now,
  log,
  longestPauseMs = 2_000,
}: RefreshRunnerOptions): RefreshRunner {
  const accepted = new LRUCache<string, true>({ max: 100_000, ttl: rememberMs });
  const runs = new Set<Promise<void>>();

  async function run(order: RefreshOrder): Promise<void> {
    const { claimId, grantId, refreshToken, registration, client, deadlineAt } = order;
    const answerBefore = deadlineAt - deliveryMarginMs;
    const remainingMs = Math.max(0, answerBefore - now());
    const outcome = await provider.refresh({
      refreshToken,
      registration,
      client,
      sendBefore: AbortSignal.timeout(Math.floor(remainingMs * connectingShare)),
      answerBefore,
    });
    const result = outcome.status === 'failed' ? outcome.reason : outcome.status;
    log.info({ claimId, grantId, result }, 'refresh done');
    await deliverUntilAcknowledged(order, outcome);
  }

  async function deliverUntilAcknowledged(order: RefreshOrder, outcome: RefreshOutcome): Promise<void> {
    const { claimId } = order;
    const commandId = createCommandId();
    for (let attempt = 1; ; attempt++) {
      try {
        return await deliver(order, outcome, commandId);
      } catch (error) {
        if (isFinal(error)) return log.error({ error, claimId }, 'the vault refuses a refresh outcome');
        // The first failures are a hand-over between owners; many are an outage.
        if (attempt % 20 === 5)
          log.warn({ error, claimId, attempt }, 'a refresh outcome is not acknowledged yet');
      }
      const pauseMs = Math.min(firstPauseMs * 2 ** Math.min(attempt, 20), longestPauseMs);
      await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random() / 2)));
    }
  }

  return {
    accept(order) {
      if (accepted.has(order.claimId)) return;
      accepted.set(order.claimId, true);
      const running = run(order).catch((error) =>
        log.error({ error, claimId: order.claimId }, 'refresh broke'),
      );
      runs.add(running);
      void running.finally(() => runs.delete(running));
    },
    running: () => runs.size,
    async drain() {
      await Promise.all(runs);
    },
  };
}

/** The owner knows the claim's grant no more, or another outcome came first: there is nobody to deliver to. */
function isFinal(error: unknown): boolean {
  return error instanceof RefusedError && (error.code === 'not-found' || error.code === 'conflict');
}
