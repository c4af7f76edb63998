/**
 * `requestState` of multi round-trip requests (2026-07-28) as clients get to see it: sealed, with the person, the
 * client and the target as additional data, so that what a backend gave to one comes back from the same one, for the
 * same request, and to the same backend alone. Any gateway of the instance opens it.
 */
import { createSecretKey } from 'node:crypto';
import { invalidState } from './held-calls.ts';
import { isObject } from './json-rpc.ts';
import { openSealed, sealText } from './sealed-text.ts';

export interface StateOwner {
  readonly iss: string;
  readonly sub: string;
  readonly clientId: string;
  readonly method: string;
  readonly name: string;
  readonly backend: string;
}

export type RequestState =
  /** The backend's own. */
  | { readonly of: 'backend'; readonly state: string }
  /** A call that this or another gateway holds. */
  | { readonly of: 'gateway'; readonly call: string; readonly bootId: string };

export interface RequestStates {
  seal(state: RequestState, owner: StateOwner): string;
  /** @throws JsonRpcError */
  open(sealed: unknown, owner: StateOwner): RequestState;
}

const lifetimeMs = 3_600_000;

export function createRequestStates(options: {
  /** 32 bytes each, newest first. */
  keys: readonly Buffer[];
  /** Milliseconds since the epoch. */
  now: () => number;
}): RequestStates {
  const keys = options.keys.map((key) => createSecretKey(key));
  const boundTo = (owner: StateOwner) =>
    JSON.stringify([
      'mcp request state',
      owner.iss,
      owner.sub,
      owner.clientId,
      owner.method,
      owner.name,
      owner.backend,
    ]);

  return {
    seal: (state, owner) =>
      sealText(JSON.stringify({ ...state, until: options.now() + lifetimeMs }), boundTo(owner), keys),
    open(sealed, owner) {
      const text = typeof sealed === 'string' ? openSealed(sealed, boundTo(owner), keys) : null;
      const opened: unknown = text === null ? null : JSON.parse(text);
      if (!isObject(opened) || options.now() >= (opened.until as number)) throw invalidState();
      return opened as unknown as RequestState;
    },
  };
}
