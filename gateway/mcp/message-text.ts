/**
 * One message of a backend as its text comes. It is held until it is whole, but for a result that is too large for that:
 * of this the client has the beginning while the backend still sends the rest, and as fast as the client reads it.
 */
import { BackendAnswerError } from './backend.ts';
import type { RequestId } from './json-rpc.ts';
import { createResultText, type ResultRecipient, type ResultText } from './result-text.ts';

/** Takes a result as it comes: its text, without the message around it. */
export interface ResultSink {
  /** Settles when there is room for more; null: there is. */
  write(text: string): Promise<void> | null;
  /** That was all. Until then whoever reads takes the answer for one that has broken off. */
  end(): void;
}

/** The way of a large result to the one who waits for it. */
export interface ResultPassage extends ResultRecipient {
  /** null: nobody can take it now, so it is held like any other. */
  open(): ResultSink | null;
}

/** The way of the result that begins now. `id`: as far as its message has said it; null: it is held like any other. */
export type FindPassage = (id: RequestId | null) => ResultPassage | null;

export interface MessageText {
  /** Settles when more can be added; null: at once. @throws BackendAnswerError */
  add(text: string): Promise<void> | null;
  /** It is passed on, and what comes can only end it or break it off. */
  isPassing(): boolean;
  /** The text; null: it was passed on. @throws BackendAnswerError */
  end(): string | null;
}

/** What is shorter is quicker when it is looked at whole. */
export const heldLength = 64 * 1024;

export function createMessageText(options: {
  /** UTF-16 code units. */
  maxLength: number;
  /** null: it is held whatever it is. */
  findPassage: FindPassage | null;
}): MessageText {
  const { maxLength } = options;
  let { findPassage } = options;
  let passage: ResultPassage | null = null;
  let held: string[] = [];
  let length = 0;
  let result: ResultText | null = null;
  let begun = '';
  let sink: ResultSink | null = null;

  function hold(): null {
    findPassage = null;
    result = null;
    begun = '';
    return null;
  }

  function pass(text: string): Promise<void> | null {
    const more = result!.read(text);
    if (more === null) throw new BackendAnswerError('not-json-rpc');
    return more === '' ? null : sink!.write(more);
  }

  return {
    add(text) {
      length += text.length;
      if (length > maxLength) throw new BackendAnswerError('too-large');
      if (sink !== null) return pass(text);
      held.push(text);
      if (length <= heldLength || findPassage === null) return null;
      const unread = result === null ? held.join('') : text;
      const find = findPassage;
      result ??= createResultText((id) => {
        passage = find(id);
        return passage;
      });
      const more = result.read(unread);
      if (more === null) return hold();
      begun += more;
      if (!result.hasBegun()) return null;
      sink = passage!.open();
      if (sink === null) return hold();
      held = [];
      return sink.write(begun);
    },
    isPassing: () => sink !== null,
    end() {
      if (sink === null) return held.join('');
      if (!result!.isWhole()) throw new BackendAnswerError('not-json-rpc');
      sink.end();
      return null;
    },
  };
}
