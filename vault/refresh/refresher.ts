/**
 * One refresh token is sent once: the claim is in the log before the provider is asked, whoever asks for the token
 * meanwhile waits for the one outcome, and tokens that a provider gave are on disk before anything else can fail.
 */

import { holdFor, pending } from '../../schemas/bus.ts';
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { createClaimId } from '../../schemas/ids.ts';
import type { RefreshOutcome, RefreshOutcomeDelivery } from '../../schemas/messages/refresh-outcome.ts';
import { VaultError } from '../errors.ts';
import type { StartRefresh } from '../grant/commands.ts';
import { decide } from '../grant/decide.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { Outbox, OutboxEntry } from '../outbox/outbox.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import { openOutcome, sealOutcome } from '../sealing/grant-codec.ts';
import type { LastUses } from './last-uses.ts';
import type { ProviderLimits, Urgency } from './provider-limits.ts';

export interface RefreshOrder {
  readonly claimId: string;
  readonly deadlineAt: number;
  readonly partition: number;
  readonly grant: HeldGrant;
}

/** Gives a refresh to a provider worker. `not-sent` means that nobody has seen the refresh token. */
export interface ProviderRefreshes {
  start(order: RefreshOrder): Promise<'accepted' | 'not-sent' | 'unknown'>;
  /** Delivers an outcome to the owner of the partition, which is not this worker any more. Durable when it resolves. */
  forward(partition: number, delivery: RefreshOutcomeDelivery): Promise<void>;
}

export interface RefreshNeed {
  /** A token that lives beyond this time needs no refresh. */
  readonly neededUntil: number;
  /** The version that a backend rejected. */
  readonly rejectedVersion: number | null;
  /** The version whose refresh token would expire of idleness. */
  readonly keepAliveVersion?: number;
}

export interface Refresher extends Disposable {
  /**
   * Starts a refresh if the grant needs one and none is open. Resolves when the grant has changed or there was
   * nothing to do; while a refresh is open, when its outcome is in.
   */
  refresh(partition: number, grantId: string, need: RefreshNeed, urgency: Urgency): Promise<void>;
  /** Resolves when the outcome of the open claim is in, or at its deadline. */
  outcome(grantId: string, deadlineAt: number): Promise<void>;
  /** Whoever waits for an outcome of this grant waits no longer. */
  abandon(grantId: string): void;
  /** A delivered outcome. In the log or in the outbox when it resolves. A repeated delivery changes nothing. */
  record(partition: number, grantId: string, claimId: string, outcome: RefreshOutcome): Promise<void>;
  /** Appends what an earlier run of this worker had received and not appended. */
  recover(): Promise<void>;
}

interface Options {
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly grants: GrantStore;
  readonly dataKeys: DataKeys;
  readonly outbox: Outbox;
  readonly providers: ProviderRefreshes;
  readonly limits: ProviderLimits;
  readonly lastUses: Pick<LastUses, 'lastUse'>;
  readonly revocation: Pick<Revocation, 'findRevoked' | 'takeLate'>;
  readonly now: () => number;
  /** 0 up to 1, for the jitter of the back-off. */
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  /** A claim without an outcome may be taken over after this time. */
  readonly claimMs: number;
  readonly reuseOf: (provider: string) => RefreshTokenReuse;
}

const firstBackOffMs = 1000;
const longestBackOffMs = 5 * 60_000;
/** Longer than a log takes that works; the provider worker gives a delivery 2 s. */
const logPatienceMs = 1000;
const recoveryPauseMs = 1000;

