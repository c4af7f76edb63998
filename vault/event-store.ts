/**
 * The event store of one worker: the log and the keys of the instance, the local files that follow them, and the
 * partitions that the worker owns and writes.
 */
import { streamNames, streamSubjects } from '../schemas/subjects.ts';
import { VaultError } from './errors.ts';
import { openLocalFiles } from './local-files.ts';
import type { EventLog } from './log/event-log.ts';
import { openJetStreamEventLog } from './log/jetstream-event-log.ts';
import { whenItAnswers } from './log/patience.ts';
import { checkAfterReconnect } from './log/reconnects.ts';
import { followStream } from './log/stream-follower.ts';
import { openStreams } from './log/streams.ts';
import { createOutboxWrites, type OutboxWrites } from './outbox/outbox-writes.ts';
import { createHeldPartitions, type HeldPartitions } from './ownership/held-partitions.ts';
import { openJetStreamLeaseStore } from './ownership/jetstream-lease-store.ts';
import { createLeaseClock } from './ownership/lease-clock.ts';
import { type Ownership, startOwnership } from './ownership/ownership.ts';
import type { Projection } from './projection/projection.ts';
import { createProjectionFollower } from './projection/projection-follower.ts';
import type { DataKeyTable } from './sealing/data-key-table.ts';
import { createDataKeys, type DataKeys } from './sealing/data-keys.ts';
import { openWrappedKeyStore, type WrappedKeyStore } from './sealing/wrapped-key-store.ts';
import {
  noSigningKeys,
  openSigningKeys,
  type RotatingSigningKeys,
  signingKeyName,
} from './signing/signing-keys.ts';
import { defaultClaimMs, type Serving, type VaultOptions } from './vault-options.ts';

export interface EventStore extends AsyncDisposable {
  /** How many the instance has. */
  readonly partitions: number;
  readonly log: EventLog;
  readonly projection: Projection;
  readonly outbox: OutboxWrites;
  readonly keyStore: WrappedKeyStore;
  readonly keyTable: DataKeyTable;
  readonly dataKeys: DataKeys;
  readonly signingKeys: RotatingSigningKeys;
  readonly held: HeldPartitions;
  /** Resolves when every key that has been written by now is here. */
  keysCaughtUp(): Promise<void>;
  /**
   * Begins to take partitions; ends, in order, when the result is disposed.
   * @param recover what the former owners of these partitions have left unfinished
   */
  own(serving: Serving, recover: (partitions: readonly number[]) => Promise<void>): Ownership;
  /** Nothing more is begun; what is under way may come to its end. */
  stop(): void;
}

