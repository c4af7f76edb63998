/**
 * The event log on a JetStream stream (nats-server 2.12 or newer). Event and fact are stored by one atomic batch
 * (ADR-50). Every event carries the owner marker's sequence as the expected last sequence of the marker's subject
 * (`Nats-Expected-Last-Subject-Sequence` with `...-Subject`): a former owner cannot write anywhere in the partition.
 * The headers are set by hand, for the client does not know them.
 */
import { randomUUID } from 'node:crypto';
import { ErrorCode, headers, type MsgHdrs, type NatsConnection, type NatsError, type StoredMsg } from 'nats';
import type { VaultFact } from '../../schemas/events/facts.ts';
import {
  factSubject,
  logSubject,
  ownerSubject,
  streamNames,
  streamSubjects,
} from '../../schemas/subjects.ts';
import { partitionLost, VaultError } from '../errors.ts';
import { type Append, type EventLog, type PartitionOwnership, tombstoneSeconds } from './event-log.ts';
import { createGroupCommit } from './group-commit.ts';
import { logEntryOf } from './log-entry.ts';
import { decodeStoredEvent, encodeStoredEvent } from './stored-event.ts';
import { followStream } from './stream-follower.ts';

const wrongLastSequence = 10071;
const wrongLastSequenceConstant = 10164;
const noMessageFound = 10037;
const batchHeaders = ['Nats-Batch-Id', 'Nats-Batch-Sequence', 'Nats-Batch-Commit'];

interface Options {
  readonly connection: NatsConnection;
  readonly incarnation: string;
  /** After this time without an answer the outcome of an append is unknown. */
  readonly timeoutMs?: number;
  /** How long facts lie in the stream; AUDIT keeps them. */
  readonly factLifetimeSeconds?: number;
}

interface Publication {
  readonly partition: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs;
}

