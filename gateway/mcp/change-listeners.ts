/**
 * Changes that backends tell of, to the clients that listen: a client's stream is fed by one stream to each backend,
 * opened as that person and opened again when it breaks. What a backend says has changed is forgotten before anybody is
 * told, so that whoever asks then gets the new list.
 */
import { type Backend, BackendRejectedError } from './backend.ts';
import {
  BackendAuthorizationError,
  type BackendCalls,
  type BackendLink,
  isWithoutToken,
} from './backend-call.ts';
import type { ListenFilter } from './backend-connection.ts';
import type { BackendHealth } from './backend-health.ts';
import type { Caller } from './caller.ts';
import type { CapabilityLists } from './capability-lists.ts';
import { isObject, type JsonObject, type NotificationMessage } from './json-rpc.ts';

export interface ClientListening {
  /** Whose connections are listened on. */
  readonly owner: string;
  /** What the client wants to hear of, now. */
  readonly filter: () => ListenFilter;
  /**
   * The caller as the vault knows them now, with what the backend needs.
   * @throws SessionRefusedError the client is not told anything any more
   */
  readonly renew: (backend: Backend) => Promise<Caller>;
  readonly deliver: (notification: NotificationMessage) => void;
  /** Questions of a backend that belong to no call; absent: they are refused. */
  readonly onRequest?: (method: string, params: JsonObject, withdrawn: AbortSignal) => Promise<JsonObject>;
  /** Of 2026-07-28: it hears what it asked for alone, also of backends that it has not used yet. */
  readonly isNewer: boolean;
  /** Which backend tells of a resource. */
  readonly isOf: (uri: string, backend: Backend, caller: Caller) => Promise<boolean>;
  readonly signal: AbortSignal;
  readonly end: () => void;
}

export interface ChangeListeners {
  /** Resolves when the backends are listened to, or soon. Ends with the signal. */
  open(listening: ClientListening): Promise<void>;
  /** This client uses this backend from now on. */
  used(owner: string, backend: Backend): void;
  /** As `used`; and its lists were asked for without a token, so the client is told when there is one. */
  lacks(owner: string, backend: Backend): void;
  /** What the client wants to hear of this backend has changed. */
  restart(owner: string, backend: Backend): void;
  /** Heard in the middle of a call. False: nobody listens. */
  heard(backend: Backend, owner: string, notification: NotificationMessage): boolean;
  /** Everyone who listens is told that the list may be another. */
  changed(backend: Backend, capability: string): void;
}

interface Feeding {
  readonly listening: ClientListening;
  /** By backend: ends the stream that is open, so that the next is opened. */
  readonly feeds: Map<string, AbortController>;
  /** Backends for which there was no token when they were asked last. */
  readonly lacking: Set<string>;
  /** Backends that reject what this person is sent with, and are left alone for a while. */
  readonly refused: Set<string>;
}

const capabilityOf: Readonly<Record<string, string>> = {
  'notifications/tools/list_changed': 'tools',
  'notifications/prompts/list_changed': 'prompts',
  'notifications/resources/list_changed': 'resources',
};
/** Clients are told that they listen after this at the latest. */
/** On how many streams one client listens. */
export const maxStreamsPerOwner = 32;
const readyLimitMs = 2_000;
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** A backend that offers no stream, or refuses it to this person with a renewed token as well. */
const refusedPauseMs = 5 * 60_000;

