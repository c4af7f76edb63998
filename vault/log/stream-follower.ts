/**
 * Reads a stream from a position on and stays with it, in order and without gaps, across reconnects and restarts of
 * the server (an ordered consumer, which the client makes anew from the last sequence it delivered).
 */
import { DeliverPolicy, type NatsConnection } from 'nats';

export interface FollowedMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data: Uint8Array;
}

export interface StreamPosition {
  readonly stream: string;
  readonly filterSubject: string;
  /** 0: from the beginning. */
  readonly afterSequence: number;
}

/** Ends when the signal is aborted. An error in `onMessage` ends it too. */
export async function followStream(
  connection: NatsConnection,
  { stream, filterSubject, afterSequence }: StreamPosition,
  onMessage: (message: FollowedMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  let position = afterSequence;
  while (!signal.aborted) {
    const consumer = await connection.jetstream().consumers.get(stream, {
      filterSubjects: filterSubject,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: position + 1,
    });
    const messages = await consumer.consume({ max_messages: 1000 });
    const stop = () => messages.stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const message of messages) {
        // A consumer that was made anew may begin with what was seen already.
        if (message.seq <= position) continue;
        onMessage(message);
        position = message.seq;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}
