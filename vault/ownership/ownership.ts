/**
 * Which partitions this worker owns, and whether it may answer for one right now. A worker holds one lease for all of
 * them: 2.5 s counted from before the renewal was sent, renewed every 0.8 s. A contender that has seen the same revision
 * for 3 s on its own clock marks that lease dead under that revision; no clock of a server is trusted.
 *
 * A partition changes hands in this order: the former owner stops answering and strikes it from its lease, or is dead;
 * the new one writes it into its own lease, appends its owner marker under expectation, reads the log up to that marker,
 * and answers only then. What the former one still writes is refused by the log, what it still says by its own clock.
 */
import { VaultError } from '../errors.ts';
import type { EventLog, PartitionOwnership } from '../log/event-log.ts';
import { readableFormats } from '../log/stored-event.ts';
import { assignPartitions } from './assignment.ts';
import { createHandOver } from './hand-over.ts';
import type { LeaseClock, LeaseMark } from './lease-clock.ts';
import type { Lease, LeaseEntry, LeaseStore } from './lease-store.ts';

export interface OwnershipTimes {
  readonly leaseMs: number;
  readonly renewMs: number;
  readonly deadAfterMs: number;
  /** How much of the lease must be left for an answer: for its way, and a little more. */
  readonly answerMarginMs: number;
}

/** Clocks of two machines do not run equally fast. */
const clockMarginMs = 50;

/** A worker that stops gives up then what nobody has taken yet: its process has only so long to end. */
const handAllOverMs = 2000;

export const ownershipTimes: OwnershipTimes = {
  leaseMs: 2500,
  renewMs: 800,
  deadAfterMs: 3000,
  answerMarginMs: 300,
};

export interface Ownership extends AsyncDisposable {
  /** True only while the lease runs long enough for an answer to arrive. Ask after the last await. */
  mayAnswer(partition: number): boolean;
  /** How long an answer that is given now may be under way, milliseconds: it arrives before the lease has run out. */
  answerGoodForMs(): number;
  /** The partitions that are answered for. */
  serving(): number[];
  /** The log refused an append: somebody else has this partition. */
  lose(partition: number): void;
  /** The log has the marker of another worker. */
  taken(partition: number): void;
  /** Resolves when every partition has a live owner, this worker or another. */
  settled(): Promise<void>;
}

export interface OwnershipHandlers {
  /** The markers are in the log: read up to them and make ready. Nothing is answered until it resolves. */
  take(ownerships: readonly PartitionOwnership[]): Promise<void>;
  /** It is about to be taken. What is asked of it from now on waits until it is served or released. */
  expect(partition: number): void;
  serve(partition: number): void;
  /** Answer nothing more, and let what is being written come to its end. */
  release(partition: number): Promise<void>;
  /**
   * The lease ran out and was renewed before anybody noticed: append one marker to be sure.
   * @throws VaultError `ownership-lost`
   */
  reaffirm(partition: number): Promise<void>;
}

interface Options {
  readonly worker: string;
  readonly partitions: number;
  readonly leases: LeaseStore;
  readonly log: EventLog;
  readonly clock: LeaseClock;
  readonly handlers: OwnershipHandlers;
  readonly onProblem: (error: unknown) => void;
  /** False: what this worker knows is not to be answered from any more, and it gives up everything at once. */
  readonly isSound?: () => boolean;
  readonly times?: OwnershipTimes;
}

