/**
 * Ids of the events in the answer to a call (MCP 2025-11-25, streamable HTTP, resumability and redelivery), where its
 * backend gives ids: each carries the place in the backend's stream, so any gateway can go on from there and none has to
 * keep anything. Sealed under a key that all gateways of the instance derive, with the client's session beside it, they
 * open in that session alone, and so for its person alone. They grant nothing: a request needs its own access token.
 */
import { createSecretKey } from 'node:crypto';
import type { BackendPlace } from './backend-exchange.ts';
import { isObject, type RequestId } from './json-rpc.ts';
import { openSealed, sealText } from './sealed-text.ts';

/** Where the answer to a request of a client goes on. */
export interface CallPlace extends BackendPlace {
  readonly backend: string;
  readonly method: string;
  /** Of the client's request. */
  readonly requestId: RequestId;
}

export interface EventIds {
  /** null: it would be too long for the header in which a client sends it back. */
  seal(place: CallPlace, sessionId: string): string | null;
  /** null: it was made for another session, or never was. */
  open(id: string, sessionId: string): CallPlace | null;
}

const prefix = 'mce_';
const maxLength = 4_096;

export function createEventIds(options: {
  /** 32 bytes each, newest first. */
  keys: readonly Buffer[];
}): EventIds {
  const keys = options.keys.map((key) => createSecretKey(key));

  return {
    seal(place, sessionId) {
      const id = prefix + sealText(JSON.stringify(place), boundTo(sessionId), keys);
      return id.length <= maxLength ? id : null;
    },
    open(id, sessionId) {
      if (!id.startsWith(prefix) || id.length > maxLength) return null;
      const text = openSealed(id.slice(prefix.length), boundTo(sessionId), keys);
      const place: unknown = text === null ? null : JSON.parse(text);
      return isObject(place) ? (place as unknown as CallPlace) : null;
    },
  };
}

function boundTo(sessionId: string): string {
  return JSON.stringify(['mcp event', sessionId]);
}
