/** Knows whether the connection to NATS stands, and waits for it: what is published without one piles up in its buffer. */
import { Events, type NatsConnection } from 'nats';

/** Resolves at once while the connection stands; else when it does again. */
export function watchConnection(connection: NatsConnection): () => Promise<void> {
  let back: PromiseWithResolvers<void> | null = null;
  void (async () => {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) back ??= Promise.withResolvers();
      if (type === Events.Reconnect) {
        back?.resolve();
        back = null;
      }
    }
  })();
  return () => back?.promise ?? Promise.resolve();
}
