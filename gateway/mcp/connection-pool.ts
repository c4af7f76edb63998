/**
 * Connections to backends, kept alive and reused within one session of one person, never shared between people or
 * sessions: a backend may keep state in its session. Idle ones are closed, and the number is limited; one that is in
 * use is closed only after its last request.
 */
import { LRUCache } from 'lru-cache';
import type { Backend } from './backend.ts';
import type { BackendConnection, BackendConnector } from './backend-connection.ts';

export interface Lease extends AsyncDisposable {
  readonly connection: BackendConnection;
  /** It had served a request before, so its session may be gone at the backend. */
  readonly reused: boolean;
  /** Not to be used by anyone again. */
  discard(): void;
}

export interface ConnectionPool {
  /** `owner` names one person in one session. */
  lease(owner: string, backend: Backend): Promise<Lease>;
  /** Closes what belongs to one session. */
  end(owner: string): void;
  close(): Promise<void>;
}

interface Entry {
  readonly opening: Promise<BackendConnection>;
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
  const closing = new Set<Promise<void>>();
  const entries = new LRUCache<string, Entry>({
    max: maxConnections,
    ttl: idleMs,
    ttlAutopurge: true,
    updateAgeOnGet: true,
    dispose: (entry) => {
      entry.retired = true;
      closeIfUnused(entry);
    },
  });

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

  const keyOf = (owner: string, backend: string) => JSON.stringify([owner, backend]);

  return {
    async lease(owner, backend) {
      const key = keyOf(owner, backend.name);
      let entry = entries.get(key);
      if (!entry) {
        entry = { opening: connector.open(backend), users: 0, served: false, retired: false };
        entries.set(key, entry);
      }
      const held = entry;
      const discard = () => {
        if (entries.peek(key) === held) entries.delete(key);
      };
      held.users += 1;
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
        throw error;
      }
      const reused = held.served;
      held.served = true;
      return {
        connection,
        reused,
        discard,
        async [Symbol.asyncDispose]() {
          release();
        },
      };
    },

    end(owner) {
      const start = `[${JSON.stringify(owner)},`;
      for (const key of [...entries.keys()]) if (key.startsWith(start)) entries.delete(key);
    },

    async close() {
      entries.clear();
      await Promise.all(closing);
    },
  };
}
