/**
 * A connection to one backend for one caller, in whichever protocol version the backend speaks: 2026-07-28 is tried
 * first and the handshake of the older versions is the answer to a server that does not know it. What the backend sends
 * is passed on as it is: no schema is applied here.
 */
import { type Backend, BackendAnswerError } from './backend.ts';
import { BackendHttpError, type BackendPlace, type ExchangeEvents } from './backend-exchange.ts';
import {
  type BackendFetch,
  type BackendSockets,
  type Credentials,
  createBackendFetch,
} from './backend-fetch.ts';
import { isObject, type JsonObject, JsonRpcError, type NotificationMessage, rpcCodes } from './json-rpc.ts';
import { openNewerConnection } from './newer-backend.ts';
import { openOlderConnection } from './older-backend.ts';
import { type ClientProfile, newerVersion } from './protocol.ts';
import { openSseConnection } from './sse-backend.ts';

export interface BackendRequest extends ExchangeEvents {
  readonly method: string;
  readonly params: JsonObject;
  readonly client: ClientProfile;
  readonly signal: AbortSignal | null;
  /** How long the backend may be silent. */
  readonly timeoutMs: number;
  /** `Mcp-Param-*`, which 2026-07-28 mirrors from the arguments of a call. */
  readonly paramHeaders?: Readonly<Record<string, string>>;
}

/** What a client wants to hear of (2026-07-28, subscriptions/listen). */
export interface ListenFilter {
  readonly toolsListChanged?: boolean;
  readonly promptsListChanged?: boolean;
  readonly resourcesListChanged?: boolean;
  readonly resourceSubscriptions?: readonly string[];
}

export interface Listening extends ExchangeEvents {
  readonly filter: ListenFilter;
  readonly client: ClientProfile;
  readonly signal: AbortSignal;
  /** The backend tells changes from now on. */
  readonly onReady: () => void;
}

export interface BackendConnection {
  readonly protocol: 'newer' | 'older';
  /** As the backend announced them. */
  readonly capabilities: JsonObject;
  /** False: it lived on one stream, which has ended. */
  isOpen(): boolean;
  /**
   * @throws JsonRpcError the backend's own
   * @throws BackendSessionLostError, BackendTimeoutError, BackendHttpError, BackendAnswerError
   */
  request(request: BackendRequest, credentials: Credentials): Promise<JsonObject>;
  /**
   * The rest of an answer of which the beginning came here or elsewhere; absent: the protocol does not know of it.
   * @throws as `request`
   */
  resume?(
    place: BackendPlace,
    events: ExchangeEvents & Pick<BackendRequest, 'signal' | 'timeoutMs'>,
    credentials: Credentials,
  ): Promise<JsonObject>;
  /** Only servers of the older protocol are told anything. */
  notify(notification: NotificationMessage, credentials: Credentials): Promise<void>;
  /** Until the stream ends. Resolves with false if the backend offers none. */
  listen(listening: Listening, credentials: Credentials): Promise<boolean>;
  /** Ends the session at the backend, as far as it answers, and closes. */
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly backend: Backend;
  readonly client: ClientProfile;
  readonly credentials: Credentials;
  readonly send: BackendFetch;
  readonly maxMessageBytes: number;
  /** Milliseconds for which one call may hold up the others on a stream that they share. */
  readonly maxHoldUpMs: number;
}

export interface BackendConnector {
  open(backend: Backend, client: ClientProfile, credentials: Credentials): Promise<BackendConnection>;
}

export function createBackendConnector(options: {
  sockets: BackendSockets;
  maxMessageBytes?: number;
  maxHoldUpMs?: number;
}): BackendConnector {
  const { sockets, maxMessageBytes = 64 * 1024 * 1024, maxHoldUpMs = 5_000 } = options;
  /** Backends that answered the older handshake are not probed for the newer protocol each time. */
  const olderProtocol = new Set<string>();

  return {
    async open(backend, client, credentials) {
      const send = createBackendFetch(backend, sockets);
      const open: OpenOptions = { backend, client, credentials, send, maxMessageBytes, maxHoldUpMs };
      if (backend.transport === 'sse') return await openSseConnection(open);
      const assumedOlder = olderProtocol.has(backend.name);
      if (!assumedOlder) {
        try {
          return await openNewerConnection(open);
        } catch (error) {
          // A server that names the version and refuses it all the same is asked once more.
          if (supportsNewer(error)) return await openNewerConnection(open);
          if (!isHandshakeRefusal(error)) throw error;
        }
      }
      try {
        const connection = await openOlderConnection(open);
        olderProtocol.add(backend.name);
        return connection;
      } catch (error) {
        olderProtocol.delete(backend.name);
        // It may have learned the newer protocol meanwhile.
        if (assumedOlder && isHandshakeRefusal(error)) return await openNewerConnection(open);
        throw error;
      }
    },
  };
}

/** The error by which a server of 2026-07-28 tells what it speaks. */
function supportsNewer(error: unknown): boolean {
  if (!(error instanceof JsonRpcError) || error.error.code !== rpcCodes.unsupportedProtocolVersion)
    return false;
  const { data } = error.error;
  return isObject(data) && Array.isArray(data.supported) && data.supported.includes(newerVersion);
}

/** The server is there, and does not know what it was asked. */
function isHandshakeRefusal(error: unknown): boolean {
  if (error instanceof JsonRpcError) return true;
  if (error instanceof BackendHttpError) return error.status < 500;
  return error instanceof BackendAnswerError && error.code === 'no-answer';
}
