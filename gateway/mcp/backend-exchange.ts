/**
 * One request to a backend and the messages that come until its result, whichever protocol the backend speaks. The
 * result is handed on when it is there, also where the backend leaves its stream open.
 */
import { BackendAnswerError, BackendRejectedError } from './backend.ts';
import type { BackendResponse, Credentials } from './backend-fetch.ts';
import { findResult, type JsonObject, type NotificationMessage, type RequestId } from './json-rpc.ts';
import { type ReceivedMessage, readMessages } from './message-stream.ts';
import type { FindPassage, ResultPassage } from './message-text.ts';
import type { WaitLimit } from './wait-limit.ts';

/** An HTTP status that says no, and no JSON-RPC with it. */
export class BackendHttpError extends Error {
  override readonly name = 'BackendHttpError';
  readonly code = 'backend-http-error';
  readonly status: number;

  constructor(status: number) {
    super(`the backend answers with HTTP status ${status}`);
    this.status = status;
  }
}

/**
 * The stream of the answer broke, and the backend does not give the rest. It has worked on the request, so that nothing
 * that is said of the rest (401, 404) means that the request may be sent again.
 */
export class BackendAnswerLostError extends Error {
  override readonly name = 'BackendAnswerLostError';
  readonly code = 'backend-answer-lost';

  constructor(options: { cause: unknown }) {
    super('the backend does not go on with its answer', options);
  }
}

/** A place in the answer of a backend from which it can be asked to go on. */
export interface BackendPlace {
  /** Of the request, as the backend was sent it. */
  readonly id: RequestId;
  readonly eventId: string;
  /** The headers of the session at the backend. */
  readonly session: Readonly<Record<string, string>>;
}

/** Who hears what the backend says before its result. */
export interface ExchangeEvents {
  /**
   * The message that is heard next has this place. `isAlone`: no message comes with it. True: whoever hears it can come
   * back for the rest, so that the backend is not to stop when nobody reads.
   */
  readonly onPlace?: ((place: BackendPlace, isAlone: boolean, retryMs: number | null) => boolean) | undefined;
  readonly onNotification?: ((notification: NotificationMessage) => void) | undefined;
  /** Settles when more can be heard: until then nothing more is read of the backend. null: at once. */
  readonly room?: (() => Promise<void> | null) | undefined;
  /** Where a large result goes while it comes; absent: it is held. */
  readonly largeResult?: Omit<ResultPassage, 'id'> | undefined;
  /** The older protocol's servers ask in the middle of a call, and may withdraw what they have asked. @throws JsonRpcError */
  readonly onRequest?:
    | ((method: string, params: JsonObject, withdrawn: AbortSignal) => Promise<JsonObject>)
    | undefined;
  /** With what an answer is sent again that the backend has rejected: a token may end while a person is asked. */
  readonly renew?: (() => Promise<Credentials>) | undefined;
}

export interface ReadOptions {
  readonly id: RequestId;
  readonly maxMessageBytes: number;
  readonly limit: WaitLimit;
  /** Everything that is not the result. */
  readonly onMessage: (message: JsonObject) => void;
  readonly onEventId?: (eventId: string, isAlone: boolean, retryMs: number | null) => void;
  readonly room: ExchangeEvents['room'];
  readonly largeResult: ExchangeEvents['largeResult'];
  /** Where a stream that ended too early goes on; absent: nowhere. */
  readonly resume?: (lastEventId: string) => Promise<BackendResponse>;
}

const defaultRetryMs = 1_000;
/** How long a stream is read on after its result, so that the connection can be used again. */
const restMs = 1_000;

/**
 * @returns the result; empty: it was passed on as it came
 * @throws JsonRpcError the backend's answer is an error
 * @throws BackendHttpError
 * @throws BackendAnswerError
 * @throws BackendAnswerLostError
 */
export async function readResult(first: BackendResponse, options: ReadOptions): Promise<JsonObject> {
  const { id, maxMessageBytes, limit, onMessage, room, resume } = options;
  const findPassage = passageOf(options);
  let response = first;
  let lastEventId: string | null = null;
  let retryMs = defaultRetryMs;
  for (;;) {
    const messages = readMessages(response, {
      maxMessageBytes,
      findPassage: response.ok ? findPassage : null,
    });
    try {
      for (;;) {
        const { value, done } = await messages.next();
        if (done) break;
        limit.renew();
        lastEventId = value.eventId ?? lastEventId;
        retryMs = value.retryMs ?? retryMs;
        if (value.passedOn) return {};
        if (value.eventId !== null) options.onEventId?.(value.eventId, value.message === null, value.retryMs);
        if (value.message === null) continue;
        const result = findResult(value.message, id, response.status);
        if (result !== null) return result;
        onMessage(value.message);
        const waiting = room?.() ?? null;
        // It is the client that is slow, which is no silence of the backend.
        if (waiting !== null) await limit.during(waiting);
      }
    } catch (error) {
      if (error instanceof BackendAnswerError && !response.ok) throw new BackendHttpError(response.status);
      throw error;
    } finally {
      readRest(messages, limit);
    }
    if (!response.ok) throw new BackendHttpError(response.status);
    if (lastEventId === null || resume === undefined) throw new BackendAnswerError('no-answer');
    await pause(retryMs, limit.signal);
    response = await openRest(resume(lastEventId));
  }
}

async function openRest(opening: Promise<BackendResponse>): Promise<BackendResponse> {
  const response = await opening.catch((error) => {
    throw error instanceof BackendRejectedError ? new BackendAnswerLostError({ cause: error }) : error;
  });
  if (response.ok) return response;
  response.cancel();
  throw new BackendAnswerLostError({ cause: new BackendHttpError(response.status) });
}

/** Each piece is a sign of life, and a client that is slow is no silence of the backend. */
function passageOf({ id, largeResult, limit }: ReadOptions): FindPassage | null {
  if (largeResult === undefined) return null;
  const passage: ResultPassage = {
    id,
    form: largeResult.form,
    open() {
      const sink = largeResult.open();
      return (
        sink && {
          write(text) {
            limit.renew();
            const waiting = sink.write(text);
            return waiting && limit.during(waiting);
          },
          end: sink.end,
        }
      );
    },
  };
  // Nothing else is answered here, so one that does not say its id before is taken for the one that is waited for.
  return (named) => (named === null || named === id ? passage : null);
}

function readRest(messages: AsyncGenerator<ReceivedMessage>, limit: WaitLimit): void {
  const timer = setTimeout(() => limit.abandon(), restMs);
  timer.unref();
  const read = async () => {
    for await (const _message of messages);
  };
  read()
    .catch(() => {})
    .finally(() => clearTimeout(timer));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
