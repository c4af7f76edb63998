/**
 * Connections to backends, kept alive and reused within one session of one person, never shared between people, sessions
 * or accounts: a backend may keep state in its session. Idle ones are closed, and the number is limited, so that one
 * person's do not displace all of the others'; one that is in use is closed only after its last request.
 */
import { LRUCache } from 'lru-cache';
import { type Backend, BackendRejectedError } from './backend.ts';
import type { BackendConnection, BackendConnector } from './backend-connection.ts';
import type { Credentials } from './backend-fetch.ts';
import type { ClientProfile } from './protocol.ts';

export interface Lease extends AsyncDisposable {
  readonly connection: BackendConnection;
  /** It had served a request before, so its session may be gone at the backend. */
  readonly reused: boolean;
  /** It takes the place of one that was opened as another account of this person. */
  readonly replaces: boolean;
  /** Not to be used by anyone again. */
  discard(): void;
}

export interface ConnectionUser {
  /** Names one person in one session. */
  readonly owner: string;
  /** Names the person. */
  readonly person: string;
  /** Of the person at the provider whose token is sent; null: none is. */
  readonly account: string | null;
  /** Of that token. */
  readonly version: number | null;
  /** The sign-in of the caller; null: there is none. */
  readonly tsid: string | null;
  /** A backend is told at the beginning what the client can be asked for. */
  readonly client: ClientProfile;
  /** For the handshake. */
  readonly credentials: Credentials;
}

export interface OpenedConnection {
  readonly backend: Backend;
  readonly connection: BackendConnection;
  /** Those that were used last. */
  readonly credentials: Credentials;
}

export interface ConnectionPool {
  lease(user: ConnectionUser, backend: Backend): Promise<Lease>;
  /** Those that one session has open. */
  opened(owner: string): Promise<OpenedConnection[]>;
  /** Closes what belongs to one session. */
  end(owner: string): void;
  /** Closes what was used last by a sign-in that is over. */
  endSignIn(tsid: string): void;
  close(): Promise<void>;
}

interface Entry {
  readonly backend: Backend;
  readonly person: string;
  readonly account: string | null;
  readonly version: number | null;
  readonly opening: Promise<BackendConnection>;
  tsid: string | null;
  credentials: Credentials;
  users: number;
  served: boolean;
  retired: boolean;
}

export function createConnectionPool(options: {
  connector: BackendConnector;
  maxConnections?: number;
  idleMs?: number;
}): ConnectionPool {
  const { connector, maxConnections = 2_000, idleMs = 5 * 60_000 } = options;
  const maxOfOne = Math.ceil(maxConnections / 2);
  const counts = new Map<string, number>();
  const closing = new Set<Promise<void>>();
  const entries = new LRUCache<string, Entry>({
    max: maxConnections,
    ttl: idleMs,
    ttlAutopurge: true,
    updateAgeOnGet: true,
    dispose: (entry) => {
      count(entry.person, -1);
      entry.retired = true;
      closeIfUnused(entry);
    },
  });

  function count(person: string, more: 1 | -1): void {
    const now = (counts.get(person) ?? 0) + more;
    if (now === 0) counts.delete(person);
    else counts.set(person, now);
  }

  /** The one that this person has not used for the longest time makes room for the next. */
  function makeRoom(person: string): void {
    if ((counts.get(person) ?? 0) < maxOfOne) return;
    for (const key of entries.rkeys())
      if (entries.peek(key)?.person === person) return void entries.delete(key);
  }

  function closeIfUnused(entry: Entry): void {
    if (!entry.retired || entry.users > 0) return;
    const done = entry.opening
      .then(
        (connection) => connection.close(),
        () => {},
      )
      .finally(() => closing.delete(done));
    closing.add(done);
  }

  const startOf = (owner: string) => `[${JSON.stringify(owner)},`;

  async function lease(user: ConnectionUser, backend: Backend): Promise<Lease> {
    const { owner, person, account, version, tsid, client, credentials } = user;
    const key = JSON.stringify([owner, backend.name, client]);
    let entry = entries.get(key);
    const replaces = entry !== undefined && entry.account !== account;
    if (!entry || replaces) {
      const opening = connector.open(backend, client, credentials);
      const unused = { users: 0, served: false, retired: false };
      entry = { backend, person, account, version, opening, tsid, credentials, ...unused };
      makeRoom(person);
      entries.set(key, entry);
      count(person, 1);
    }
    const held = entry;
    const discard = () => {
      if (entries.peek(key) === held) entries.delete(key);
    };
    held.users += 1;
    Object.assign(held, { credentials, tsid });
    const release = () => {
      held.users -= 1;
      closeIfUnused(held);
    };
    let connection: BackendConnection;
    try {
      connection = await held.opening;
    } catch (error) {
      release();
      discard();
      // It was the token of somebody who came before that was rejected.
      if (error instanceof BackendRejectedError && held.version !== version)
        return await lease(user, backend);
      throw error;
    }
    const reused = held.served;
    if (reused && !connection.isOpen()) {
      release();
      discard();
      return await lease(user, backend);
    }
    held.served = true;
    return {
      connection,
      reused,
      replaces,
      discard,
      async [Symbol.asyncDispose]() {
        release();
      },
    };
  }

  return {
    lease,

    async opened(owner) {
      const start = startOf(owner);
      const found = [...entries].filter(([key]) => key.startsWith(start)).map(([, entry]) => entry);
      const connections = await Promise.allSettled(found.map(({ opening }) => opening));
      return connections.flatMap((settled, index) => {
        const { backend, credentials } = found[index]!;
        return settled.status === 'fulfilled' ? [{ backend, connection: settled.value, credentials }] : [];
      });
    },

    end(owner) {
      const start = startOf(owner);
      for (const key of [...entries.keys()]) if (key.startsWith(start)) entries.delete(key);
    },

    endSignIn(ended) {
      for (const [key, { tsid }] of [...entries]) if (tsid === ended) entries.delete(key);
    },

    async close() {
      entries.clear();
      await Promise.all(closing);
    },
  };
}
