/**
 * One data key per principal, wrapped by the key ring and kept in the stream KEYS apart from the data it opens.
 * Destroying it there makes everything of that person unreadable.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { headers, type NatsConnection, type NatsError } from 'nats';
import { keySubject, streamNames } from '../../schemas/subjects.ts';
import { VaultError } from '../errors.ts';
import type { Projection } from '../projection/projection.ts';
import type { KeyRing } from './key-ring.ts';

export interface DataKeys {
  /** From memory or the projection; null if this person has none. */
  find(principalKey: string): KeyObject | null;
  /** Makes one if there is none; two workers that do so at once end up with the same. */
  ensure(principalKey: string): Promise<KeyObject>;
}

interface Options {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
  readonly projection: Projection;
}

const wrongLastSequence = 10071;

export function createDataKeys({ connection, keyRing, projection }: Options): DataKeys {
  const opened = new LRUCache<string, KeyObject>({ max: 20_000 });
  const jetStream = connection.jetstream();

  function unwrap(principalKey: string, wrapped: Uint8Array): KeyObject {
    const key = createSecretKey(keyRing.open(contextOf(principalKey), wrapped));
    opened.set(principalKey, key);
    return key;
  }

  function find(principalKey: string): KeyObject | null {
    const known = opened.get(principalKey);
    if (known) return known;
    const wrapped = projection.findDataKey(principalKey);
    return wrapped && unwrap(principalKey, wrapped);
  }

  async function create(principalKey: string): Promise<{ wrapped: Uint8Array; sequence: number }> {
    const wrapped = keyRing.seal(contextOf(principalKey), randomBytes(32));
    const head = headers();
    head.set('Nats-Expected-Last-Subject-Sequence', '0');
    try {
      const { seq } = await jetStream.publish(keySubject(principalKey), wrapped, { headers: head });
      return { wrapped, sequence: seq };
    } catch (error) {
      if ((error as NatsError).api_error?.err_code !== wrongLastSequence) {
        throw new VaultError('append-unknown', 'the data key of a person could not be stored', {
          retryable: true,
          cause: error,
        });
      }
      // Somebody was faster, or our own first attempt was stored and its answer lost.
      const manager = await connection.jetstreamManager();
      const { data, seq } = await manager.streams.getMessage(streamNames.keys, {
        last_by_subj: keySubject(principalKey),
      });
      return { wrapped: data, sequence: seq };
    }
  }

  return {
    find,
    async ensure(principalKey) {
      const known = find(principalKey);
      if (known) return known;
      const { wrapped, sequence } = await create(principalKey);
      projection.putDataKey(principalKey, wrapped, sequence);
      return unwrap(principalKey, wrapped);
    },
  };
}

function contextOf(principalKey: string): string {
  return `data-key ${principalKey}`;
}