export async function openJetStreamEventLog({
  connection,
  incarnation,
  timeoutMs = 3000,
  factLifetimeSeconds = 86_400,
}: Options): Promise<EventLog> {
  const manager = await connection.jetstreamManager({ timeout: timeoutMs });
  const group = createGroupCommit({
    store: storeBatch,
    isRefusalOfOne: (error) => error instanceof VaultError && error.code === 'ownership-lost',
  });

  const lastMessage = (subject: string) => message({ last_by_subj: subject });
  const messageAt = (sequence: number) => message({ seq: sequence });

  return {
    incarnation,

    async takePartition(partition, worker, { previous, mayTake } = {}) {
      const subject = ownerSubject(partition);
      const last = await lastMessage(subject);
      // Not by its sequence: a log that lost its tail may have given that to somebody else's.
      if (previous && textOf(last?.data) !== worker) throw partitionLost(partition);
      if (mayTake && !(await mayTake())) throw partitionLost(partition);
      const head = headers();
      head.set('Nats-Expected-Last-Subject-Sequence', String(last?.seq ?? 0));
      // Markers of the past fence nothing.
      head.set('Nats-Rollup', 'sub');
      try {
        const marker = { partition, subject, data: Buffer.from(worker), headers: head };
        const epoch = await group.commit([marker]);
        return { partition, epoch };
      } catch (error) {
        if (!(error instanceof VaultError && error.code === 'ownership-lost')) throw error;
        // The conflict may be with oneself: an earlier attempt was stored, and its answer lost.
        const winner = await lastMessage(subject);
        if (!winner || textOf(winner.data) !== worker) throw error;
        return { partition, epoch: winner.seq };
      }
    },

    async append(ownership, appends) {
      const publications = appends.map((append) => publicationsOf(ownership, append));
      let next = await group.commit(publications.flat());
      return publications.map(({ length }) => {
        next += length;
        return next - length;
      });
    },

    lastSequence: async () => (await lastMessage(streamSubjects.log))?.seq ?? 0,

    async findLast(partition, aggregate) {
      const message = await lastMessage(logSubject(partition, aggregate));
      return message && { sequence: message.seq, metadata: decodeStoredEvent(message.data).metadata };
    },

    async has({ sequence, eventId }) {
      const event = await messageAt(sequence);
      if (event) return eventIdIn(event) === eventId;
      // It was replaced since. Its fact, which was stored right behind it, is not.
      const fact = await messageAt(sequence + 1);
      return fact !== null && eventIdIn(fact) === eventId;
    },

    async findOwner(partition) {
      const last = await lastMessage(ownerSubject(partition));
      return last && { worker: textOf(last.data)!, epoch: last.seq };
    },

    async follow(afterSequence, { onEntry, onOwner, onPosition }, signal) {
      await followStream(
        connection,
        { stream: streamNames.vault, filterSubject: streamSubjects.log, afterSequence },
        (message) => {
          const entry = logEntryOf(message);
          if (entry) onEntry(entry);
          else onOwner(Number(message.subject.split('.')[2]), textOf(message.data)!);
          onPosition(message.seq);
        },
        signal,
      );
    },
  };

  async function message(query: { seq: number } | { last_by_subj: string }) {
    try {
      return await manager.streams.getMessage(streamNames.vault, query);
    } catch (error) {
      if ((error as NatsError).api_error?.err_code === noMessageFound) return null;
      throw new VaultError('append-unknown', 'the log cannot be read', { retryable: true, cause: error });
    }
  }

  /** @returns the sequence of the last message */
  async function storeBatch(publications: readonly Publication[]): Promise<number> {
    const [only] = publications;
    if (only && publications.length === 1) {
      // It may have been part of a batch that was refused.
      for (const name of batchHeaders) only.headers.delete(name);
      return commit(only);
    }
    const batch = randomUUID();
    publications.forEach(({ headers: head }, index) => {
      head.set('Nats-Batch-Id', batch);
      head.set('Nats-Batch-Sequence', String(index + 1));
    });
    const last = publications.at(-1)!;
    last.headers.set('Nats-Batch-Commit', '1');
    for (const { subject, data, headers: head } of publications.slice(0, -1))
      connection.publish(subject, data, { headers: head });
    return commit(last);
  }

  /** Publishes the message that makes the append happen, and reads what the stream made of it. */
  async function commit({ partition, subject, data, headers: head }: Publication): Promise<number> {
    let answer: { seq?: number; error?: { err_code: number; description: string } };
    try {
      const reply = await connection.request(subject, data, { headers: head, timeout: timeoutMs });
      answer = reply.json();
    } catch (error) {
      if ((error as NatsError).code === ErrorCode.NoResponders) {
        throw new VaultError('append-refused', 'no stream takes the append', {
          retryable: true,
          cause: error,
        });
      }
      throw new VaultError('append-unknown', 'the log did not answer an append', {
        retryable: true,
        cause: error,
      });
    }
    if (answer.seq && !answer.error) return answer.seq;
    const code = answer.error?.err_code;
    if (code === wrongLastSequence || code === wrongLastSequenceConstant) throw partitionLost(partition);
    throw new VaultError(
      'append-refused',
      `the log refused an append: ${answer.error?.description} (${code})`,
      {
        retryable: true,
      },
    );
  }

  function publicationsOf({ partition, epoch }: PartitionOwnership, append: Append): Publication[] {
    const event = headers();
    event.set('Nats-Expected-Last-Subject-Sequence', String(epoch));
    event.set('Nats-Expected-Last-Subject-Sequence-Subject', ownerSubject(partition));
    if (append.replaces) event.set('Nats-Rollup', 'sub');
    if (append.tombstone) event.set('Nats-TTL', `${tombstoneSeconds}s`);
    const publicationOf = (fact: VaultFact): Publication => {
      const head = headers();
      head.set('Nats-TTL', `${factLifetimeSeconds}s`);
      return {
        partition,
        subject: factSubject(partition, fact.fact, fact.provider),
        data: Buffer.from(JSON.stringify(fact)),
        headers: head,
      };
    };
    return [
      {
        partition,
        subject: logSubject(partition, append.aggregate),
        data: encodeStoredEvent(append.event),
        headers: event,
      },
      ...[append.fact, ...(append.furtherFacts ?? [])].map(publicationOf),
    ];
  }
}

/** Of an event or of the fact that tells of it; null for what is neither. */
function eventIdIn({ subject, data }: StoredMsg): string | null {
  const [, kind, , aggregate] = subject.split('.');
  if (kind === 'fact') return (JSON.parse(Buffer.from(data).toString()) as VaultFact).id;
  return aggregate === 'owner' ? null : decodeStoredEvent(data).metadata.id;
}

function textOf(data: Uint8Array | undefined): string | null {
  return data === undefined ? null : Buffer.from(data).toString();
}