export function createChangeListeners(options: {
  backends: readonly Backend[];
  calls: BackendCalls;
  lists: CapabilityLists;
  health: BackendHealth;
}): ChangeListeners {
  const { backends, calls, lists, health } = options;
  const byOwner = new Map<string, Set<Feeding>>();

  function deliver({ listening }: Feeding, notification: NotificationMessage): void {
    if (!listening.signal.aborted && accepts(listening, notification)) listening.deliver(notification);
  }

  function hear(backend: Backend, feeding: Feeding, notification: NotificationMessage): void {
    const capability = capabilityOf[notification.method];
    if (capability !== undefined) lists.forget(backend, capability);
    deliver(feeding, notification);
  }

  /** What the backend has for this person now was not there before. */
  function tellAll(backend: Backend, feeding: Feeding): void {
    for (const method of Object.keys(capabilityOf)) hear(backend, feeding, { method });
  }

  async function listenOnce(
    backend: Backend,
    feeding: Feeding,
    signal: AbortSignal,
    onReady: () => void,
  ): Promise<'ended' | 'not-offered'> {
    const { listening } = feeding;
    const caller = await listening.renew(backend);
    const listen = async ({ connection, credentials, renew, request }: BackendLink) => {
      const wanted = listening.filter();
      const uris: string[] = [];
      for (const uri of wanted.resourceSubscriptions ?? [])
        if (await listening.isOf(uri, backend, caller)) uris.push(uri);
      const { resourceSubscriptions: _all, ...changes } = wanted;
      const isReady = () => {
        health.succeeded(backend);
        onReady();
        if (connection.protocol === 'newer') return;
        // Also for a session that has said so itself, for it may have been to another gateway.
        for (const uri of uris)
          request({
            method: 'resources/subscribe',
            params: { uri },
            signal,
            timeoutMs: backend.timeoutMs,
          }).catch(() => {});
      };
      let ready = false;
      try {
        const offered = await connection.listen(
          {
            filter: { ...changes, ...(uris.length === 0 ? {} : { resourceSubscriptions: uris }) },
            client: caller.client,
            signal,
            onReady: () => {
              ready = true;
              isReady();
            },
            onNotification: (notification) => hear(backend, feeding, notification),
            onRequest: listening.onRequest,
            renew,
          },
          credentials,
        );
        if (!offered) health.succeeded(backend);
        return offered ? 'ended' : 'not-offered';
      } catch (error) {
        // A stream that lived says nothing about the backend by its end.
        if (ready) return 'ended';
        throw error;
      }
    };
    return await calls.run(backend, caller, listen, { kind: 'stream' });
  }

  async function feed(backend: Backend, feeding: Feeding, onReady: () => void): Promise<void> {
    const { listening, feeds, lacking, refused } = feeding;
    let pauseMs = firstPauseMs;
    const tellIfLacking = () => {
      if (lacking.delete(backend.name)) tellAll(backend, feeding);
    };
    while (!listening.signal.aborted) {
      const abort = new AbortController();
      feeds.set(backend.name, abort);
      const signal = AbortSignal.any([listening.signal, abort.signal]);
      try {
        const end = await listenOnce(backend, feeding, signal, () => {
          pauseMs = firstPauseMs;
          onReady();
          tellIfLacking();
        });
        if (end === 'not-offered') {
          onReady();
          tellIfLacking();
          // Until the client wants something else.
          await pause(refusedPauseMs, signal);
          continue;
        }
      } catch (error) {
        onReady();
        if (isEnded(error)) return listening.end();
        if (isWithoutToken(error)) lacking.add(backend.name);
        if (isRejection(error)) {
          // Each try would have the token refreshed, for as long as the client listens.
          refused.add(backend.name);
          await pause(refusedPauseMs, signal);
          refused.delete(backend.name);
          continue;
        }
      }
      if (abort.signal.aborted) continue;
      await pause(pauseMs * (0.75 + Math.random() / 2), signal);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  function start(backend: Backend, feeding: Feeding): Promise<void> {
    if (feeding.feeds.has(backend.name)) return Promise.resolve();
    feeding.feeds.set(backend.name, new AbortController());
    return new Promise((resolve) => {
      feed(backend, feeding, resolve).then(resolve, resolve);
    });
  }

  function use(owner: string, backend: Backend, isLacking: boolean): void {
    for (const feeding of byOwner.get(owner) ?? []) {
      if (isLacking) {
        feeding.lacking.add(backend.name);
        // The token that was rejected is gone: its successor is waited for.
        if (feeding.refused.has(backend.name)) feeding.feeds.get(backend.name)?.abort();
      }
      start(backend, feeding).catch(() => {});
    }
  }

  return {
    async open(listening) {
      const feeding: Feeding = { listening, feeds: new Map(), lacking: new Set(), refused: new Set() };
      const { owner, signal } = listening;
      const all = byOwner.get(owner) ?? new Set();
      byOwner.set(owner, all.add(feeding));
      const remove = () => {
        all.delete(feeding);
        if (all.size === 0 && byOwner.get(owner) === all) byOwner.delete(owner);
      };
      if (signal.aborted) return remove();
      signal.addEventListener('abort', remove, { once: true });
      if (!listening.isNewer) return;
      const ready = Promise.all(backends.map((backend) => start(backend, feeding)));
      await Promise.race([ready, pause(readyLimitMs, signal)]);
    },
    used: (owner, backend) => use(owner, backend, false),
    lacks: (owner, backend) => use(owner, backend, true),
    restart(owner, backend) {
      for (const { feeds } of byOwner.get(owner) ?? []) feeds.get(backend.name)?.abort();
    },
    heard(backend, owner, notification) {
      const listening = byOwner.get(owner);
      const capability = capabilityOf[notification.method];
      if (capability !== undefined) lists.forget(backend, capability);
      for (const feeding of listening ?? []) deliver(feeding, notification);
      return listening !== undefined;
    },
    changed(_backend, capability) {
      const notification = { method: `notifications/${capability}/list_changed` };
      for (const feedings of byOwner.values()) for (const feeding of feedings) deliver(feeding, notification);
    },
  };
}

function accepts(listening: ClientListening, { method, params }: NotificationMessage): boolean {
  const filter = listening.filter();
  switch (method) {
    case 'notifications/tools/list_changed':
      return filter.toolsListChanged === true;
    case 'notifications/prompts/list_changed':
      return filter.promptsListChanged === true;
    case 'notifications/resources/list_changed':
      return filter.resourcesListChanged === true;
    case 'notifications/resources/updated':
      return isObject(params) && filter.resourceSubscriptions?.includes(String(params.uri)) === true;
    default:
      return !listening.isNewer;
  }
}

function isRejection(error: unknown): boolean {
  return error instanceof BackendAuthorizationError && error.cause instanceof BackendRejectedError;
}

function isEnded(error: unknown): boolean {
  return error instanceof Error && error.name === 'SessionRefusedError';
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    timer.unref();
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}
