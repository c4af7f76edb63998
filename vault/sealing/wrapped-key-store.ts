/**
 * The stream KEYS: one wrapped key under each name, changed only under the sequence that was read
 * (`Nats-Expected-Last-Subject-Sequence`). A destroyed key is first overwritten in the store and then marked by an empty
 * message, which stays: whoever was away learns of it later.
 */
import { headers, type NatsConnection, type NatsError } from 'nats';
import { keySubject, streamNames } from '../../schemas/subjects.ts';
import { VaultError } from '../errors.ts';

export interface WrappedKey {
  readonly wrapped: Uint8Array;
  readonly sequence: number;
}

export interface WrappedKeyStore {
  /** From the leader; null if there is none, or none any more. */
  find(name: string): Promise<WrappedKey | null>;
  /** The message of KEYS with this sequence, the mark of a destroyed key included; null if it is not there any more. */
  at(sequence: number): Promise<{ name: string; wrapped: Uint8Array } | null>;
  /** @returns what stands there afterwards: of two who do so at once one wins */
  create(name: string, wrapped: Uint8Array): Promise<WrappedKey>;
  /** @returns the new sequence; null if the key is another than the one with this sequence */
  replace(name: string, wrapped: Uint8Array, sequence: number): Promise<number | null>;
  /** @returns the sequence of the mark; null if another key was made meanwhile. */
  destroy(name: string): Promise<number | null>;
}

const noMessageFound = 10037;
const wrongLastSequence = 10071;
const nothing = new Uint8Array(0);

export async function openWrappedKeyStore(connection: NatsConnection): Promise<WrappedKeyStore> {
  const manager = await connection.jetstreamManager();
  const jetStream = connection.jetstream();

  /** The mark of a destroyed key included. */
  async function last(name: string): Promise<WrappedKey | null> {
    try {
      const message = await manager.streams.getMessage(streamNames.keys, { last_by_subj: keySubject(name) });
      return { wrapped: message.data, sequence: message.seq };
    } catch (error) {
      if (codeOf(error) === noMessageFound) return null;
      throw unknown('the keys cannot be read', error);
    }
  }

  async function publish(name: string, wrapped: Uint8Array, expected: number): Promise<number | null> {
    const head = headers();
    head.set('Nats-Expected-Last-Subject-Sequence', String(expected));
    head.set('Nats-Rollup', 'sub');
    try {
      return (await jetStream.publish(keySubject(name), wrapped, { headers: head })).seq;
    } catch (error) {
      if (codeOf(error) === wrongLastSequence) return null;
      throw unknown('a key could not be stored', error);
    }
  }

  return {
    async find(name) {
      const found = await last(name);
      return found && found.wrapped.length > 0 ? found : null;
    },

    async at(sequence) {
      try {
        const { subject, data } = await manager.streams.getMessage(streamNames.keys, { seq: sequence });
        return { name: subject.split('.')[2]!, wrapped: data };
      } catch (error) {
        if (codeOf(error) === noMessageFound) return null;
        throw unknown('the keys cannot be read', error);
      }
    },

    async create(name, wrapped) {
      for (let expected = 0; ; ) {
        const sequence = await publish(name, wrapped, expected);
        if (sequence !== null) return { wrapped, sequence };
        // Somebody was faster, or our own first attempt was stored and its answer lost, or a mark stands there.
        const winner = await last(name);
        if (winner && winner.wrapped.length > 0) return winner;
        expected = winner?.sequence ?? 0;
      }
    },

    replace: publish,

    async destroy(name) {
      const found = await last(name);
      if (found?.wrapped.length === 0) return found.sequence;
      if (found) {
        // Whoever reads the stream goes on until its last sequence: that must not be the one that is taken out.
        await jetStream.publish(keySubject('mark'), nothing);
        try {
          // With `erase` the store overwrites the bytes; a roll-up alone would leave them where they are for a while.
          await manager.streams.deleteMessage(streamNames.keys, found.sequence, true);
        } catch (error) {
          if (codeOf(error) !== noMessageFound && (await last(name))?.sequence === found.sequence)
            throw unknown('a key could not be destroyed', error);
        }
      }
      return publish(name, nothing, 0);
    },
  };
}

function codeOf(error: unknown): number | undefined {
  return (error as NatsError).api_error?.err_code;
}

function unknown(message: string, cause: unknown): VaultError {
  return new VaultError('append-unknown', message, { retryable: true, cause });
}
