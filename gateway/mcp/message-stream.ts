/**
 * The JSON-RPC messages of one HTTP response of a backend, one JSON document or a stream of server-sent events (MCP,
 * streamable HTTP), each as it comes. One message has a limit, a stream has none; what is no JSON-RPC is an error.
 */
import { BackendAnswerError } from './backend.ts';
import type { BackendResponse } from './backend-fetch.ts';
import { createEventReader } from './event-stream.ts';
import { isObject, type JsonObject } from './json-rpc.ts';
import { createMessageText, type FindPassage, heldLength, type MessageText } from './message-text.ts';

export interface ReceivedMessage {
  /** null: an event that only names a place to go on from. */
  readonly message: JsonObject | null;
  /** It was the result that is waited for, and it has gone on. */
  readonly passedOn: boolean;
  readonly eventId: string | null;
  readonly retryMs: number | null;
}

export interface MessageOptions {
  readonly maxMessageBytes: number;
  /** Takes the result of a request as it comes, where it is large. */
  readonly findPassage?: FindPassage | null;
  /** Where messages are posted, which servers of 2024-11-05 say in an event of its own. */
  readonly onEndpoint?: (place: string) => void;
}

export function readMessages(
  response: BackendResponse,
  options: MessageOptions,
): AsyncGenerator<ReceivedMessage> {
  const isStream = /^text\/event-stream\b/i.test(response.header('content-type') ?? '');
  return isStream ? readEvents(response, options) : readDocument(response, options);
}

async function* readDocument(
  response: BackendResponse,
  { maxMessageBytes, findPassage = null }: MessageOptions,
): AsyncGenerator<ReceivedMessage> {
  const { bytes, isWhole } = await response.start(Math.min(heldLength, maxMessageBytes));
  if (isWhole) {
    for (const message of parse(bytes.toString())) yield received(message);
    return;
  }
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const text = createMessageText({ maxLength: maxMessageBytes, findPassage });
  await text.add(decoder.decode(bytes, { stream: true }));
  for await (const piece of response.pieces()) {
    const waiting = text.add(decoder.decode(piece, { stream: true }));
    if (waiting !== null) await waiting;
  }
  await text.add(decoder.decode());
  const whole = text.end();
  if (whole === null) yield passedOn;
  else for (const message of parse(whole)) yield received(message);
}

async function* readEvents(
  response: BackendResponse,
  { maxMessageBytes, findPassage = null, onEndpoint }: MessageOptions,
): AsyncGenerator<ReceivedMessage> {
  const reader = createEventReader();
  const decoder = new TextDecoder();
  let text: MessageText | null = null;
  let retryMs: number | null = null;
  for await (const chunk of response.pieces()) {
    const parts = reader.read(decoder.decode(chunk, { stream: true }));
    if (parts === null) throw new BackendAnswerError('too-large');
    for (const part of parts) {
      if (part.kind === 'retry') retryMs = part.afterMs;
      else if (part.kind === 'data') {
        const isMessage = part.type === messageType;
        text ??= createMessageText({
          maxLength: maxMessageBytes,
          findPassage: isMessage ? findPassage : null,
        });
        const waiting = text.add(part.text);
        if (waiting !== null) await waiting;
      } else {
        if (part.type !== messageType && text?.isPassing()) throw new BackendAnswerError('not-json-rpc');
        const data = text === null ? '' : text.end();
        text = null;
        if (part.type === 'endpoint') onEndpoint?.(data ?? '');
        if (part.type !== messageType) continue;
        const of = { eventId: part.id, retryMs };
        if (data === null) yield { ...passedOn, ...of };
        else for (const message of data === '' ? [null] : parse(data)) yield { ...received(message), ...of };
      }
    }
  }
  if (text?.isPassing()) throw new BackendAnswerError('not-json-rpc');
}

const messageType = 'message';
const received = (message: JsonObject | null): ReceivedMessage => ({
  message,
  passedOn: false,
  eventId: null,
  retryMs: null,
});
const passedOn: ReceivedMessage = { ...received(null), passedOn: true };

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
