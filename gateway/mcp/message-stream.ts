/**
 * The JSON-RPC messages of one HTTP response of a backend, one JSON document or a stream of server-sent events (MCP,
 * streamable HTTP), each as it comes. One message has a limit, a stream has none; what is no JSON-RPC is an error.
 */
import { createParser } from 'eventsource-parser';
import type { BackendResponse } from './backend-fetch.ts';
import { isObject, type JsonObject } from './json-rpc.ts';

export interface ReceivedMessage {
  /** null: an event that only names a place to go on from. */
  readonly message: JsonObject | null;
  readonly eventId: string | null;
  readonly retryMs: number | null;
}

/** The backend sends what is no answer: too much, no JSON, or nothing. */
export class BackendAnswerError extends Error {
  override readonly name = 'BackendAnswerError';
  readonly code: 'too-large' | 'not-json-rpc' | 'no-answer';

  constructor(code: BackendAnswerError['code'], options?: { cause?: unknown }) {
    super(`the answer of the backend is ${code}`, options);
    this.code = code;
  }
}

export async function* readMessages(
  response: BackendResponse,
  {
    maxMessageBytes,
    onEndpoint,
  }: {
    maxMessageBytes: number;
    /** Where messages are posted, which servers of 2024-11-05 say in an event of its own. */
    onEndpoint?: (place: string) => void;
  },
): AsyncGenerator<ReceivedMessage> {
  const type = response.header('content-type') ?? '';
  if (!/^text\/event-stream\b/i.test(type)) {
    const bytes = await response.bytes(maxMessageBytes);
    if (bytes === null) throw new BackendAnswerError('too-large');
    for (const message of parse(bytes.toString())) yield { message, eventId: null, retryMs: null };
    return;
  }
  const received: ReceivedMessage[] = [];
  let retryMs: number | null = null;
  let tooLarge = false;
  const parser = createParser({
    maxBufferSize: maxMessageBytes,
    onEvent({ id, event, data }) {
      if (event === 'endpoint') onEndpoint?.(data);
      if (event !== undefined && event !== 'message') return;
      const messages = data === '' ? [null] : parse(data);
      for (const message of messages) received.push({ message, eventId: id ?? null, retryMs });
    },
    onRetry: (interval) => {
      retryMs = interval;
    },
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') tooLarge = true;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of response.pieces()) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (tooLarge) throw new BackendAnswerError('too-large');
    yield* received.splice(0);
  }
}

/** Servers of 2025-03-26 may put several messages together. */
function parse(text: string): JsonObject[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BackendAnswerError('not-json-rpc', { cause: describe(cause) });
  }
  const messages = Array.isArray(value) ? value : [value];
  if (!messages.every(isObject)) throw new BackendAnswerError('not-json-rpc');
  return messages;
}

/** The parser's own words quote the text. */
function describe(cause: unknown): Error {
  return new Error(cause instanceof SyntaxError ? 'no JSON' : 'unreadable');
}
