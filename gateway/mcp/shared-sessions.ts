/**
 * A session of the older protocol at several gateways at once: an answer reaches the gateway that asked, a cancellation
 * the one that works, a change of the session all that serve it, and whoever holds its stream listens to the backends
 * that it uses elsewhere.
 */
import type { Log } from '../../schemas/log.ts';
import type { Backend } from './backend.ts';
import type { ChangeListeners } from './change-listeners.ts';
import type { ClientSession, ClientSessions, SessionState } from './client-sessions.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { isObject, type JsonObject } from './json-rpc.ts';
import type { Peers } from './peers.ts';
import type { RunningRequests } from './running-requests.ts';

export interface SharedSessions {
  /** The client's answer to what this or another gateway asked. */
  answer(session: ClientSession, message: JsonObject): Promise<void>;
  cancel(owner: string, requestId: unknown): void;
  /** The client comes for the rest of an answer: whoever still sends it to nobody stops. */
  leave(owner: string, requestId: unknown): void;
  changed(session: ClientSession): Promise<void>;
  end(id: string): Promise<void>;
  used(owner: string, backend: Backend): void;
  /** A stream of the session was opened here. */
  listens(owner: string): Promise<void>;
}

export function createSharedSessions(options: {
  backends: readonly Backend[];
  sessions: ClientSessions;
  peers: Peers;
  running: RunningRequests;
  listeners: ChangeListeners;
  pool: ConnectionPool;
  log: Pick<Log, 'warn'>;
}): SharedSessions {
  const { backends, sessions, peers, running, listeners, pool, log } = options;

  function forget(id: string): void {
    running.cancelAll(id);
    pool.end(id);
  }

  peers.serve('client-answer', ({ session, message }) => ({
    taken: isObject(message) && (sessions.find(String(session))?.answer(message) ?? false),
  }));
  peers.serve('cancel', ({ owner, requestId }) => {
    running.cancel(String(owner), requestId);
    return {};
  });
  peers.serve('leave', ({ owner, requestId }) => {
    running.leave(String(owner), requestId);
    return {};
  });
  peers.serve('session', ({ id, state }) => {
    const { ended } = state as unknown as SessionState;
    sessions.learn(String(id), state as unknown as SessionState);
    if (ended) forget(String(id));
    else for (const backend of backends) listeners.restart(String(id), backend);
    return {};
  });
  peers.serve('used', ({ owner, backend }) => {
    const known = backends.find(({ name }) => name === backend);
    if (known !== undefined) listeners.used(String(owner), known);
    return {};
  });
  peers.serve('listens', async ({ owner }) => {
    for (const { backend } of await pool.opened(String(owner)))
      peers.tell('used', { owner, backend: backend.name });
    return {};
  });

  return {
    async answer(session, message) {
      if (session.answer(message)) return;
      const { id } = message;
      const bootId = typeof id === 'string' ? id.slice(0, id.lastIndexOf('.')) : '';
      if (/^boot_[\w-]+$/.test(bootId) && bootId !== peers.bootId)
        await peers.ask(bootId, 'client-answer', { session: session.id, message });
    },
    cancel(owner, requestId) {
      running.cancel(owner, requestId);
      peers.tell('cancel', { owner, requestId });
    },
    leave(owner, requestId) {
      running.leave(owner, requestId);
      peers.tell('leave', { owner, requestId });
    },
    async changed(session) {
      const { id, logLevel, watched } = session;
      try {
        await sessions.keep(session);
      } catch (error) {
        log.warn({ error }, 'what changed in a session could not be kept');
      }
      peers.tell('session', { id, state: { logLevel, watched: [...watched], ended: false } });
    },
    async end(id) {
      forget(id);
      peers.tell('session', { id, state: { logLevel: null, watched: [], ended: true } });
      await sessions.end(id);
    },
    used(owner, backend) {
      listeners.used(owner, backend);
      peers.tell('used', { owner, backend: backend.name });
    },
    async listens(owner) {
      for (const { backend } of await pool.opened(owner)) listeners.used(owner, backend);
      peers.tell('listens', { owner });
    },
  };
}
