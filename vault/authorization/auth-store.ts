/**
 * The authorization server's state in the bucket AUTH: found by a random id, kept for minutes, replayed by nobody. A
 * key is kind and HMAC of the id, so that the bucket does not hold bearer values; a value is sealed by the key ring.
 * The record's expiry stands inside it as well as in the message's TTL (`Nats-TTL`, nats-server 2.11).
 */
import { AckPolicy, DeliverPolicy, headers, type NatsConnection, type NatsError, nanos } from 'nats';
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import { bucketNames } from '../../schemas/subjects.ts';
import type { KeyRing } from '../sealing/key-ring.ts';

export interface AuthRecord {
  readonly value: unknown;
  /** Changes with every write; what `expected` takes. */
  readonly revision: number;
  readonly expiresAt: number | null;
}

export interface AuthStore {
  find(kind: string, id: string): Promise<AuthRecord | null>;
  /**
   * @param expected the revision that the record must still have; 0: there must be none
   * @throws RefusedError `conflict` if it has another one, `unavailable` if the bucket does not answer
   */
  put(kind: string, id: string, value: unknown, expiresAt: number | null, expected?: number): Promise<void>;
  delete(kind: string, id: string): Promise<void>;
  /** How many records of this kind there are, and a few that were just deleted. */
  count(kind: string): Promise<number>;
  /** Seals what outlives every sign-in under the current key of the ring. @returns how many records it was */
  sealAnew(): Promise<number>;
  /** How many records are sealed with each key, and when the last of them expires; null: one does not. */
  keyUse(): Promise<Map<string, { count: number; until: number | null }>>;
}

interface Options {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
  readonly now: () => number;
}

const recordSchema = z.object({ value: z.unknown(), expiresAt: z.int().nullable() });
const noMessageFound = 10037;
const wrongLastSequence = 10071;
/** How long the mark of a deletion stays: longer than any reader could lag behind. */
const deletionMarkSeconds = 60;
/** What expires sooner is left to its age: no session is longer, and what a sign-in leaves changes under its readers. */
const longestSessionMs = 31 * 24 * 3_600_000;
/** A consumer that was forgotten in the middle goes by itself. */
const countingMs = 5000;
/** Without a message for so long, the last one was read. */
const quietMs = 1000;

export async function openAuthStore({ connection, keyRing, now }: Options): Promise<AuthStore> {
  const manager = await connection.jetstreamManager();
  const jetStream = connection.jetstream();
  const stream = `KV_${bucketNames.auth}`;

  const keyOf = (kind: string, id: string) =>
    `${kind}.${keyRing.index('auth-record', kind, id).toString('base64url')}`;
  const subjectOf = (key: string) => `$KV.${bucketNames.auth}.${key}`;
  const contextOf = (key: string) => `auth-record ${key}`;
  const ttlOf = (expiresAt: number) => `${Math.max(1, Math.ceil((expiresAt - now()) / 1000))}s`;
  const opened = (key: string, data: Uint8Array) =>
    recordSchema.parse(JSON.parse(keyRing.open(contextOf(key), data).toString()));

  /** Every record there is when it is called, in no order. */
  async function* all() {
    if ((await manager.streams.info(stream)).state.messages === 0) return;
    const consumer = await jetStream.consumers.get(stream, {
      filterSubjects: subjectOf('>'),
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
    });
    const messages = await consumer.consume({ max_messages: 500 });
    // Records expire while they are read: then the last one is never seen.
    let seen = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - seen > quietMs) messages.stop();
    }, quietMs);
    try {
      for await (const { subject, data, seq, info } of messages) {
        if (data.length > 0) yield { key: subject.slice(subjectOf('').length), data, seq };
        seen = performance.now();
        if (info.pending === 0) return;
      }
    } finally {
      clearInterval(watch);
      messages.stop();
    }
  }

  return {
    async find(kind, id) {
      const key = keyOf(kind, id);
      try {
        const message = await manager.streams.getMessage(stream, { last_by_subj: subjectOf(key) });
        if (message.data.length === 0) return null;
        const { value, expiresAt } = opened(key, message.data);
        if (expiresAt !== null && expiresAt <= now()) return null;
        return { value, expiresAt, revision: message.seq };
      } catch (error) {
        if (codeOf(error) === noMessageFound) return null;
        throw unavailable(error);
      }
    },

    async put(kind, id, value, expiresAt, expected) {
      const key = keyOf(kind, id);
      const head = headers();
      if (expected !== undefined) head.set('Nats-Expected-Last-Subject-Sequence', String(expected));
      if (expiresAt !== null) head.set('Nats-TTL', ttlOf(expiresAt));
      const data = keyRing.seal(contextOf(key), Buffer.from(JSON.stringify({ value, expiresAt })));
      try {
        await jetStream.publish(subjectOf(key), data, { headers: head });
      } catch (error) {
        if (codeOf(error) === wrongLastSequence)
          throw new RefusedError('conflict', `the ${kind} record changed meanwhile`);
        throw unavailable(error);
      }
    },

    async delete(kind, id) {
      const head = headers();
      head.set('KV-Operation', 'DEL');
      head.set('Nats-TTL', `${deletionMarkSeconds}s`);
      try {
        await jetStream.publish(subjectOf(keyOf(kind, id)), new Uint8Array(0), { headers: head });
      } catch (error) {
        throw unavailable(error);
      }
    },

    async count(kind) {
      try {
        const consumer = await manager.consumers.add(stream, {
          filter_subject: subjectOf(`${kind}.>`),
          deliver_policy: DeliverPolicy.LastPerSubject,
          ack_policy: AckPolicy.None,
          inactive_threshold: nanos(countingMs),
          mem_storage: true,
        });
        await manager.consumers.delete(stream, consumer.name);
        return consumer.num_pending;
      } catch (error) {
        throw unavailable(error);
      }
    },

    async sealAnew() {
      let count = 0;
      for await (const { key, data, seq } of all()) {
        if (keyRing.keyIdOf(data) === keyRing.current()) continue;
        const record = opened(key, data);
        const { expiresAt } = record;
        if (expiresAt !== null && expiresAt - now() <= longestSessionMs) continue;
        const head = headers();
        head.set('Nats-Expected-Last-Subject-Sequence', String(seq));
        if (expiresAt !== null) head.set('Nats-TTL', ttlOf(expiresAt));
        const sealed = keyRing.seal(contextOf(key), Buffer.from(JSON.stringify(record)));
        try {
          await jetStream.publish(subjectOf(key), sealed, { headers: head });
          count += 1;
        } catch (error) {
          // Whoever wrote it meanwhile sealed it anew.
          if (codeOf(error) !== wrongLastSequence) throw unavailable(error);
        }
      }
      return count;
    },

    async keyUse() {
      const uses = new Map<string, { count: number; until: number | null }>();
      for await (const { key, data } of all()) {
        const keyId = keyRing.keyIdOf(data) ?? 'unknown';
        const { expiresAt } = opened(key, data);
        const { count, until } = uses.get(keyId) ?? { count: 0, until: 0 };
        const last = until === null || expiresAt === null ? null : Math.max(until, expiresAt);
        uses.set(keyId, { count: count + 1, until: last });
      }
      return uses;
    },
  };
}

function codeOf(error: unknown): number | undefined {
  return (error as NatsError).api_error?.err_code;
}

function unavailable(cause: unknown): Error {
  if (cause instanceof Error && cause.name === 'VaultError') return cause;
  return new RefusedError('unavailable', 'the authorization state cannot be reached', { cause });
}
