/**
 * What lies in this worker's outbox and not in the log comes into the log: what was received while NATS was away, and
 * what a log that lost its tail had once. Entries of partitions that others own are forwarded to them. Repeated until
 * done; an entry twice is one.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { RefreshOutcome, RefreshOutcomeDelivery } from '../../schemas/messages/refresh-outcome.ts';
import { VaultError } from '../errors.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import { openOutcome } from '../sealing/grant-codec.ts';
import type { AppendedEntry, OutboxEntry, PendingEntry } from './outbox.ts';
import type { OutboxWrites } from './outbox-writes.ts';

export interface OutboxRecovery extends Disposable {
  /**
   * @param isChosen by partition; all, if it is left out
   * @throws the first of the errors with which something could not be brought in that may be tried again
   */
  recover(isChosen?: (partition: number) => boolean): Promise<void>;
  /** In a moment, and again until it succeeds. */
  schedule(): void;
}

export type RefreshedOutcome = RefreshOutcome & { status: 'refreshed' };

interface Options {
  readonly outbox: Pick<OutboxWrites, 'appended' | 'markAppended' | 'pending' | 'reopen'>;
  readonly log: Pick<EventLog, 'has'>;
  readonly grants: Pick<GrantStore, 'find'>;
  readonly dataKeys: Pick<DataKeys, 'find'>;
  /** Of a grant that was taken away nothing comes back; what it still got is revoked. */
  readonly revocation: Pick<Revocation, 'findRevoked' | 'takeLate'>;
  /** Into the log, if this worker owns the partition, and says so in the outbox. */
  readonly append: (entry: OutboxEntry, grant: HeldGrant, outcome: RefreshedOutcome) => Promise<void>;
  readonly forward: (partition: number, delivery: RefreshOutcomeDelivery) => Promise<void>;
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
}

const pauseMs = 1000;
const entriesAtOnce = 50;

export function createOutboxRecovery(options: Options): OutboxRecovery {
  const { outbox, log, grants, dataKeys, revocation, append, forward, now, onProblem } = options;
  const underWay = new Set<string>();
  let scheduled: NodeJS.Timeout | undefined;
  let stopped = false;

  /** A log loses its end, so what is older than an entry that it has is there too. */
  async function findLost(): Promise<AppendedEntry[]> {
    const found: AppendedEntry[] = [];
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const page = outbox.appended(before, entriesAtOnce);
      for (const entry of page) {
        if (await log.has(entry.mark)) return found;
        found.push(entry);
      }
      if (page.length < entriesAtOnce) return found;
      before = page.at(-1)!.mark.sequence;
    }
  }

  async function bringIn(entry: PendingEntry): Promise<void> {
    const { partition, grantId, claimId } = entry;
    const grant = grants.find(grantId);
    const holder = grant ?? (await revocation.findRevoked(partition, grantId));
    if (!holder) {
      // What was in the log once is over. Else it stays where it is: it may be the only copy.
      if (entry.eventId !== null) outbox.markAppended(claimId, now(), null);
      return;
    }
    const key = dataKeys.find(holder.principalKey);
    if (!key) return;
    const outcome = openOutcome(entry.sealed, claimId, key);
    if (outcome.status !== 'refreshed') return;
    if (!grant) {
      await revocation.takeLate(partition, holder.provider, { grantId, claimId, outcome });
      outbox.markAppended(claimId, now(), null);
      return;
    }
    await append(entry, grant, outcome).catch(async (error) => {
      if (!isNotOwner(error)) throw error;
      await toOwner(entry, grant, outcome);
      outbox.markAppended(claimId, now(), null);
    });
  }

  async function toOwner(
    { partition, grantId, claimId, place }: OutboxEntry,
    { provider }: HeldGrant,
    outcome: RefreshedOutcome,
  ) {
    const delivery = { provider, grantId, claimId, outcome };
    try {
      await forward(partition, { ...delivery, ...(place && { place: place.toString('base64url') }) });
    } catch (refusal) {
      // The owner has read the log: the grant was let go meanwhile.
      if (!(refusal instanceof RefusedError && refusal.code === 'not-found')) throw refusal;
    }
  }

  /** One that cannot be brought in does not keep back the others. */
  async function once(entry: OutboxEntry, failures: unknown[], work: () => Promise<void>): Promise<void> {
    if (underWay.has(entry.claimId)) return;
    underWay.add(entry.claimId);
    try {
      await work();
    } catch (error) {
      // A key that is not there is not worth trying every second.
      if (error instanceof VaultError && !error.retryable) onProblem(error);
      else failures.push(error);
    } finally {
      underWay.delete(entry.claimId);
    }
  }

  async function recover(isChosen: (partition: number) => boolean = () => true): Promise<void> {
    // Before anything new is appended: the newest entry tells whether there is something to look for.
    const lost = await findLost();
    if (lost.length > 0) outbox.reopen(lost);
    const failures: unknown[] = [];
    for (const entry of outbox.pending())
      if (isChosen(entry.partition)) await once(entry, failures, () => bringIn(entry));
    if (failures.length > 0) throw failures[0];
  }

  function schedule(): void {
    if (stopped || scheduled) return;
    scheduled = setTimeout(() => {
      scheduled = undefined;
      recover().catch((error) => {
        onProblem(error);
        schedule();
      });
    }, pauseMs);
  }

  return {
    recover,
    schedule,
    [Symbol.dispose]() {
      stopped = true;
      clearTimeout(scheduled);
    },
  };
}

function isNotOwner(error: unknown): boolean {
  return (
    (error instanceof RefusedError && error.code === 'not-owner') ||
    (error instanceof VaultError && error.code === 'ownership-lost')
  );
}
