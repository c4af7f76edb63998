// The event log on a real NATS, and events to append to it.
import { randomBytes } from 'node:crypto';
import type { NatsConnection } from 'nats';
import { createBootId, createEventId, createInstanceId, derivedId } from '../../../schemas/ids.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import type { Append, EventLog, LogEntry } from '../../../vault/log/event-log.ts';
import { openJetStreamEventLog } from '../../../vault/log/jetstream-event-log.ts';
import { openStreams } from '../../../vault/log/streams.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';
import { claim, owner } from '../grant/commands.ts';

export interface TestLog extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly connection: NatsConnection;
  readonly log: EventLog;
  /** What lies on a subject of a stream now, oldest first. */
  read(stream: string, subject: string): Promise<{ seq: number; data: Buffer; header: string }[]>;
  /** Every entry of the log from its beginning. */
  entries(): Promise<LogEntry[]>;
}

export async function openTestLog({ factLifetimeSeconds = 600 } = {}): Promise<TestLog> {
  const nats = await openNatsServer();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'vault', bootId: createBootId() });
  const streams = await openStreams(connection, createInstanceId(), 1);
  const incarnation = streams.incarnations.log;
  const log = await openJetStreamEventLog({ connection, incarnation, timeoutMs: 1000, factLifetimeSeconds });
  const manager = await connection.jetstreamManager();

  async function read(stream: string, subject: string) {
    const { state } = await manager.streams.info(stream);
    const found: { seq: number; data: Buffer; header: string }[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq }).catch(() => null);
      if (!message || !matches(message.subject, subject)) continue;
      found.push({ seq, data: Buffer.from(message.data), header: String(message.header ?? '') });
    }
    return found;
  }

  return {
    ...{ nats, connection, log, read },
    async entries() {
      const { state } = await manager.streams.info('VAULT');
      const found: LogEntry[] = [];
      const stop = new AbortController();
      const marker = await log.takePartition(63, 'reader');
      const following = log.follow(
        0,
        {
          onEntry: (entry) => found.push(entry),
          onOwner: () => {},
          onPosition: (sequence) => {
            if (sequence >= Math.max(marker.epoch, state.last_seq)) stop.abort();
          },
        },
        stop.signal,
      );
      await following;
      return found;
    },
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

function matches(subject: string, pattern: string): boolean {
  return pattern.endsWith('>') ? subject.startsWith(pattern.slice(0, -1)) : subject === pattern;
}

export const grantIdOf = (name: string) =>
  derivedId('grt', Buffer.concat([Buffer.from(name), Buffer.alloc(24)]));

/** Tokens of one grant, as sealed bytes that nobody opens. */
export function tokensGranted(name: string, version = 1, size = 40): Append {
  const id = createEventId();
  const grantId = grantIdOf(name);
  const metadata = {
    type: 'TokensGranted',
    id,
    at: 1,
    ...owner,
    grantId,
    version,
    expiresAt: 10,
    refreshExpiresAt: null,
    refreshable: true,
  } as const;
  return {
    aggregate: grantId,
    event: { metadata, sealed: randomBytes(size) },
    replaces: true,
    fact: fact(id, 'tokens-granted', grantId, version),
  };
}

export function refreshStarted(name: string, n = 1): Append {
  const id = createEventId();
  const grantId = grantIdOf(name);
  return {
    aggregate: grantId,
    event: {
      metadata: {
        type: 'RefreshStarted',
        id,
        at: 2,
        grantId,
        claimId: claim(n),
        deadlineAt: 30,
        reason: 'expiring',
        startedClaims: [claim(n)],
      },
      sealed: Buffer.alloc(0),
    },
    replaces: false,
    fact: fact(id, 'refresh-started', grantId, null),
  };
}

function fact(
  id: string,
  name: 'tokens-granted' | 'refresh-started',
  grant: string,
  version: number | null,
): Append['fact'] {
  const { principalKey: principal, sessionId: session, provider } = owner;
  return { id, fact: name, at: 1, principal, session, grant, provider, version, reason: null };
}
