/** A gateway on a free port beside a vault in memory, and MCP clients of both SDKs that speak with it. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { pino } from 'pino';
import { createGateway, type Gateway, type GatewayOptions } from '../../gateway/gateway.ts';
import { createInstance } from '../../gateway/instance.ts';
import type { SessionState, SessionStore } from '../../gateway/mcp/client-sessions.ts';
import type { Peers } from '../../gateway/mcp/peers.ts';
import type { BackendStrategy, GatewayItems, GatewaySettings } from '../../schemas/config/gateway-config.ts';
import type { GatewayFact } from '../../schemas/events/facts.ts';
import { realmOf } from '../../schemas/identity.ts';
import { createBootId, createInstanceId } from '../../schemas/ids.ts';
import { describeError } from '../../schemas/log.ts';
import type { InstanceDescription } from '../../schemas/messages/describe-instance.ts';
import { createFakeVault, type FakeVault } from './fake-vault.ts';
import { createTestSigner, issuer, mcpUrl, type TestSigner } from './signing.ts';

export interface TestGateway extends AsyncDisposable {
  readonly url: string;
  readonly vault: FakeVault;
  readonly signer: TestSigner;
  readonly facts: GatewayFact[];
  readonly description: InstanceDescription;
  /** Everything that was logged. */
  readonly logged: () => string;
  readonly gateway: Gateway;
  /** As the vault tells of it. */
  endSession(sessionId: string): void;
}

export interface TestGatewayOptions {
  readonly backends: readonly {
    name: string;
    url: string;
    strategy?: BackendStrategy;
    transport?: 'streamable-http' | 'sse';
    timeoutMs?: number;
    prefix?: string;
    tools?: GatewayItems;
    prompts?: GatewayItems;
    resources?: GatewayItems;
  }[];
  readonly settings?: Partial<GatewaySettings>;
  /** Absent: it is the only gateway. */
  readonly peers?: (bootId: string) => Peers;
  /** Given: shared with other gateways. */
  readonly sessionStore?: SessionStore;
  readonly signer?: TestSigner;
  readonly vault?: FakeVault;
  readonly sessionIdKeys?: readonly Buffer[];
  readonly publish?: GatewayOptions['publish'];
  readonly limits?: GatewayOptions['limits'];
  readonly anonymous?: boolean;
  readonly description?: Partial<InstanceDescription>;
}

export const allShown: GatewayItems = { hidden: false, filter: null, overrides: {} };

/** In memory, and shared by the gateways to which it is given. */
export function createSessionStore(): SessionStore {
  const kept = new Map<string, SessionState>();
  return {
    put: async (id, state) => void kept.set(id, state),
    find: async (id) => kept.get(id) ?? null,
  };
}

