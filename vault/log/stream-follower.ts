/**
 * Reads a stream from a position on and stays with it, in order and without gaps, across reconnects and restarts of
 * the server (an ordered consumer, which the client makes anew from the last sequence it delivered).
 */
import { DeliverPolicy, type NatsConnection } from 'nats';

/**
 * The client notices that its consumer is gone after one such time, and waits another one before it tries again: by its
 * own 30 s a new owner would wait for the log for a minute.
 */
const pullMs = 2000;
const retryMs = 250;

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
    const messages = await openConsumer(position);
    if (!messages) continue;
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

  /** Null after a pause, if the stream does not answer. */
  async function openConsumer(after: number) {
    try {
      const consumer = await connection.jetstream().consumers.get(stream, {
        filterSubjects: filterSubject,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: after + 1,
      });
      return await consumer.consume({ max_messages: 1000, expires: pullMs });
    } catch (error) {
      // A connection that was closed on purpose comes not back.
      if (connection.isClosed()) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      return null;
    }
  }
}
