// Both ends of a bus on a real NATS, each with a connection and keys of its own, and what a third party sees.
import type { NatsConnection } from 'nats';
import * as z from 'zod';
import { type Bus, createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { defineOperation } from '../../schemas/messages/operation.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import type { InboxConnection } from '../../schemas/reply-inbox.ts';
import { createSealedEnvelopes, type SealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { secretSchema } from '../../schemas/secret.ts';
import { openNatsServer, type TestNatsServer } from '../world/nats-server.ts';
import { createTestKeys, type TestKeys } from '../world/role-keys.ts';

export const echo = defineOperation(
  'echo',
  z.object({ text: z.string(), token: secretSchema.optional() }),
  z.object({ text: z.string(), token: secretSchema.optional() }),
);
export const subject = 'latchkey.vault.7.echo';
export const target = { subject, pair: 'gateway-vault' } as const;
export const served = { ...target, queue: 'vault' } as const;

export interface TestBus extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly keys: TestKeys;
  readonly client: Bus;
  readonly server: Bus;
  readonly clientConnection: NatsConnection;
  readonly serverConnection: InboxConnection;
  readonly serverEnvelopes: SealedEnvelopes;
  readonly problems: { subject: string; error: unknown }[];
  /** Subject, headers and data of every message so far, as the spy heard them. */
  heard(): Promise<readonly Buffer[]>;
}

/** @param options.spy hears everything, so that nothing is without a listener any more */
export async function openTestBus({ spy = false } = {}): Promise<TestBus> {
  const nats = await openNatsServer();
  const keys = createTestKeys();
  const problems: TestBus['problems'] = [];
  const wire: Buffer[] = [];
  const connections: NatsConnection[] = [];

  async function connect(role: 'gateway' | 'vault' | 'operator') {
    const bootId = createBootId();
    const connection = await openNatsConnection({ servers: [nats.url], role, bootId });
    connections.push(connection);
    return { connection, bootId };
  }

  async function openBus(role: 'gateway' | 'vault') {
    const { connection, bootId } = await connect(role);
    const envelopes = createSealedEnvelopes({ keys: keys.of(role), bootId, now: Date.now });
    return {
      connection,
      envelopes,
      bus: createBus({ connection, envelopes, onProblem: (one) => problems.push(one) }),
    };
  }

  const gateway = await openBus('gateway');
  const vault = await openBus('vault');
  const ofSpy = spy ? (await connect('operator')).connection : null;
  if (ofSpy) {
    ofSpy.subscribe('>', {
      callback: (_, message) =>
        wire.push(
          Buffer.concat([Buffer.from(`${message.subject} ${message.headers ?? ''}\n`), message.data]),
        ),
    });
    await ofSpy.flush();
  }
  return {
    ...{ nats, keys, problems },
    client: gateway.bus,
    server: vault.bus,
    clientConnection: gateway.connection,
    serverConnection: vault.connection,
    serverEnvelopes: vault.envelopes,
    async heard() {
      // What was answered has left both; what the server has for the spy comes before its pong.
      await Promise.all([gateway.connection.flush(), vault.connection.flush()]);
      await ofSpy?.flush();
      return wire;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(connections.map((connection) => connection.close()));
      await nats[Symbol.asyncDispose]();
    },
  };
}

/** What the work fails with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

/** @param delayMs of each answer, between its sealing and its way */
export function answersLate(connection: InboxConnection, delayMs: () => number): InboxConnection {
  const subscribe: InboxConnection['subscribe'] = (subject, options) =>
    connection.subscribe(subject, {
      ...options,
      callback(error, message) {
        const respond: typeof message.respond = (data) => {
          const ms = delayMs();
          if (ms === 0) return message.respond(data);
          if (Number.isFinite(ms)) setTimeout(() => message.respond(data), ms);
          return true;
        };
        const { subject, data, reply } = message;
        options!.callback!(error, { subject, data, reply, respond } as typeof message);
      },
    });
  return new Proxy(connection, {
    get(of, name) {
      const value: unknown = name === 'subscribe' ? subscribe : Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}