export function startOwnership(options: Options): Ownership {
  const { worker, partitions, leases, log, clock, handlers, onProblem } = options;
  const { times = ownershipTimes, isSound = () => true } = options;
  const owned = new Map<number, 'taking' | 'serving'>();
  /** Given up, but not to its end: until then it is not taken again, or its end would be that of the new taking. */
  const leavingStill = new Set<number>();
  /** `renewed`: a renewal was seen; before that a lease may be one that a dead worker left. */
  const watched = new Map<string, { revision: number; since: LeaseMark; renewed: boolean }>();
  const told = new Map<string, string>();
  const settledWaiters: (() => void)[] = [];
  let revision = 0;
  let renewedAt: LeaseMark | null = null;
  /** How often the lease has run out; from then on nothing is answered until the partitions are reaffirmed. */
  let lapses = 0;
  let affirmedLapses = 0;
  let stopping = false;
  let running: Promise<void> | null = null;
  let again = false;
  let renewals: Promise<unknown> = Promise.resolve();
  const handOver = createHandOver({ patienceMs: times.deadAfterMs, onSettled: wake });

  const leaseLeftMs = () => (renewedAt === null ? 0 : times.leaseMs - clock.since(renewedAt));

  function wake(): void {
    if (stopping) return;
    if (running) {
      again = true;
      return;
    }
    running = step()
      .catch(onProblem)
      .finally(() => {
        running = null;
        if (again) wake();
      });
  }

  async function step(): Promise<void> {
    again = false;
    if (leaseLeftMs() < times.leaseMs - times.renewMs / 2) await renew();
    if (affirmedLapses !== lapses) await whileRenewing(reaffirmAll);
    const others = await liveOthers();
    const staying = others.filter(({ lease }) => !lease.leaving);
    const holders = new Map(staying.map(({ lease }) => [lease.worker, lease.owns]));
    const assignment = assignPartitions(holders.set(worker, [...owned.keys()]), partitions);
    await handOverNext([...owned.keys()].filter((partition) => assignment.get(partition) !== worker));
    const held = ownedByOthers(others);
    const coming = [...assignment]
      .filter(([, owner]) => owner === worker)
      .map(([partition]) => partition)
      .filter((one) => !owned.has(one) && !leavingStill.has(one) && !held.has(one));
    if (coming.length > 0) await whileRenewing(() => takeAll(coming));
    const answered = ownedByOthers(others.filter(({ lease }) => watched.get(lease.worker)?.renewed));
    const complete = [...assignment.keys()].every(
      (partition) => owned.get(partition) === 'serving' || answered.has(partition),
    );
    if (complete) for (const resolve of settledWaiters.splice(0)) resolve();
  }

  async function handOverNext(leaving: readonly number[]): Promise<void> {
    const few = handOver.next(leaving);
    if (few.length === 0) return;
    await giveUp(few);
    await renew();
  }

  /** One after another: each is under the revision of the one before. */
  function renew(): Promise<void> {
    const next = renewals.then(writeLease);
    renewals = next.catch(() => undefined);
    return next;
  }

  async function writeLease(): Promise<void> {
    for (;;) {
      const ended = renewedAt !== null && leaseLeftMs() <= 0;
      const mark = clock.mark();
      const owns = [...owned.keys()];
      const lease: Lease = { worker, status: 'live', leaving: stopping, owns, reads: readableFormats };
      const written = await leases.write(lease, revision);
      if (written !== null) {
        if (ended) {
          lapses += 1;
          // Who could not renew could not see others renew either: they get their whole time anew.
          watched.clear();
        }
        revision = written;
        renewedAt = mark;
        return;
      }
      const mine = (await leases.list()).find(({ lease }) => lease.worker === worker);
      revision = mine?.revision ?? 0;
      // Still live: the answer to an earlier renewal was lost. Else a contender took this worker for dead.
      if (mine?.lease.status === 'live') continue;
      renewedAt = null;
      await giveUp([...owned.keys()]);
    }
  }

  async function reaffirmAll(): Promise<void> {
    const before = lapses;
    const held = [...owned].filter(([, state]) => state === 'serving').map(([partition]) => partition);
    await Promise.all(
      held.map(async (partition) => {
        try {
          await handlers.reaffirm(partition);
        } catch (error) {
          if (!(error instanceof VaultError && error.code === 'ownership-lost')) throw error;
          await giveUp([partition]);
        }
      }),
    );
    affirmedLapses = before;
  }

  /** Writing many markers, or reading the log up to them, can take longer than a lease. */
  async function whileRenewing(work: () => Promise<void>): Promise<void> {
    const renewing = setInterval(() => renew().catch(onProblem), times.renewMs);
    try {
      await work();
    } finally {
      clearInterval(renewing);
    }
  }

  async function liveOthers(): Promise<LeaseEntry[]> {
    const others = (await leases.list()).filter(({ lease }) => lease.worker !== worker);
    const live: LeaseEntry[] = [];
    for (const entry of others) if (await isAlive(entry)) live.push(entry);
    for (const name of watched.keys())
      if (!others.some(({ lease }) => lease.worker === name)) watched.delete(name);
    return live;
  }

  async function isAlive({ lease, revision: current }: LeaseEntry): Promise<boolean> {
    if (lease.status === 'dead') return false;
    const known = watched.get(lease.worker);
    if (known?.revision !== current) {
      watched.set(lease.worker, {
        revision: current,
        since: clock.mark(),
        renewed: known !== undefined,
      });
      return true;
    }
    const leftMs = times.deadAfterMs - clock.since(known.since);
    if (leftMs > 0) {
      // Else the partitions of a dead worker would wait for the next round.
      if (leftMs < times.renewMs) setTimeout(wake, leftMs).unref();
      return true;
    }
    const marked = await leases.write({ ...lease, status: 'dead', owns: [] }, current);
    if (marked !== null) return false;
    // It was renewed at the last moment, or another contender was faster.
    again = true;
    return true;
  }

  async function takeAll(coming: readonly number[]): Promise<void> {
    for (const partition of coming) owned.set(partition, 'taking');
    try {
      const inLease = renew();
      const markers = takeMarkers(coming, inLease);
      await inLease;
      for (const partition of coming) handlers.expect(partition);
      const ownerships = await markers;
      if (ownerships.length > 0) await handlers.take(ownerships);
      for (const { partition } of ownerships) {
        // The lease was lost meanwhile.
        if (!owned.has(partition)) continue;
        owned.set(partition, 'serving');
        handlers.serve(partition);
      }
    } finally {
      const missed = coming.filter((partition) => owned.get(partition) !== 'serving');
      for (const partition of missed) owned.delete(partition);
      await Promise.all(missed.map(release));
    }
  }

  /**
   * The leases are read once for all, after every last marker was read: whoever took a partition before that stands in
   * its lease, whoever takes it after makes our marker fail. No marker is appended before our own lease says so: whoever
   * sees the marker then sees that too.
   */
  async function takeMarkers(
    coming: readonly number[],
    inLease: Promise<void>,
  ): Promise<PartitionOwnership[]> {
    const { promise: allRead, resolve } = Promise.withResolvers<void>();
    let left = coming.length;
    const arrive = () => {
      left -= 1;
      if (left === 0) resolve();
    };
    const heldByOthers = allRead.then(() => leases.list()).then(ownedByOthers);
    // Nobody asks for it where the markers could not be read, or our own lease not written.
    heldByOthers.catch(() => undefined);
    const taken = await Promise.all(
      coming.map(async (partition) => {
        let arrived = false;
        const mayTake = async () => {
          arrived = true;
          arrive();
          await inLease;
          return !(await heldByOthers).has(partition);
        };
        try {
          return await log.takePartition(partition, worker, { mayTake });
        } catch (error) {
          if (!arrived) arrive();
          if (!(error instanceof VaultError && error.code === 'ownership-lost')) onProblem(error);
          again = true;
          return null;
        }
      }),
    );
    return taken.filter((ownership) => ownership !== null);
  }

  /** As long as there is somebody who takes them, and this worker may speak for them. */
  async function handAllOver(): Promise<void> {
    const others = (await leases.list()).filter(({ lease }) => lease.worker !== worker);
    if (!others.some(({ lease }) => lease.status === 'live' && !lease.leaving)) return;
    const late = new Promise<false>((resolve) => setTimeout(resolve, handAllOverMs, false).unref());
    while (owned.size > 0 && isSound() && (await Promise.race([handOver.settled(), late])))
      await handOverNext([...owned.keys()]);
  }

  function ownedByOthers(entries: readonly LeaseEntry[]): Set<number> {
    const others = entries.filter(({ lease }) => lease.worker !== worker && lease.status === 'live');
    return new Set(others.flatMap(({ lease }) => lease.owns));
  }

  async function giveUp(leaving: readonly number[]): Promise<void> {
    const serving = leaving.filter((partition) => owned.get(partition) === 'serving');
    for (const partition of leaving) owned.delete(partition);
    await Promise.all(serving.map(release));
  }

  async function release(partition: number): Promise<void> {
    leavingStill.add(partition);
    try {
      await handlers.release(partition);
    } catch (error) {
      onProblem(error);
    } finally {
      leavingStill.delete(partition);
      wake();
    }
  }

  /** A mere renewal is no news: everybody would wake everybody. */
  function hear(name: string, lease: Lease | null): void {
    if (name === worker && lease?.status !== 'dead') return;
    const text = lease && `${lease.status} ${lease.leaving} ${lease.owns.join()}`;
    if (told.get(name) === text) return;
    if (text === null) told.delete(name);
    else told.set(name, text);
    wake();
  }

  const stopListening = leases.onWrite(hear);
  const timer = setInterval(wake, times.renewMs);
  wake();

  return {
    mayAnswer: (partition) =>
      affirmedLapses === lapses &&
      owned.get(partition) === 'serving' &&
      leaseLeftMs() >= times.answerMarginMs,
    answerGoodForMs: () => leaseLeftMs() - clockMarginMs,
    serving: () => [...owned].filter(([, state]) => state === 'serving').map(([partition]) => partition),
    lose(partition) {
      void giveUp([partition]);
    },
    taken: handOver.taken,
    settled: () => new Promise((resolve) => settledWaiters.push(resolve)),
    async [Symbol.asyncDispose]() {
      stopping = true;
      clearInterval(timer);
      stopListening();
      await running;
      await renewals;
      await handAllOver().catch(onProblem);
      handOver[Symbol.dispose]();
      await giveUp([...owned.keys()]);
      if (renewedAt !== null) await leases.remove(worker).catch(onProblem);
    },
  };
}