export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const signer = options.signer ?? (await createTestSigner());
  const vault = options.vault ?? createFakeVault();
  const facts: GatewayFact[] = [];
  const lines: string[] = [];
  const instanceId = createInstanceId();
  const bootId = createBootId();
  const description: InstanceDescription = {
    instanceId,
    issuer,
    realm: realmOf(instanceId),
    partitions: 64,
    signingKeys: [signer.publicKey],
    ...options.description,
  };
  let endSession: (sessionId: string) => void = () => {};
  const gateway = createGateway({
    settings: {
      name: 'latchkey',
      clientEntry: 'latchkey',
      issuer,
      mcpUrl,
      resource: mcpUrl,
      minValidSeconds: 30,
      aggregation: { conflictResolution: 'prefix', priorityOrder: [] },
      failures: {
        healthCheckIntervalMs: 600_000,
        healthCheckTimeoutMs: 2_000,
        unhealthyThreshold: 2,
        circuit: null,
      },
      passthroughHeaders: [],
      connectTool: true,
      ...options.settings,
      backends: options.backends.map((backend) => ({
        transport: 'streamable-http',
        prefix: `${backend.name}_`,
        tools: allShown,
        prompts: allShown,
        resources: allShown,
        timeoutMs: 5_000,
        strategy: { type: 'unauthenticated' },
        ...backend,
      })),
    },
    secrets: new Map(),
    authorizationServer: { handle: async () => false },
    vault,
    instance: createInstance({
      description,
      fetchDescription: async () => description,
      elapsed: () => performance.now(),
    }),
    fetchDescription: async () => description,
    pingNats: async () => {},
    publish:
      options.publish ??
      (async (_subject, body) => {
        facts.push(JSON.parse(Buffer.from(body).toString()));
      }),
    followEndedSessions: (onEnded) => {
      endSession = onEnded;
    },
    sessionIdKeys: options.sessionIdKeys ?? [Buffer.alloc(32, 7)],
    bootId,
    peers: options.peers?.(bootId) ?? { bootId, ask: async () => null, tell: () => {}, serve: () => {} },
    sessionStore: options.sessionStore ?? createSessionStore(),
    version: '0.0.0',
    log: pino(
      { level: 'debug', serializers: { error: describeError, err: describeError } },
      { write: (line: string) => lines.push(line) },
    ),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    anonymous: options.anonymous ?? false,
  });
  const port = await gateway.listen('127.0.0.1', 0);
  return {
    url: `http://localhost:${port}/mcp`,
    vault,
    signer,
    facts,
    description,
    logged: () => lines.join(''),
    gateway,
    endSession: (sessionId) => endSession(sessionId),
    [Symbol.asyncDispose]: () => gateway.close(200),
  };
}

export const clientKinds = ['sdk 1 (2025-11-25)', 'sdk 2 (2025-11-25)', 'sdk 2 (2026-07-28)'] as const;
export type ClientKind = (typeof clientKinds)[number];

export interface TestClient extends AsyncDisposable {
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(
    params: { name: string; arguments?: Record<string, unknown> },
    onprogress?: (progress: { progress: number; message?: string | undefined }) => void,
    signal?: AbortSignal,
  ): Promise<ToolResult>;
  readonly sessionId: string | undefined;
  readonly statuses: number[];
  /** From now on it sends this access token. */
  use(token: string): void;
}

export interface ToolResult {
  readonly content: { type: string; text: string }[];
  readonly isError?: boolean;
  readonly _meta?: Record<string, unknown>;
}

export async function connectClient(kind: ClientKind, url: string, token: string): Promise<TestClient> {
  let current = token;
  const statuses: number[] = [];
  const withToken = async (input: string | URL, init?: RequestInit): Promise<Response> => {
    const headers = new Headers(init?.headers);
    headers.set('authorization', `Bearer ${current}`);
    const response = await fetch(input, { ...init, headers });
    statuses.push(response.status);
    return response;
  };
  const common = {
    statuses,
    use: (next: string) => {
      current = next;
    },
  };
  const info = { name: 'test-client', version: '1' };
  if (kind === 'sdk 1 (2025-11-25)') {
    const client = new OlderClient(info);
    const transport = new OlderTransport(new URL(url), { fetch: withToken });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return {
      ...common,
      listTools: () => client.listTools(),
      callTool: async (params, onprogress, signal) =>
        (await client.callTool(params, undefined, {
          ...(onprogress && { onprogress }),
          ...(signal && { signal }),
        })) as ToolResult,
      get sessionId() {
        return transport.sessionId;
      },
      [Symbol.asyncDispose]: () => client.close(),
    };
  }
  const client = new Client(info, {
    versionNegotiation: { mode: kind === 'sdk 2 (2026-07-28)' ? { pin: '2026-07-28' } : 'legacy' },
  });
  const transport = new StreamableHTTPClientTransport(new URL(url), { fetch: withToken });
  await client.connect(transport);
  return {
    ...common,
    listTools: () => client.listTools(),
    callTool: async (params, onprogress, signal) =>
      (await client.callTool(params, {
        ...(onprogress && { onprogress }),
        ...(signal && { signal }),
      })) as ToolResult,
    get sessionId() {
      return transport.sessionId;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

export const textOf = ({ content }: ToolResult): string => content.map(({ text }) => text).join('\n');
