/**
 * After each reconnect the server may be another one, or the same one with an older store. What is to be checked then is
 * checked until it gives an answer.
 */
import { Events, type NatsConnection } from 'nats';

const pauseMs = 250;

/** Ends with the signal or the connection. */
export function checkAfterReconnect(
  connection: NatsConnection,
  check: () => Promise<void>,
  signal: AbortSignal,
): void {
  void (async () => {
    for await (const { type } of connection.status()) {
      if (signal.aborted) return;
      if (type === Events.Reconnect) void untilItAnswers();
    }
  })();

  async function untilItAnswers(): Promise<void> {
    while (!signal.aborted && !connection.isClosed()) {
      try {
        return await check();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }
}
