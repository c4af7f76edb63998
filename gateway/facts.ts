/**
 * What a gateway reports: a call that lacks a token, and a token that a backend rejected. Acknowledged publishes to
 * JetStream, repeated under one message id (`Nats-Msg-Id`), beside the call: it neither waits for them nor fails.
 */
import type { NatsConnection } from 'nats';
import { type GatewayFact, gatewayFactSchema } from '../schemas/events/facts.ts';
import { createEventId } from '../schemas/ids.ts';
import type { Log } from '../schemas/log.ts';
import { gatewayFactSubject } from '../schemas/subjects.ts';

export interface GatewayFacts {
  report(fact: Omit<GatewayFact, 'id' | 'at' | 'gateway'>): void;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/** A publish that resolves when JetStream has stored the message. */
export type AcknowledgedPublish = (subject: string, body: Uint8Array, messageId: string) => Promise<unknown>;

/** The stream takes a repeated message once, by its `Nats-Msg-Id`. */
export function createJetStreamPublish(connection: NatsConnection): AcknowledgedPublish {
  const jetstream = connection.jetstream({ timeout: 2_000 });
  return (subject, body, messageId) => jetstream.publish(subject, body, { msgID: messageId });
}

const attempts = 4;
const pauseMs = 500;

export function createGatewayFacts(options: {
  publish: AcknowledgedPublish;
  bootId: string;
  now: () => number;
  log: Pick<Log, 'error'>;
}): GatewayFacts {
  const { publish, bootId, now, log } = options;
  const running = new Set<Promise<void>>();
  let closed = false;

  async function store(fact: GatewayFact): Promise<void> {
    const body = Buffer.from(JSON.stringify(gatewayFactSchema.parse(fact)));
    for (let attempt = 1; ; attempt += 1) {
      try {
        await publish(gatewayFactSubject(fact.fact), body, fact.id);
        return;
      } catch (error) {
        if (attempt === attempts || closed) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs * attempt));
      }
    }
  }

  return {
    report(partial) {
      const fact: GatewayFact = { ...partial, id: createEventId(), at: now(), gateway: bootId };
      const done = store(fact)
        .catch((error) =>
          log.error(
            { error, fact: fact.fact, backend: fact.backend, provider: fact.provider },
            'a fact is lost',
          ),
        )
        .finally(() => running.delete(done));
      running.add(done);
    },
    async close() {
      closed = true;
      await Promise.all(running);
    },
  };
}
