/**
 * The result in the text of a JSON-RPC message, found while the text comes, in pieces that end anywhere (RFC 8259): what
 * goes on is the result of one request in the form of the client's protocol version, member by member as the backend
 * wrote it. Everything is checked on the way, so text that is no JSON, or no such message, is noticed where it stops to be.
 */
import { maxDepth } from './json-depth.ts';
import { isRequestId, type RequestId } from './json-rpc.ts';
import type { ResultForm } from './result-form.ts';

/** The one for whom a result is. */
export interface ResultRecipient {
  /** Of the request, as the backend was sent it. */
  readonly id: RequestId;
  readonly form: ResultForm;
}

export interface ResultText {
  /**
   * What of the result is known with this piece. null: the message is not the result of the request, or one that has to
   * be seen whole; nothing more can be read.
   */
  read(piece: string): string | null;
  /** The result has begun. */
  hasBegun(): boolean;
  /** The message is complete, and is the one. */
  isWhole(): boolean;
}

type Expected = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'comma-or-end' | 'nothing';
const firstOf = { key: '"', 'key-or-end': '"', colon: ':', 'comma-or-end': ',', nothing: null };
const mayEnd: readonly Expected[] = ['value-or-end', 'key-or-end', 'comma-or-end'];

/** A name or a number whose end is not there after so much is in no message that is meant well. */
const maxTokenLength = 1_024;
const whitespace = /[ \t\r\n]*/y;
const scalar = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const scalarRun = /[-+.\w]*/y;
const unicodeEscape = /\\u[\da-fA-F]{4}/y;
const longestEscape = 6;
/** Of a result that asks for input (2026-07-28, multi round-trip requests): it is for whoever puts the question on. */
const ofQuestions = ['inputRequests', 'requestState'];
const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;
const simpleEscapes = '"\\/bfnrt';

/**
 * `find`: for whom the result is that begins now, by the id of its message where that came before it (some servers write
 * it last: then null); null: it has to be seen whole.
 */
