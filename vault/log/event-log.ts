/**
 * The event log, as the vault needs it. Each partition has one owner; an append that does not come from the owner of
 * the day is refused by the log itself, on every aggregate, touched before or not.
 */
import type { VaultFact } from '../../schemas/events/facts.ts';
import type { EventMetadata, StoredEvent } from './stored-event.ts';

/** How long a tombstone lies in the log: a projection that was last read before that is not used any more. */
export const tombstoneSeconds = 30 * 24 * 3600;

/** The right to append to one partition: the sequence of its last owner marker. */
export interface PartitionOwnership {
  readonly partition: number;
  readonly epoch: number;
}

export interface Append {
  readonly aggregate: string;
  readonly event: StoredEvent;
  /** Everything before it on this aggregate goes: the event carries the complete state. */
  readonly replaces: boolean;
  /** The event says that nothing is there any more, and goes after `tombstoneSeconds`. */
  readonly tombstone?: boolean;
  /** Stored by the same atomic step as the event. */
  readonly fact: VaultFact;
  /** What else the event tells of, stored behind it. */
  readonly furtherFacts?: readonly VaultFact[];
}

export interface LogEntry {
  readonly sequence: number;
  readonly partition: number;
  readonly aggregate: string;
  readonly event: StoredEvent;
}

/** An event by its place and its name: a sequence alone may be used again by a log that lost its tail. */
export interface LogMark {
  readonly sequence: number;
  readonly eventId: string;
}

export interface EventLog {
  /** Changes when the log was deleted and made anew; positions in another incarnation mean nothing. */
  readonly incarnation: string;

  /**
   * Makes the worker the owner.
   * @param conditions.previous only if nobody else took the partition since
   * @param conditions.mayTake asked between reading the last marker and appending the next, which is refused if another
   *   one was appended in between
   * @throws VaultError `ownership-lost` somebody else did, or it may not be taken; `append-unknown`
   */
  takePartition(
    partition: number,
    worker: string,
    conditions?: { previous?: PartitionOwnership; mayTake?: () => Promise<boolean> },
  ): Promise<PartitionOwnership>;

  /**
   * Appends all or nothing, in order, at most one event for each aggregate.
   * @returns the sequences of the events
   * @throws VaultError `ownership-lost`; `append-refused` nothing is stored; `append-unknown` perhaps stored
   */
  append(ownership: PartitionOwnership, appends: readonly Append[]): Promise<number[]>;

  /** The sequence of the last entry or owner marker; 0: there is none. */
  lastSequence(): Promise<number>;

  /** The last event of an aggregate, read from the leader. */
  findLast(
    partition: number,
    aggregate: string,
  ): Promise<{ sequence: number; metadata: EventMetadata } | null>;

  /**
   * Whether this event was stored here, replaced since or not: a log that lost its tail, or was restored from an older
   * copy, lacks the newest. False also for an event that was replaced so long ago that its fact is gone.
   *
   * @throws VaultError `append-unknown` the log cannot be read
   */
  has(mark: LogMark): Promise<boolean>;

  /** The last owner marker of a partition; null: none. @throws VaultError `append-unknown` the log cannot be read */
  findOwner(partition: number): Promise<{ worker: string; epoch: number } | null>;

  /** Every entry and owner marker after a position, in order, then what comes, until the signal. */
  follow(
    afterSequence: number,
    handlers: {
      onEntry: (entry: LogEntry) => void;
      onOwner: (partition: number, worker: string) => void;
      onPosition: (sequence: number) => void;
    },
    signal: AbortSignal,
  ): Promise<void>;
}
