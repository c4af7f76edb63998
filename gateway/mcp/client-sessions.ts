/**
 * Sessions of clients of the older protocol, as far as this gateway has something to do for them: the streams on which
 * they listen, what they were asked and have not answered yet, the level of logging and the resources they watch.
 */
import { LRUCache } from 'lru-cache';
import type { MessageSink } from './client-exchange.ts';
import { createRpcError, isObject, type JsonObject, JsonRpcError, rpcCodes } from './json-rpc.ts';
import type { ClientProfile } from './protocol.ts';

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

export interface ClientSessions {
  of(id: string, client: ClientProfile): ClientSession;
  find(id: string): ClientSession | null;
  end(id: string): void;
}

export function createClientSessions(options: { bootId: string; maxSessions?: number }): ClientSessions {
  const { bootId, maxSessions = 50_000 } = options;
  const sessions = new LRUCache<string, ClientSession>({ max: maxSessions });
  let asked = 0;

  function open(id: string, client: ClientProfile): ClientSession {
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
        const giveUp = () => {
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

  return {
    of(id, client) {
      const known = sessions.get(id);
      if (known !== undefined) return known;
      const session = open(id, client);
      sessions.set(id, session);
      return session;
    },
    find: (id) => sessions.get(id) ?? null,
    end: (id) => {
      sessions.delete(id);
    },
  };
}
