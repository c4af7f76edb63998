/**
 * The answer to one request of a client over HTTP: a stream of server-sent events that begins with the first message, or
 * one JSON document where nothing comes before the result (MCP, streamable HTTP). A long silence is filled, so
 * that nobody in between takes the connection for dead.
 */
import type { ServerResponse } from 'node:http';
import { beginJson, sendJson } from '../http/respond.ts';
import {
  createRpcError,
  type JsonObject,
  type JsonRpcError,
  type NotificationMessage,
  type RequestId,
  rpcCodes,
} from './json-rpc.ts';
import type { ResultSink } from './message-text.ts';

/** Where the messages for a client go before the result. */
export interface MessageSink {
  /** False: nobody reads any more. */
  send(message: JsonObject): boolean;
  /** Settles when whoever reads has made room for more; null: there is room. */
  room(): Promise<void> | null;
  /** The client has an id with which it can come back for what it has not read. */
  canBeResumed?(): boolean;
}

export interface ClientExchange extends MessageSink, Disposable {
  notify(notification: NotificationMessage): void;
  canBeResumed(): boolean;
  /**
   * The next message has this id (MCP 2025-11-25, resumability). `isAlone`: there is none yet, and a client that knows
   * of such events is told the id at once, and when to come back if the stream ends. False: the client is not told.
   */
  place(eventId: string, isAlone: boolean, retryMs: number | null): boolean;
  /**
   * The result goes out as it comes. Until it has ended nothing else does: any other end of the exchange breaks the
   * connection off, so that nobody takes a part for the whole. null: nobody reads any more.
   */
  openResult(): ResultSink | null;
  finish(result: JsonObject): void;
  fail(error: JsonRpcError): void;
  /** Nothing is answered: the client has said that it wants nothing. */
  end(): void;
}

export interface EventStream extends MessageSink, Disposable {
  /** Of the next message. */
  nextId(eventId: string): void;
  /** An event with an id and no message. */
  prime(eventId: string, retryMs: number | null): void;
  /** The last event begins, and what is written from now on is the data of it. */
  openEvent(): void;
}

const keepAliveMs = 15_000;
/** A client that does not read is not served: so much may wait for it, and so long. */
const maxUnreadBytes = 64 * 1024 * 1024;
const longestUnreadMs = 60_000;

export function openEventStream(
  res: ServerResponse,
  headers: Readonly<Record<string, string>> = {},
  maxUnreadMs = longestUnreadMs,
): EventStream {
  res.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...headers,
  });
  res.flushHeaders();
  const timer = setInterval(() => res.write(': keep-alive\n\n'), keepAliveMs);
  timer.unref();
  const stop = () => clearInterval(timer);
  res.once('close', stop);
  const room = createRoom(res, maxUnreadMs);
  let inEvent = false;
  let id = '';
  return {
    nextId(eventId) {
      id = `id: ${eventId}\n`;
    },
    prime(eventId, retryMs) {
      if (inEvent || res.destroyed || res.writableEnded) return;
      res.write(`id: ${eventId}\n${retryMs === null ? '' : `retry: ${retryMs}\n`}data: \n\n`);
    },
    send(message) {
      if (inEvent || res.destroyed || res.writableEnded) return false;
      res.write(`event: message\n${id}data: ${JSON.stringify(message)}\n\n`);
      id = '';
      if (res.writableLength > maxUnreadBytes) res.destroy();
      // The time of one who does not read runs, whether anybody waits for room or not.
      void room();
      return true;
    },
    room,
    openEvent() {
      inEvent = true;
      stop();
      res.write('event: message\ndata: ');
    },
    [Symbol.dispose]() {
      stop();
      if (!res.writableEnded) res.end();
    },
  };
}

function createRoom(res: ServerResponse, maxUnreadMs: number): () => Promise<void> | null {
  /** Asked for again meanwhile, by whoever writes on all the same. */
  let waiting: Promise<void> | null = null;
  return () => {
    if (waiting !== null || !res.writableNeedDrain || res.destroyed) return waiting;
    waiting = new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        res.off('drain', done).off('close', done);
        waiting = null;
        resolve();
      };
      const timer = setTimeout(() => res.destroy(), maxUnreadMs);
      res.once('drain', done).once('close', done);
    });
    return waiting;
  };
}

export function createClientExchange(options: {
  res: ServerResponse;
  id: RequestId;
  headers?: Readonly<Record<string, string>>;
  /**
   * The HTTP status of an answer that is an error; null: everything comes in a stream that begins at once, as from
   * servers before 2026-07-28.
   */
  statusOf: ((error: JsonRpcError) => number) | null;
  /** The client knows of events with an id and no message (2025-11-25). */
  knowsPriming?: boolean;
}): ClientExchange {
  const { res, id, headers = {}, statusOf, knowsPriming = false } = options;
  let hasId = false;
  let stream: EventStream | null = null;
  let passing: 'not' | 'begun' | 'ended' = 'not';
  const open = () => {
    stream ??= openEventStream(res, headers);
    return stream;
  };
  if (statusOf === null) open();
  const timer = setTimeout(() => {
    if (!res.headersSent && !res.destroyed) open();
  }, keepAliveMs);
  timer.unref();

  function answer(body: JsonObject, status: number): void {
    clearTimeout(timer);
    if (passing === 'begun') res.destroy();
    if (res.destroyed || passing === 'ended') return;
    if (stream === null && statusOf !== null) {
      sendJson(res, status, body, headers);
      return;
    }
    const events = open();
    events.send(body);
    events[Symbol.dispose]();
  }

  const fail = (error: JsonRpcError): void =>
    answer({ jsonrpc: '2.0', id, error: error.error }, statusOf?.(error) ?? 200);

  return {
    send: (message) => !res.destroyed && open().send(message),
    room: () => stream?.room() ?? null,
    canBeResumed: () => hasId,
    place(eventId, isAlone, retryMs) {
      if (res.destroyed || (isAlone && !knowsPriming)) return false;
      hasId = true;
      if (isAlone) open().prime(eventId, retryMs);
      else open().nextId(eventId);
      return true;
    },
    notify: (notification) => {
      if (!res.destroyed) open().send({ jsonrpc: '2.0', ...notification });
    },
    openResult() {
      if (res.destroyed || passing !== 'not') return null;
      passing = 'begun';
      clearTimeout(timer);
      const isEvent = stream !== null || statusOf === null;
      if (isEvent) open().openEvent();
      else beginJson(res, headers);
      res.write(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`);
      const room = createRoom(res, longestUnreadMs);
      return {
        write(text) {
          if (!res.destroyed) res.write(text);
          return room();
        },
        end() {
          passing = 'ended';
          res.end(isEvent ? '}\n\n' : '}');
        },
      };
    },
    finish(result) {
      try {
        answer({ jsonrpc: '2.0', id, result }, 200);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        // It could be read, and not be written again.
        fail(createRpcError(rpcCodes.internalError, 'The result is nested too deeply'));
      }
    },
    fail,
    end() {
      clearTimeout(timer);
      if (passing === 'begun') res.destroy();
      if (!res.destroyed) open()[Symbol.dispose]();
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      if (passing === 'begun') res.destroy();
      stream?.[Symbol.dispose]();
    },
  };
}