export function createRefresher(options: Options): Refresher {
  const { writerOf, grants, dataKeys, outbox, providers, limits, lastUses, revocation } = options;
  const { now, random, onProblem, claimMs, reuseOf } = options;
  const awaited = new Map<string, { promise: Promise<void>; done: () => void }>();
  let recovery: NodeJS.Timeout | undefined;
  let stopped = false;
  const starting = new Map<string, Promise<void>>();

  async function start(partition: number, grantId: string, need: RefreshNeed, urgency: Urgency) {
    const held = grants.find(grantId);
    if (!held) return;
    const foreseen = decide(startCommand(held, need), held);
    if (!foreseen) return;
    if (foreseen.type !== 'RefreshStarted') {
      await grants.execute(writerOf(partition), grantId, startCommand(held, need));
      return;
    }
    // The claim comes after the wait: its deadline must not run meanwhile.
    const leave = await limits.enter(held.provider, grantId, urgency);
    let outcome: Promise<void> | undefined;
    try {
      const event = await grants.execute(writerOf(partition), grantId, startCommand(held, need));
      if (event?.type !== 'RefreshStarted') return;
      const grant = grants.find(grantId);
      if (!grant) return;
      const { claimId, deadlineAt } = event;
      outcome = outcomeOf(grantId, deadlineAt);
      const sent = await providers.start({ claimId, deadlineAt, partition, grant });
      if (sent === 'not-sent') {
        const failed = { status: 'failed', reason: 'provider-unavailable', retryAfterSeconds: null } as const;
        await recordFailure(partition, grant, claimId, failed);
      }
    } finally {
      if (outcome) void outcome.then(leave);
      else leave();
    }
  }

  function startCommand({ provider }: HeldGrant, need: RefreshNeed): StartRefresh {
    const at = now();
    const [claimId, deadlineAt, reuse] = [createClaimId(), at + claimMs, reuseOf(provider)];
    return { type: 'StartRefresh', at, claimId, deadlineAt, ...need, reuse };
  }

  /** One for all who wait: a thousand requests may want the same token. */
  function outcomeOf(grantId: string, deadlineAt: number): Promise<void> {
    const known = awaited.get(grantId);
    if (known) return known.promise;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(done, Math.max(0, deadlineAt - now()));
    function done() {
      clearTimeout(timer);
      awaited.delete(grantId);
      resolve();
    }
    awaited.set(grantId, { promise, done });
    return promise;
  }

  function announce(grantId: string): void {
    awaited.get(grantId)?.done();
  }

  async function recordTokens(
    partition: number,
    grant: HeldGrant,
    claimId: string,
    outcome: RefreshOutcome & { status: 'refreshed' },
  ) {
    const { grantId, provider } = grant;
    const command = {
      type: 'RecordRefreshed',
      at: now(),
      claimId,
      tokens: outcome.tokens,
      usedAt: lastUses.lastUse(grantId),
    } as const;
    const event = await grants.execute(writerOf(partition), grantId, command);
    // Recorded before, or somebody took the grant away while this was on its way.
    if (!event) await revocation.takeLate(partition, provider, { grantId, claimId, outcome });
    outbox.markAppended(claimId, now());
    announce(grantId);
  }

  async function recordFailure(
    partition: number,
    grant: HeldGrant,
    claimId: string,
    outcome: RefreshOutcome & { status: 'failed' },
  ) {
    const at = now();
    const failures = grant.refresh.status === 'claimed' ? grant.refresh.failures : 0;
    const retryAfterMs = (outcome.retryAfterSeconds ?? 0) * 1000;
    // The provider said it of one grant, and means them all.
    if (retryAfterMs > 0) limits.pause(grant.provider, at + retryAfterMs);
    // Full jitter: between nothing and the whole step; grants that were told the same time do not come back together.
    const step = Math.min(longestBackOffMs, firstBackOffMs * 2 ** failures);
    const waitMs = retryAfterMs + random() * step;
    const command = {
      type: 'RecordRefreshFailure',
      at,
      claimId,
      reason: outcome.reason,
      retryAt: Math.round(at + waitMs),
    } as const;
    await grants.execute(writerOf(partition), grant.grantId, command);
    announce(grant.grantId);
  }

  return {
    async refresh(partition, grantId, need, urgency) {
      const running = starting.get(grantId);
      if (running && urgency === 'on-demand') limits.hurry(grantId);
      const begun =
        running ?? start(partition, grantId, need, urgency).finally(() => starting.delete(grantId));
      if (!running) starting.set(grantId, begun);
      await begun;
      const grant = grants.find(grantId);
      if (grant?.refresh.status === 'claimed') await outcomeOf(grantId, grant.refresh.deadlineAt);
    },

    outcome: outcomeOf,

    abandon: announce,

    async record(partition, grantId, claimId, outcome) {
      writerOf(partition);
      const grant = grants.find(grantId);
      if (!grant) return;
      if (outcome.status === 'failed') return recordFailure(partition, grant, claimId, outcome);
      const key = dataKeys.find(grant.principalKey)!;
      const sealed = sealOutcome(outcome, claimId, key);
      outbox.put({ claimId, partition, grantId, sealed, receivedAt: now() });
      const recorded = recordTokens(partition, grant, claimId, outcome).catch((error) => {
        // It lies in the outbox: the log gets it as soon as it takes appends again, from here or from another owner.
        if (!(error instanceof VaultError)) throw error;
        scheduleRecovery();
        if (!error.retryable) throw error;
        onProblem(error);
      });
      // A log that does not answer is not waited for: what is in the outbox is kept.
      if ((await holdFor(recorded, logPatienceMs)) === pending) recorded.catch(onProblem);
    },

    recover,

    [Symbol.dispose]() {
      stopped = true;
      clearTimeout(recovery);
      limits[Symbol.dispose]();
      for (const { done } of [...awaited.values()]) done();
    },
  };

  async function recover(): Promise<void> {
    for (const entry of outbox.pending()) {
      const { partition, grantId, claimId } = entry;
      const grant = grants.find(grantId);
      const revoked = grant ? null : await revocation.findRevoked(partition, grantId);
      const holder = grant ?? revoked;
      const key = holder && dataKeys.find(holder.principalKey);
      // Without its grant in the log it stays where it is: it may be the only copy.
      if (!key) continue;
      const outcome = openOutcome(entry.sealed, claimId, key);
      if (outcome.status === 'failed') continue;
      if (grant) {
        await bringIn(entry, grant, outcome);
      } else {
        await revocation.takeLate(partition, holder.provider, { grantId, claimId, outcome });
        outbox.markAppended(claimId, now());
      }
    }
  }

  async function bringIn(
    { partition, grantId, claimId }: OutboxEntry,
    grant: HeldGrant,
    outcome: RefreshOutcome & { status: 'refreshed' },
  ): Promise<void> {
    try {
      await recordTokens(partition, grant, claimId, outcome);
    } catch (error) {
      if (!isNotOwner(error)) throw error;
      await providers
        .forward(partition, { provider: grant.provider, grantId, claimId, outcome })
        .catch((refusal) => {
          // The owner has read the log: the grant was let go meanwhile.
          if (!(refusal instanceof RefusedError && refusal.code === 'not-found')) throw refusal;
        });
      outbox.markAppended(claimId, now());
    }
  }

  function scheduleRecovery(): void {
    if (stopped || recovery) return;
    recovery = setTimeout(() => {
      recovery = undefined;
      recover().catch((error) => {
        onProblem(error);
        scheduleRecovery();
      });
    }, recoveryPauseMs);
  }
}

function isNotOwner(error: unknown): boolean {
  return (
    (error instanceof RefusedError && error.code === 'not-owner') ||
    (error instanceof VaultError && error.code === 'ownership-lost')
  );
}
