/**
 * One refresh token is sent once: the claim is in the log before the provider is asked, whoever asks for the token
 * meanwhile waits for the one outcome, and tokens that a provider gave are on disk before anything else can fail.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { holdFor, pending } from '../../schemas/held-answers.ts';
import { createClaimId } from '../../schemas/ids.ts';
import type { RefreshOutcome, RefreshOutcomeDelivery } from '../../schemas/messages/refresh-outcome.ts';
import type { ClientRegistration, RegisteredClient } from '../../schemas/provider.ts';
import { VaultError } from '../errors.ts';
import type { RecordRefreshed, RestoreTokens, StartRefresh } from '../grant/commands.ts';
import { decide } from '../grant/decide.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { EventLog } from '../log/event-log.ts';
import type { OutboxEntry } from '../outbox/outbox.ts';
import type { OutboxWrites } from '../outbox/outbox-writes.ts';
import { createOutboxRecovery, type RefreshedOutcome } from '../outbox/recovery.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import { openPlace, sealOutcome, sealPlace } from '../sealing/grant-codec.ts';
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
  /** Looks for the worker that a refresh will be given to, while the claim is being written. */
  prepare(provider: string): void;
  start(order: RefreshOrder, client?: RegisteredClient | null): Promise<'accepted' | 'not-sent' | 'unknown'>;
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
  record(partition: number, delivery: RefreshOutcomeDelivery): Promise<void>;
  /**
   * Brings in what this worker has and the log has not, before anything of these partitions is answered; a log that does
   * not answer is not waited for. What belongs to others follows.
   */
  recover(partitions: readonly number[]): Promise<void>;
}

interface Options {
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly grants: GrantStore;
  readonly dataKeys: DataKeys;
  readonly outbox: OutboxWrites;
  readonly log: Pick<EventLog, 'has'>;
  /** Of the last event of a grant that is held. */
  readonly sequenceOf: (grantId: string) => number;
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
  /** The provider does not know the client any more that obtained this grant, which Latchkey registered. */
  readonly onClientLost?: (provider: string, registration: ClientRegistration) => void;
  /** The provider refused the refresh token of this grant for good. The log has it. */
  readonly onRefused: (partition: number, grant: HeldGrant) => void;
}

const firstBackOffMs = 1000;
const longestBackOffMs = 5 * 60_000;
/** Longer than a log takes that works; the provider worker gives a delivery 2 s. */
const logPatienceMs = 1000;
/** A log that refuses a claim is asked once in this time, however many wait and ask again. */
const refusedPauseMs = 1000;