export function createResultText(find: (id: RequestId | null) => ResultRecipient | null): ResultText {
  /** Of what is open: whether it is an object. */
  const open: boolean[] = [];
  let expected: Expected = 'value';
  /** In a string of any length, which is let through as it comes. */
  let inString = false;
  let stringIsKey = false;
  /** The member of the message, and of its result, that is being read. */
  let member = '';
  let resultMember = '';
  let state: 'before' | 'in' | 'after' = 'before';
  let id: RequestId | null = null;
  let recipient: ResultRecipient | null = null;
  let isOfRequest = false;
  let form: ResultForm = { defaults: {}, omitsComplete: false };
  const seen = new Set<string>();
  let isEmpty = true;
  /** A token that goes on in the next piece. */
  let rest = '';
  let failed = false;

  let text = '';
  let at = 0;
  let out = '';
  /** Where what goes on begins; -1: what is read does not go on. */
  let from = -1;

  function fail(): void {
    failed = true;
  }

  /** What is missing of a token comes with the next piece. */
  function waitFrom(start: number): void {
    flush(start);
    if (text.length - start > maxTokenLength) fail();
    rest = text.slice(start);
    at = text.length;
  }

  function flush(end: number): void {
    if (from === -1) return;
    out += text.slice(from, end);
    from = end;
  }

  const isInResult = () => state === 'in' && open.length === 2;

  function endValue(): void {
    expected = open.length === 0 ? 'nothing' : 'comma-or-end';
    if (!isInResult()) return;
    flush(at);
    from = -1;
  }

  function addMember(key: string, value: string): void {
    out += `${isEmpty ? '' : ','}${JSON.stringify(key)}:${value}`;
    isEmpty = false;
  }

  /** A string that is wanted whole. null: it is not there yet, or is none. */
  function readString(): string | null {
    const start = at;
    at += 1;
    const ending = skipCharacters();
    if (ending === 'quote') return JSON.parse(text.slice(start, at));
    if (ending === 'none') fail();
    else waitFrom(start);
    return null;
  }

  /** Within a string, to behind its last quote, to an escape that is not all there, or to the end of the text. */
  function skipCharacters(): 'quote' | 'escape' | 'text' | 'none' {
    const { length } = text;
    let index = at;
    let ending: ReturnType<typeof skipCharacters> = 'text';
    while (index < length) {
      const code = text.charCodeAt(index);
      if (code === quote) {
        index += 1;
        ending = 'quote';
        break;
      }
      if (code < space) {
        ending = 'none';
        break;
      }
      if (code !== backslash) {
        index += 1;
      } else if (simpleEscapes.includes(text.charAt(index + 1)) && index + 1 < length) {
        index += 2;
      } else {
        unicodeEscape.lastIndex = index;
        if (!unicodeEscape.test(text)) {
          ending = length - index < longestEscape ? 'escape' : 'none';
          break;
        }
        index += longestEscape;
      }
    }
    at = index;
    return ending;
  }

  /** A number or a word. False: it is not there yet, or is none. */
  function skipScalar(): boolean {
    scalar.lastIndex = at;
    const end = scalar.test(text) ? scalar.lastIndex : at;
    scalarRun.lastIndex = end;
    scalarRun.test(text);
    if (scalarRun.lastIndex === text.length) {
      waitFrom(at);
      return false;
    }
    if (end === at || scalarRun.lastIndex !== end) {
      fail();
      return false;
    }
    at = end;
    return true;
  }

  /** To the end of the string, or of what has come of it. */
  function skipString(): void {
    const ending = skipCharacters();
    if (ending === 'none') fail();
    else if (ending === 'escape') waitFrom(at);
    if (ending !== 'quote') return;
    inString = false;
    if (stringIsKey) expected = 'colon';
    else endValue();
  }

  function readKey(): void {
    if (open.length > 1 && !isInResult()) {
      beginString(true);
      return;
    }
    const key = readString();
    if (key === null) return;
    expected = 'colon';
    if (open.length === 2) {
      resultMember = key;
      if (Object.hasOwn(form.defaults, key)) seen.add(key);
      if (ofQuestions.includes(key)) fail();
      return;
    }
    member = key;
    // A request, and a second result: neither can be.
    if (key === 'method' || (key === 'result' && state !== 'before')) fail();
  }

  function readValue(): void {
    const begins = text[at]!;
    const isNested = begins === '{' || begins === '[';
    if (open.length === 0 || (open.length === 1 && member === 'result')) {
      if (begins === '{') openResult();
      else fail();
    } else if (open.length === 1 && member === 'id') {
      if (isNested) fail();
      else readId(begins === '"');
    } else if (open.length === 1 && member === 'error' && isNested) {
      fail();
    } else if (isInResult()) {
      readResultValue(begins, isNested);
    } else if (isNested) {
      openOne(begins === '{');
    } else if (begins === '"') {
      beginString(false);
    } else if (skipScalar()) {
      endValue();
    }
  }

  function beginString(isKey: boolean): void {
    inString = true;
    stringIsKey = isKey;
    at += 1;
  }

  function openOne(isObjectLike: boolean): void {
    if (open.length === maxDepth) fail();
    open.push(isObjectLike);
    expected = isObjectLike ? 'key-or-end' : 'value-or-end';
    at += 1;
  }

  /** The message itself, or the result in it. */
  function openResult(): void {
    if (open.length === 1) {
      recipient = find(id);
      if (recipient === null) {
        fail();
        return;
      }
      form = recipient.form;
      isOfRequest = id !== null;
      state = 'in';
      out += '{';
    }
    openOne(true);
  }

  function closeOne(): void {
    const endsResult = isInResult();
    open.pop();
    at += 1;
    if (endsResult) {
      for (const [key, value] of Object.entries(form.defaults))
        if (!seen.has(key)) addMember(key, JSON.stringify(value));
      out += '}';
      state = 'after';
    }
    endValue();
  }

  function readId(isText: boolean): void {
    const start = at;
    if (isText ? readString() === null : !skipScalar()) return;
    const value: unknown = JSON.parse(text.slice(start, at));
    if (!isRequestId(value) || (recipient !== null && value !== recipient.id)) {
      fail();
      return;
    }
    id = value;
    isOfRequest = recipient !== null;
    endValue();
  }

  function readResultValue(begins: string, isNested: boolean): void {
    if (resultMember === 'resultType' && begins === '"') {
      readResultType();
    } else if (isNested || begins === '"') {
      addMember(resultMember, '');
      from = at;
      if (isNested) openOne(begins === '{');
      else beginString(false);
    } else {
      const start = at;
      if (!skipScalar()) return;
      addMember(resultMember, text.slice(start, at));
      endValue();
    }
  }

  function readResultType(): void {
    const value = readString();
    if (value === null) return;
    if (value === 'input_required') fail();
    if (!(form.omitsComplete && value === 'complete')) addMember(resultMember, JSON.stringify(value));
    endValue();
  }

  function readToken(): void {
    const character = text[at]!;
    const isInObject = open.at(-1) === true;
    if (character === (isInObject ? '}' : ']') && mayEnd.includes(expected)) closeOne();
    else if (expected === 'value' || expected === 'value-or-end') readValue();
    else if (character !== firstOf[expected]) fail();
    else if (expected === 'key' || expected === 'key-or-end') readKey();
    else {
      expected = expected === 'comma-or-end' && isInObject ? 'key' : 'value';
      at += 1;
    }
  }

  /** Of no meaning between tokens, and line ends would be in the way where the message goes on as an event. */
  function skipWhitespace(): void {
    if (text.charCodeAt(at) > space) return;
    whitespace.lastIndex = at;
    whitespace.test(text);
    flush(at);
    at = whitespace.lastIndex;
    if (from !== -1) from = at;
  }

  return {
    read(piece) {
      text = rest + piece;
      rest = '';
      at = 0;
      out = '';
      if (from !== -1) from = 0;
      while (at < text.length && !failed) {
        if (inString) {
          skipString();
          continue;
        }
        skipWhitespace();
        if (at < text.length) readToken();
      }
      if (failed) return null;
      if (rest === '') flush(text.length);
      text = '';
      return out;
    },
    hasBegun: () => state !== 'before',
    isWhole: () => expected === 'nothing' && rest === '' && state === 'after' && isOfRequest,
  };
}
