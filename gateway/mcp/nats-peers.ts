/**
 * Gateways speak with each other over core NATS, under subjects that only gateways may use. What is sent is sealed
 * under a key that all gateways of the instance derive, with the subject as additional data, and is taken once, within
 * a minute.
 */
import { createSecretKey, randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { NatsConnection } from 'nats';
import type { Log } from '../../schemas/log.ts';
import { gatewaySubject } from '../../schemas/subjects.ts';
import { isObject, type JsonObject } from './json-rpc.ts';
import type { Peers } from './peers.ts';
import { openSealed, sealText } from './sealed-text.ts';

export interface NatsPeers extends Peers, Disposable {}

/** A gateway that is there says so at once, and then answers when it can. */
const acceptLimitMs = 2_000;
const answerLimitMs = 10 * 60_000;
const maxAgeMs = 60_000;

interface Asked {
  readonly answer: (answer: JsonObject | null) => void;
  timer: NodeJS.Timeout;
}

export function createNatsPeers(options: {
  connection: NatsConnection;
  bootId: string;
  /** 32 bytes each, newest first; the same for all gateways of the instance. */
  keys: readonly Buffer[];
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Pick<Log, 'warn'>;
}): NatsPeers {
  const { connection, bootId, now, log } = options;
  const keys = options.keys.map((key) => createSecretKey(key));
  const answers = new Map<string, (request: JsonObject) => Promise<JsonObject> | JsonObject>();
  const asked = new Map<string, Asked>();
  /** By their nonces. */
  const taken = new LRUCache<string, true>({ max: 10_000, ttl: 2 * maxAgeMs });

  function publish(to: string, operation: string, body: JsonObject): void {
    const subject = gatewaySubject(to, operation);
    const text = JSON.stringify({ ...body, from: bootId, at: now() });
    connection.publish(subject, Buffer.from(sealText(text, subject, keys)));
  }

  function read(subject: string, data: Uint8Array): JsonObject | null {
    const sealed = Buffer.from(data).toString();
    const text = openSealed(sealed, subject, keys);
    const body: unknown = text === null ? null : JSON.parse(text);
    if (!isObject(body) || Math.abs(now() - Number(body.at)) >= maxAgeMs || taken.has(sealed.slice(0, 16)))
      return null;
    taken.set(sealed.slice(0, 16), true);
    return body;
  }

  function settle(id: unknown, answer: JsonObject | null): void {
    const waiting = asked.get(String(id));
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    asked.delete(String(id));
    waiting.answer(answer);
  }

  async function receive(operation: string, body: JsonObject): Promise<void> {
    const { id, from, content } = body;
    if (from === bootId || typeof from !== 'string' || !isObject(content)) return;
    if (operation === 'accepted') {
      const waiting = asked.get(String(id));
      if (waiting === undefined) return;
      clearTimeout(waiting.timer);
      waiting.timer = setTimeout(() => settle(id, null), answerLimitMs);
      waiting.timer.unref();
      return;
    }
    if (operation === 'answer') return settle(id, content);
    if (operation === 'failed') return settle(id, null);
    const answer = answers.get(operation);
    if (answer === undefined) return;
    if (typeof id !== 'string') return void (await answer(content));
    publish(from, 'accepted', { id, content: {} });
    try {
      publish(from, 'answer', { id, content: await answer(content) });
    } catch (error) {
      // An answer may be larger than NATS takes, too.
      publish(from, 'failed', { id, content: {} });
      throw error;
    }
  }

  const subscriptions = [bootId, 'all'].map((to) =>
    connection.subscribe(gatewaySubject(to, '*'), {
      callback(error, message) {
        if (error) return;
        const body = read(message.subject, message.data);
        if (body === null) return;
        receive(message.subject.split('.').at(-1)!, body).catch((problem) =>
          log.warn({ error: problem }, 'a message of another gateway could not be worked on'),
        );
      },
    }),
  );

  return {
    bootId,
    ask(to, operation, content) {
      return new Promise((resolve) => {
        const id = randomUUID();
        const timer = setTimeout(() => settle(id, null), acceptLimitMs);
        asked.set(id, { answer: resolve, timer });
        try {
          publish(to, operation, { id, content });
        } catch (error) {
          log.warn({ error }, 'another gateway could not be asked');
          settle(id, null);
        }
      });
    },
    tell(operation, content) {
      try {
        publish('all', operation, { content });
      } catch (error) {
        log.warn({ error }, 'the other gateways could not be told');
      }
    },
    serve: (operation, answer) => {
      answers.set(operation, answer);
    },
    [Symbol.dispose]() {
      for (const subscription of subscriptions) subscription.unsubscribe();
      for (const id of asked.keys()) settle(id, null);
    },
  };
}
