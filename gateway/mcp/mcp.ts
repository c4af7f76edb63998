/** The MCP side of the gateway, put together from its parts. */
import type { Log } from '../../schemas/log.ts';
import type { GatewayFacts } from '../facts.ts';
import type { Backend } from './backend.ts';
import { createBackendCalls } from './backend-call.ts';
import { createBackendConnector } from './backend-connection.ts';
import { createBackendSockets } from './backend-fetch.ts';
import { type BackendStatus, createBackendHealth, type HealthSettings } from './backend-health.ts';
import { createCapabilityLists, listKinds } from './capability-lists.ts';
import { createChangeListeners } from './change-listeners.ts';
import { createClientSessions, type SessionStore } from './client-sessions.ts';
import { createConnectionPool } from './connection-pool.ts';
import { createEventIds } from './event-ids.ts';
import { createHealthProbes, type ProbeSettings } from './health-probes.ts';
import { createHeldCalls } from './held-calls.ts';
import { createMcpEndpoint, type McpEndpoint, type McpEndpointOptions } from './mcp-endpoint.ts';
import { type Aggregation, createNames } from './names.ts';
import { createNewerClients } from './newer-clients.ts';
import { createOlderClients } from './older-clients.ts';
import type { Peers } from './peers.ts';
import { createRequestRelay } from './request-relay.ts';
import { createRequestStates } from './request-states.ts';
import { createRouter } from './router.ts';
import { createRunningRequests } from './running-requests.ts';
import { createSessionIds } from './session-ids.ts';
import { createSharedSessions } from './shared-sessions.ts';

export interface McpOptions
  extends Pick<
    McpEndpointOptions,
    | 'mcpUrl'
    | 'realm'
    | 'checkOrigin'
    | 'verifier'
    | 'admit'
    | 'identities'
    | 'passthroughHeaders'
    | 'now'
    | 'maxBodyBytes'
  > {
  readonly gateway: { readonly name: string; readonly version: string };
  readonly backends: readonly Backend[];
  readonly aggregation: Aggregation;
  readonly health: HealthSettings;
  readonly probes: ProbeSettings;
  /** A backend whose account is not connected shows a tool that says so. */
  readonly showConnectTool: boolean;
  /** 32 bytes each, newest first; the same for all gateways of the instance. */
  readonly sessionIdKeys: readonly Buffer[];
  readonly peers: Peers;
  readonly sessionStore: SessionStore;
  readonly facts: GatewayFacts;
  readonly log: Log;
  /** Whoever has not listed by then is not in the list. */
  readonly listLimitMs?: number;
  readonly maxMessageBytes?: number;
  readonly maxHoldUpMs?: number;
  readonly pageSize?: number;
}

export interface Mcp extends McpEndpoint {
  readonly backendStatuses: () => BackendStatus[];
  /** Asks all backends whether they are there, as happens by itself now and then. */
  readonly probeBackends: () => Promise<void>;
  /** What was begun for a sign-in that is over ends at the backends. */
  readonly endSignIn: (tsid: string) => void;
}

export function createMcp(options: McpOptions): Mcp {
  const { backends, gateway, facts, log, now, sessionIdKeys, peers } = options;
  const { bootId } = peers;
  const elapsed = () => performance.now();
  const names = createNames(backends, options.aggregation);
  const sockets = createBackendSockets();
  const connector = createBackendConnector({
    sockets,
    ...(options.maxMessageBytes === undefined ? {} : { maxMessageBytes: options.maxMessageBytes }),
    ...(options.maxHoldUpMs === undefined ? {} : { maxHoldUpMs: options.maxHoldUpMs }),
  });
  const pool = createConnectionPool({ connector });
  const health = createBackendHealth({ backends, settings: options.health, elapsed });
  const probes = createHealthProbes({
    backends,
    connector,
    health,
    gateway,
    settings: options.probes,
    onAnswer: (backend) => lists.answered(backend),
  });
  const calls = createBackendCalls({
    pool,
    health,
    facts,
    log,
    onUse: (owner, backend) => shared.used(owner, backend),
    onOtherAccount: (owner, backend) => listeners.restart(owner, backend),
  });
  const lists = createCapabilityLists({
    backends,
    calls,
    health,
    elapsed,
    log,
    connectTool: options.showConnectTool ? names.connectTool : null,
    // From now on whoever listens waits for the account to be connected, or for its token to come.
    onWithoutToken: (owner, backend) => listeners.lacks(owner, backend),
    ...(options.listLimitMs === undefined ? {} : { listLimitMs: options.listLimitMs }),
  });
  const listeners = createChangeListeners({ backends, calls, lists, health });
  lists.onLate((backend, method) => listeners.changed(backend, listKinds[method].capability));
  health.onRecovery((backend) => {
    for (const capability of ['tools', 'prompts', 'resources']) listeners.changed(backend, capability);
  });
  const held = createHeldCalls({ bootId });
  const eventIds = createEventIds({ keys: sessionIdKeys });
  const relay = createRequestRelay({
    calls,
    held,
    peers,
    states: createRequestStates({ keys: sessionIdKeys, now }),
    eventIds,
    onChange: (backend, owner, notification) => listeners.heard(backend, owner, notification),
    lists,
  });
  const router = createRouter({
    gateway,
    backends,
    names,
    lists,
    calls,
    relay,
    onSessionChange: (session) => shared.changed(session),
    onWatch: (owner, backend) => listeners.restart(owner, backend),
    log,
    ...(options.pageSize === undefined ? {} : { pageSize: options.pageSize }),
  });
  const sessions = createClientSessions({ bootId, store: options.sessionStore });
  const running = createRunningRequests();
  const shared = createSharedSessions({ backends, sessions, peers, running, listeners, pool, log });
  const endpoint = createMcpEndpoint({
    ...options,
    sessionIds: createSessionIds({ keys: sessionIdKeys, now }),
    eventIds,
    sessions,
    shared,
    running,
    pool,
    router,
    newerClients: createNewerClients({ gateway, router, listeners }),
    olderClients: createOlderClients({
      gateway,
      router,
      listeners,
      pool,
      onListen: (owner) => shared.listens(owner),
    }),
  });

  return {
    ...endpoint,
    backendStatuses: health.statuses,
    probeBackends: probes.probe,
    endSignIn(tsid) {
      held.endSignIn(tsid);
      pool.endSignIn(tsid);
    },
    async close() {
      probes[Symbol.dispose]();
      held.close();
      await endpoint.close();
      await sockets.close();
    },
  };
}