export function createRefresher(options: Options): Refresher {
  const { writerOf, grants, dataKeys, outbox, sequenceOf, providers, limits } = options;
  const { lastUses, revocation, onClientLost, onRefused } = options;
  const { now, random, onProblem, claimMs, reuseOf } = options;
  const awaited = new Map<string, { promise: Promise<void>; done: () => void }>();
  const recovery = createOutboxRecovery({
    ...options,
    append: (entry, grant, outcome) => recordTokens(entry, grant, outcome),
    forward: (partition, delivery) => providers.forward(partition, delivery),
  });
  const starting = new Map<string, Promise<void>>();

  async function start(partition: number, grantId: string, need: RefreshNeed, urgency: Urgency) {
    const held = grants.findUnopened(grantId);
    if (!held) return;
    keyOf(held);
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
      providers.prepare(held.provider);
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

  async function waitAfterRefusal(error: unknown): Promise<never> {
    if (error instanceof VaultError && error.code === 'append-refused')
      await sleep(refusedPauseMs, undefined, { ref: false });
    throw error;
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

  async function recordTokens(entry: OutboxEntry, grant: HeldGrant, outcome: RefreshedOutcome) {
    const { partition, grantId, claimId } = entry;
    const { tokens } = outcome;
    const key = keyOf(grant);
    const place = entry.place && openPlace(entry.place, grantId, claimId, key);
    const told = { at: now(), claimId, tokens };
    const usedAt = lastUses.lastUse(grantId);
    const record: RecordRefreshed = { type: 'RecordRefreshed', ...told, usedAt };
    const restore: RestoreTokens[] = place ? [{ type: 'RestoreTokens', ...told, place }] : [];
    for (const command of place?.appended ? restore : [record, ...restore]) {
      const event = await grants.execute(writerOf(partition), grantId, command);
      if (event?.type !== 'TokensRefreshed') continue;
      const { version, at: obtainedAt, linkId } = event;
      const stored = sealPlace({ version, obtainedAt, linkId, appended: true }, grantId, claimId, key);
      const mark = { sequence: sequenceOf(grantId), eventId: event.eventId };
      announce(grantId);
      outbox.markAppended(claimId, now(), { mark, place: stored });
      return;
    }
    // Recorded before, or somebody took the grant away while this was on its way.
    await revocation.takeLate(partition, grant.provider, { grantId, claimId, outcome });
    announce(grantId);
    outbox.markAppended(claimId, now(), null);
  }

  /** A disk that is full is a problem of this worker; the tokens have another place. */
  async function isKept(entry: OutboxEntry): Promise<boolean> {
    try {
      await outbox.put(entry);
      return true;
    } catch (error) {
      onProblem(error);
      return false;
    }
  }

  /** Where the outcome of a claim will stand that the log knows now, and may have forgotten when it is appended. */
  function placeOf(grant: HeldGrant, claimId: string): Buffer | null {
    if (!grant.startedClaims.includes(claimId)) return null;
    const { version, linkId } = grant;
    const place = { version: version + 1, obtainedAt: now(), linkId, appended: false };
    return sealPlace(place, grant.grantId, claimId, keyOf(grant));
  }

  /** @throws RefusedError `invalid-request`: no vault worker said so */
  function givenPlace(given: string, grant: HeldGrant, claimId: string): Buffer {
    const place = Buffer.from(given, 'base64url');
    try {
      openPlace(place, grant.grantId, claimId, keyOf(grant));
    } catch (cause) {
      throw new RefusedError('invalid-request', 'the place of this outcome was not sealed by the vault', {
        cause,
      });
    }
    return place;
  }

  function keyOf({ principalKey }: HeldGrant) {
    const key = dataKeys.find(principalKey);
    if (!key) throw new VaultError('key-unknown', 'the data key of this person is not there any more');
    return key;
  }

  async function recordFailure(
    partition: number,
    grant: HeldGrant,
    claimId: string,
    outcome: RefreshOutcome & { status: 'failed' },
  ) {
    if (outcome.clientLost) onClientLost?.(grant.provider, grant.registration);
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
    const event = await grants.execute(writerOf(partition), grant.grantId, command);
    if (event?.type === 'ReauthRequired' && event.reason === 'invalid-grant') onRefused(partition, grant);
    announce(grant.grantId);
  }

  return {
    async refresh(partition, grantId, need, urgency) {
      const running = starting.get(grantId);
      if (running && urgency === 'on-demand') limits.hurry(grantId);
      const begun =
        running ??
        start(partition, grantId, need, urgency)
          .catch(waitAfterRefusal)
          .finally(() => starting.delete(grantId));
      if (!running) starting.set(grantId, begun);
      await begun;
      // A thousand may wait for one refresh: they need not open the grant.
      const grant = grants.findUnopened(grantId);
      if (grant?.refresh.status === 'claimed') await outcomeOf(grantId, grant.refresh.deadlineAt);
    },

    outcome: outcomeOf,

    abandon: announce,

    async record(partition, { grantId, claimId, outcome, place: given }) {
      writerOf(partition);
      const grant = grants.findUnopened(grantId);
      if (!grant) return;
      if (outcome.status === 'failed') return recordFailure(partition, grant, claimId, outcome);
      const sealed = sealOutcome(outcome, claimId, keyOf(grant));
      const place = given === undefined ? placeOf(grant, claimId) : givenPlace(given, grant, claimId);
      const entry = { claimId, partition, grantId, sealed, receivedAt: now(), place };
      // Without the outbox the log alone keeps it, and must have it before anything is acknowledged.
      if (!(await isKept(entry))) return recordTokens(entry, grant, outcome);
      const recorded = recordTokens(entry, grant, outcome).catch((error) => {
        // It lies in the outbox: the log gets it as soon as it takes appends again, from here or from another owner.
        if (!(error instanceof VaultError)) throw error;
        recovery.schedule();
        if (!error.retryable) throw error;
        onProblem(error);
      });
      // A log that does not answer is not waited for: what is in the outbox is kept.
      if ((await holdFor(recorded, logPatienceMs)) === pending) recorded.catch(onProblem);
    },

    async recover(partitions) {
      const taken = new Set(partitions);
      const recovered = recovery.recover((partition) => taken.has(partition)).catch(failed);
      await holdFor(recovered, logPatienceMs);
      recovery.recover().catch(failed);
      function failed(error: unknown) {
        onProblem(error);
        recovery.schedule();
      }
    },

    [Symbol.dispose]() {
      recovery[Symbol.dispose]();
      limits[Symbol.dispose]();
      for (const { done } of [...awaited.values()]) done();
    },
  };
}
