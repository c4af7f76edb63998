/**
 * The stream beside the calls of one session at a backend (MCP 2025-11-25, streamable HTTP, listening for messages from
 * the server). Servers allow one, so all who listen share it; and many ask there what belongs to a call, so it can be
 * held open for calls alone.
 */
import type { Listening } from './backend-connection.ts';
import { BackendHttpError } from './backend-exchange.ts';
import type { BackendResponse, Credentials } from './backend-fetch.ts';
import type { JsonObject } from './json-rpc.ts';
import { readMessages } from './message-stream.ts';

export interface StandingStream {
  /**
   * Until the stream or the listening ends. Resolves with false if the backend offers none.
   * @throws what `open` throws, BackendHttpError
   */
  listen(listening: Listening, credentials: Credentials): Promise<boolean>;
  /** From now on it is open without listeners too. Resolves when it is, or soon: a backend need not offer it. */
  hold(credentials: Credentials): Promise<void>;
  close(): void;
}

interface Running {
  /** False: the backend offers none. */
  readonly opened: Promise<boolean>;
  readonly ended: Promise<void>;
  readonly abort: AbortController;
  /** Has been waited for once, by all who came meanwhile. */
  ready: Promise<void> | null;
}

/** A backend may say nothing, not even that it listens, before there is something to say. */
const openLimitMs = 1000;

export function createStandingStream(options: {
  open: (credentials: Credentials, signal: AbortSignal) => Promise<BackendResponse>;
  maxMessageBytes: number;
  hear: (message: JsonObject, listeners: readonly Listening[]) => void;
}): StandingStream {
  const { open, maxMessageBytes, hear } = options;
  const listeners = new Set<Listening>();
  let running: Running | null = null;
  let isOpen = false;
  let isHeld = false;
  let isOffered = true;

  function start(credentials: Credentials): Running {
    const abort = new AbortController();
    const opening = open(credentials, abort.signal).then((response) => {
      isOpen = response.ok && response.header('content-type')?.startsWith('text/event-stream') === true;
      if (isOpen) return response;
      response.cancel();
      if (response.status >= 500) throw new BackendHttpError(response.status);
      return null;
    });
    const read = async () => {
      const response = await opening;
      if (response === null) return;
      for await (const { message } of readMessages(response, { maxMessageBytes }))
        if (message !== null) hear(message, [...listeners]);
    };
    const opened = opening.then((response) => response !== null);
    const run: Running = { opened, ended: read(), abort, ready: null };
    const forget = () => {
      if (running !== run) return;
      running = null;
      isOpen = false;
    };
    run.ended.then(forget, forget);
    return run;
  }

  async function soon({ opened }: Running): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<true>();
    const timer = setTimeout(resolve, openLimitMs, true);
    // What is wrong with the connection is told to the call.
    isOffered = await Promise.race([opened.catch(() => true), late]);
    clearTimeout(timer);
  }

  return {
    async listen(listening, credentials) {
      listeners.add(listening);
      running ??= start(credentials);
      const run = running;
      const { promise: left, resolve: leave } = Promise.withResolvers<true>();
      const stop = () => leave(true);
      listening.signal.addEventListener('abort', stop, { once: true });
      if (listening.signal.aborted) stop();
      try {
        if (!(await Promise.race([run.opened, left]))) return false;
        if (!listening.signal.aborted) listening.onReady();
        await Promise.race([run.ended, left]);
        return true;
      } finally {
        listening.signal.removeEventListener('abort', stop);
        listeners.delete(listening);
        if (listeners.size === 0 && !isHeld) run.abort.abort();
      }
    },

    async hold(credentials) {
      isHeld = true;
      if (isOpen || !isOffered) return;
      running ??= start(credentials);
      running.ready ??= soon(running);
      await running.ready;
    },

    close() {
      running?.abort.abort();
    },
  };
}