/** Resolves when the local files hold all that the streams held when it began. */
export async function openEventStore(options: VaultOptions): Promise<EventStore> {
  const {
    connection,
    keyRing,
    folder,
    worker,
    now,
    onProblem,
    linkedIdleMs,
    claimMs = defaultClaimMs,
  } = options;
  const streams = await whenItAnswers(() => openStreams(connection, keyRing.instanceId, options.replicas));
  const keyStore = await whenItAnswers(() => openWrappedKeyStore(connection));
  const keptMs = options.maxAccessTokenSeconds * 1000;
  const signingKeys =
    options.chain.length > 0
      ? await whenItAnswers(() => openSigningKeys({ store: keyStore, keyRing, keptMs, now }))
      : noSigningKeys;
  const log = await whenItAnswers(() =>
    openJetStreamEventLog({ connection, incarnation: streams.incarnations.log }),
  );
  const leases = await whenItAnswers(() => openJetStreamLeaseStore(connection));
  const manager = await whenItAnswers(() => connection.jetstreamManager());
  const lastSequenceOf = async (stream: string) => (await manager.streams.info(stream)).state.last_seq;

  const until = {
    log: await whenItAnswers(log.lastSequence),
    keys: await whenItAnswers(() => lastSequenceOf(streamNames.keys)),
  };
  let isSound = true;
  const onFatal = (error: VaultError) => {
    isSound = false;
    options.onFatal(error);
  };
  const files = await openLocalFiles({
    ...{ connection, folder, log, keyStore, until, now, linkedIdleMs },
    onDamaged: onFatal,
    onBuiltAnew: options.onBuiltAnew ?? (() => undefined),
    incarnations: streams.incarnations,
    lastSequences: async () => ({
      log: await lastSequenceOf(streamNames.vault),
      keys: await lastSequenceOf(streamNames.keys),
    }),
  });
  const { projection, keyTable } = files;
  const outbox = createOutboxWrites(files.outbox, onProblem);
  const dataKeys = createDataKeys({ keyRing, table: keyTable, store: keyStore });

  const stop = new AbortController();
  let ownership: Ownership | undefined;
  const held = createHeldPartitions({
    ...{ worker, log, projection, claimMs, now },
    signal: stop.signal,
    onLost(partition, error) {
      if (error.code !== 'ownership-lost') onFatal(error);
      ownership?.lose(partition);
    },
  });
  const loadSigningKeys = (wrapped: Uint8Array) => {
    try {
      signingKeys.load(wrapped);
    } catch (error) {
      // Those that it has are good; a restart reads them anew.
      onProblem(error);
    }
  };
  const follower = createProjectionFollower({
    projection,
    keyTable,
    log,
    onKey: dataKeys.forget,
    followKeys: (afterSequence, onKey, signal) =>
      followStream(
        connection,
        { stream: streamNames.keys, filterSubject: streamSubjects.keys, afterSequence },
        ({ subject, data, seq }) => {
          const name = subject.split('.')[2]!;
          if (name === signingKeyName && data.length > 0) loadSigningKeys(data);
          onKey(name, data, seq);
        },
        signal,
      ),
    // A lease says it first; the log is what counts.
    onOwner(partition, owner) {
      if (owner === worker) return;
      if (held.has(partition)) ownership?.lose(partition);
      ownership?.taken(partition);
    },
    onBroken(cause) {
      if (cause instanceof VaultError) onFatal(cause);
      else onFatal(new VaultError('projection-failed', 'the projection cannot follow the log', { cause }));
    },
  });
  // Before that it would take partitions that it cannot answer for.
  await follower.caughtUp(until);

  /** Whose marker is older than ours must be has lost it: then this worker knows of things that the log does not. */
  async function lostMarkers(): Promise<boolean> {
    const newest = held.newest();
    if (!newest) return false;
    const owner = await log.findOwner(newest.partition);
    return owner === null || owner.epoch < newest.epoch;
  }

  const assertNothingLost = async () => {
    if (!(await lostMarkers()) && !(await files.areAhead())) return;
    const message =
      'the streams of this NATS lack what this worker has read there before: start again, so that it reads them anew';
    onFatal(new VaultError('stream-cut-off', message));
  };
  checkAfterReconnect(connection, assertNothingLost, stop.signal);

  return {
    partitions: streams.partitions,
    ...{ log, projection, outbox, keyStore, keyTable, dataKeys, signingKeys, held },
    keysCaughtUp: async () => {
      await follower.caughtUp({ log: 0, keys: await lastSequenceOf(streamNames.keys) });
    },

    own(serving, recover) {
      ownership = startOwnership({
        ...{ worker, log, onProblem, isSound: () => isSound },
        partitions: streams.partitions,
        leases,
        clock: options.leaseClock ?? createLeaseClock({ monotonic: () => performance.now(), wall: now }),
        ...(options.ownershipTimes && { times: options.ownershipTimes }),
        handlers: {
          async take(ownerships) {
            const keys = await lastSequenceOf(streamNames.keys);
            await follower.caughtUp({ log: Math.max(...ownerships.map(({ epoch }) => epoch)), keys });
            for (const taken of ownerships) held.take(taken);
            await recover(ownerships.map(({ partition }) => partition));
          },
          expect: serving.expect,
          serve: serving.serve,
          async release(partition) {
            await serving.release(partition);
            await held.release(partition);
          },
          reaffirm: (partition) => held.writerOf(partition).reaffirm(),
        },
      });
      return ownership;
    },

    stop: () => stop.abort(),

    async [Symbol.asyncDispose]() {
      outbox[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
      files[Symbol.dispose]();
    },
  };
}
