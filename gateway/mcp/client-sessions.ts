/**
 * Sessions of clients of the older protocol, as far as this gateway has something to do for them: the streams on which
 * they listen, what they were asked and have not answered yet, the level of logging and the resources they watch. The last
 * two are kept where every gateway finds them, and that a session has ended.
 */
import { LRUCache } from 'lru-cache';
import type { MessageSink } from './client-exchange.ts';
import { createRpcError, isObject, type JsonObject, JsonRpcError, rpcCodes } from './json-rpc.ts';
import type { ClientProfile } from './protocol.ts';
import { isGone } from './running-requests.ts';

/** How many resources one client watches at once: with each change all of them are kept anew. */
export const maxWatched = 1_000;
/** How long an answer is taken of a client that has gone away and can come back. */
const leftMs = 10 * 60_000;

export interface ClientSession {
  readonly id: string;
  readonly client: ClientProfile;
  /** null: the client has set none. */
  logLevel: string | null;
  readonly watched: Set<string>;
  /** Open streams beside the calls, newest last. */
  readonly streams: Set<MessageSink>;
  /**
   * Asks the client on one of its streams.
   * @throws JsonRpcError the client's own, or that nobody can be asked
   */
  ask(sink: MessageSink, method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject>;
  /** False: nothing of the kind was asked here. */
  answer(message: JsonObject): boolean;
}

/** What is kept of a session where every gateway finds it. */
export interface SessionState {
  readonly logLevel: string | null;
  readonly watched: readonly string[];
  readonly ended: boolean;
}

export interface SessionStore {
  put(id: string, state: SessionState): Promise<void>;
  /** null: nothing was kept, for there was nothing to keep. */
  find(id: string): Promise<SessionState | null>;
}

export interface ClientSessions {
  begin(id: string, client: ClientProfile): ClientSession;
  /** As it was left at whichever gateway. null: it has ended. @throws what the store throws */
  open(id: string, client: ClientProfile): Promise<ClientSession | null>;
  find(id: string): ClientSession | null;
  /** The level or the watched resources are others. */
  keep(session: ClientSession): Promise<void>;
  /** Another gateway has kept this. */
  learn(id: string, state: SessionState): void;
  end(id: string): Promise<void>;
}

export function createClientSessions(options: {
  bootId: string;
  store: SessionStore;
  maxSessions?: number;
}): ClientSessions {
  const { bootId, store, maxSessions = 50_000 } = options;
  /** Held by their streams and calls alone: however many sessions somebody opens, those in use go on. */
  const displaced = new Map<string, WeakRef<ClientSession>>();
  const collected = new FinalizationRegistry((id: string) => {
    if (displaced.get(id)?.deref() === undefined) displaced.delete(id);
  });
  const sessions = new LRUCache<string, ClientSession>({
    max: maxSessions,
    dispose(session, id, reason) {
      if (reason !== 'evict') return;
      displaced.set(id, new WeakRef(session));
      collected.register(session, id);
    },
  });
  let asked = 0;

  const ended = new LRUCache<string, true>({ max: maxSessions });

  function create(id: string, client: ClientProfile): ClientSession {
    const waiting = new Map<string, PromiseWithResolvers<JsonObject>>();
    return {
      id,
      client,
      logLevel: null,
      watched: new Set(),
      streams: new Set(),
      async ask(sink, method, params, signal) {
        asked += 1;
        const requestId = `${bootId}.${asked}`;
        const answer = Promise.withResolvers<JsonObject>();
        let timer: NodeJS.Timeout | undefined;
        const giveUp = () => {
          if (isGone(signal.reason) && sink.canBeResumed?.()) {
            timer = setTimeout(() => answer.reject(signal.reason), leftMs);
            timer.unref();
            return;
          }
          sink.send({
            jsonrpc: '2.0',
            method: 'notifications/cancelled',
            params: { requestId, reason: 'The request that caused this has ended.' },
          });
          answer.reject(signal.reason);
        };
        waiting.set(requestId, answer);
        try {
          if (!sink.send({ jsonrpc: '2.0', id: requestId, method, params }))
            throw createRpcError(rpcCodes.internalError, 'The client cannot be asked');
          signal.addEventListener('abort', giveUp, { once: true });
          return await answer.promise;
        } finally {
          clearTimeout(timer);
          signal.removeEventListener('abort', giveUp);
          waiting.delete(requestId);
        }
      },
      answer({ id: requestId, result, error }) {
        const answer = typeof requestId === 'string' ? waiting.get(requestId) : undefined;
        if (answer === undefined) return false;
        if (isObject(result)) answer.resolve(result);
        else
          answer.reject(
            isObject(error) && Number.isSafeInteger(error.code)
              ? new JsonRpcError(error as JsonObject & { code: number })
              : createRpcError(rpcCodes.internalError, 'The client gave no answer'),
          );
        return true;
      },
    };
  }

  function begin(id: string, client: ClientProfile): ClientSession {
    const session = create(id, client);
    sessions.set(id, session);
    return session;
  }

  function known(id: string): ClientSession | null {
    const session = sessions.get(id) ?? displaced.get(id)?.deref() ?? null;
    if (displaced.delete(id) && session !== null) sessions.set(id, session);
    return session;
  }

  function learn(id: string, { logLevel, watched, ended: isOver }: SessionState): void {
    if (isOver) {
      ended.set(id, true);
      displaced.delete(id);
      sessions.delete(id);
      return;
    }
    const session = known(id);
    if (session === null) return;
    session.logLevel = logLevel;
    session.watched.clear();
    for (const uri of watched) session.watched.add(uri);
  }

  return {
    begin,
    async open(id, client) {
      const open = known(id);
      if (open !== null) return open;
      if (ended.has(id)) return null;
      const kept = await store.find(id);
      if (kept?.ended) ended.set(id, true);
      if (ended.has(id)) return null;
      const session = known(id) ?? begin(id, client);
      if (kept !== null) learn(id, kept);
      return session;
    },
    find: known,
    keep: ({ id, logLevel, watched }) => store.put(id, { logLevel, watched: [...watched], ended: false }),
    learn,
    async end(id) {
      learn(id, { logLevel: null, watched: [], ended: true });
      await store.put(id, { logLevel: null, watched: [], ended: true });
    },
  };
}
