/**
 * The HTTP side, put together from its parts: what comes from outside the process (vault, NATS, keys, clock, log) is
 * given, so that the same gateway runs beside a real vault and in a test.
 */
import type { GatewayBackend, GatewayItems, GatewaySettings } from '../schemas/config/gateway-config.ts';
import type { Log } from '../schemas/log.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import { Secret } from '../schemas/secret.ts';
import { type AcknowledgedPublish, createGatewayFacts } from './facts.ts';
import { createHealth } from './health.ts';
import { createOriginCheck } from './http/request-origin.ts';
import { type AccessTokenVerifier, createAccessTokenVerifier } from './identity/access-token.ts';
import { anonymousVerifier, createAnonymousIdentities } from './identity/anonymous.ts';
import { createExternalAccessTokenVerifier, type ExternalIssuer } from './identity/external-access-token.ts';
import { createIdentities, VaultUnavailableError } from './identity/identity.ts';
import { createSessionGuard } from './identity/session-guard.ts';
import type { Instance } from './instance.ts';
import type { Backend, ItemRules } from './mcp/backend.ts';
import type { SessionStore } from './mcp/client-sessions.ts';
import { createMcp } from './mcp/mcp.ts';
import type { Peers } from './mcp/peers.ts';
import { createHomePage } from './pages/home-page.ts';
import { createProviderHealth } from './provider-health.ts';
import { createGatewayServer, type RequestHandler } from './server.ts';
import { createAwsSts } from './strategies/aws-sts.ts';
import { createHeaderInjection } from './strategies/header-injection.ts';
import type { OutgoingStrategy } from './strategies/outgoing-strategy.ts';
import { createTokenExchange } from './strategies/token-exchange.ts';
import { createUnauthenticated } from './strategies/unauthenticated.ts';
import { createUpstreamInject } from './strategies/upstream-inject.ts';
import type { VaultClient } from './vault-client.ts';

export interface GatewayOptions {
  readonly settings: Pick<
    GatewaySettings,
    | 'name'
    | 'clientEntry'
    | 'issuer'
    | 'mcpUrl'
    | 'resource'
    | 'backends'
    | 'minValidSeconds'
    | 'aggregation'
    | 'failures'
    | 'passthroughHeaders'
    | 'connectTool'
  >;
  /** By the path of their reference in the configuration. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly authorizationServer: RequestHandler;
  readonly vault: Pick<VaultClient, 'findUpstreamTokens' | 'findProviderStatuses'>;
  /** Who issues the tokens in place of the embedded authorization server. */
  readonly external?: ExternalIssuer;
  /** Callers are not asked who they are. */
  readonly anonymous?: boolean;
  readonly instance: Instance;
  readonly fetchDescription: () => Promise<InstanceDescription>;
  readonly pingNats: () => Promise<unknown>;
  readonly publish: AcknowledgedPublish;
  /** Has every session that the vault ends told from now on. */
  readonly followEndedSessions: (onEnded: (sessionId: string) => void) => void;
  /** 32 bytes each, newest first; the same for all gateways of the instance. */
  readonly sessionIdKeys: readonly Buffer[];
  readonly bootId: string;
  /** The other gateways. */
  readonly peers: Peers;
  /** Where sessions of the older protocol are kept. */
  readonly sessionStore: SessionStore;
  readonly version: string;
  readonly log: Log;
  readonly now?: () => number;
  readonly limits?: {
    /** One look-up at the vault, refreshes included. */
    readonly lookUpMs?: number;
    /** Whoever has not listed its tools by then is not in the list. */
    readonly listMs?: number;
    readonly bodyBytes?: number;
    /** One message of a backend. */
    readonly messageBytes?: number;
    /** One call may hold up the others on a stream that they share. */
    readonly holdUpMs?: number;
  };
}

export interface Gateway {
  /** Asks all backends whether they are there, as happens by itself now and then. */
  probeBackends(): Promise<void>;
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>;
  /** Takes no new request, lets what runs come to its end within the limit, closes what is open. */
  close(limitMs: number): Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { settings, instance, external, log, now = Date.now, limits = {} } = options;
  const { instanceId, realm } = instance.description;
  const facts = createGatewayFacts({ publish: options.publish, bootId: options.bootId, now, log });
  const gateway = { name: settings.name, version: options.version };
  const backends = settings.backends.map((backend) => toBackend(backend, options.secrets));
  const providers = createProviderHealth({
    findStatuses: options.vault.findProviderStatuses,
    elapsed: () => performance.now(),
    log,
  });
  const guard = createSessionGuard();
  const mcp = createMcp({
    mcpUrl: settings.resource,
    realm,
    gateway,
    backends,
    checkOrigin: createOriginCheck(settings.mcpUrl),
    verifier: createVerifier(options, now),
    admit: guard.admit,
    identities: options.anonymous
      ? createAnonymousIdentities(realm)
      : createIdentities({
          vault: options.vault,
          realm,
          minValidSeconds: settings.minValidSeconds,
          ...(limits.lookUpMs === undefined ? {} : { limitMs: limits.lookUpMs }),
        }),
    passthroughHeaders: settings.passthroughHeaders,
    aggregation: settings.aggregation,
    health: settings.failures,
    probes: {
      intervalMs: settings.failures.healthCheckIntervalMs,
      timeoutMs: settings.failures.healthCheckTimeoutMs,
    },
    showConnectTool: settings.connectTool,
    sessionIdKeys: options.sessionIdKeys,
    peers: options.peers,
    sessionStore: options.sessionStore,
    facts,
    now,
    log,
    ...(limits.listMs === undefined ? {} : { listLimitMs: limits.listMs }),
    ...(limits.messageBytes === undefined ? {} : { maxMessageBytes: limits.messageBytes }),
    ...(limits.holdUpMs === undefined ? {} : { maxHoldUpMs: limits.holdUpMs }),
    ...(limits.bodyBytes === undefined ? {} : { maxBodyBytes: limits.bodyBytes }),
  });
  options.followEndedSessions((sessionId) => {
    guard.end(sessionId);
    mcp.endSignIn(sessionId);
  });
  const server = createGatewayServer({
    authorizationServer: options.authorizationServer,
    mcp,
    mcpPath: new URL(settings.mcpUrl).pathname,
    https: new URL(settings.mcpUrl).protocol === 'https:',
    health: createHealth({
      pingNats: options.pingNats,
      fetchDescription: options.fetchDescription,
      instanceId,
      issuer: settings.issuer,
      ...(external && { areKeysKnown: () => external.keys.current() !== null }),
      // Nobody shows a token that would have to be verified.
      ...(options.anonymous && { areKeysKnown: () => true }),
    }),
    status: async () => ({ providers: await providers(), backends: mcp.backendStatuses() }),
    homePage: (readiness) => createHomePage({ ...settings, signsIn: !options.anonymous, readiness }),
    log,
  });

  return {
    probeBackends: mcp.probeBackends,
    listen: (host, port) => server.listen(host, port),
    async close(limitMs) {
      mcp.endStreams();
      await server.close(limitMs);
      await mcp.close();
      await facts.close();
    },
  };
}

function createVerifier(
  { settings, instance, external, anonymous = false }: GatewayOptions,
  now: () => number,
): AccessTokenVerifier {
  if (anonymous) return anonymousVerifier;
  if (external) return createExternalAccessTokenVerifier({ ...external, now });
  return createAccessTokenVerifier({
    issuer: settings.issuer,
    audience: settings.resource,
    signingKeys: () => instance.description.signingKeys,
    refreshKeys: () =>
      instance.refresh().catch((cause) => {
        throw new VaultUnavailableError({ cause });
      }),
    now,
  });
}

function toBackend(backend: GatewayBackend, secrets: ReadonlyMap<string, Secret>): Backend {
  const { name, url, transport, prefix, tools, prompts, resources, timeoutMs } = backend;
  return {
    name,
    url: new URL(url),
    transport,
    prefix,
    tools: toItemRules(tools),
    prompts: toItemRules(prompts),
    resources: toItemRules(resources),
    timeoutMs,
    strategy: toStrategy(backend, secrets),
  };
}

function toItemRules({ hidden, filter, overrides }: GatewayItems): ItemRules {
  return {
    hidden,
    filter: filter === null ? null : new Set(filter),
    overrides: new Map(Object.entries(overrides)),
  };
}

function toStrategy(
  { name, strategy }: GatewayBackend,
  secrets: ReadonlyMap<string, Secret>,
): OutgoingStrategy {
  switch (strategy.type) {
    case 'unauthenticated':
      return createUnauthenticated();
    case 'upstream_inject':
      return createUpstreamInject(strategy);
    case 'aws_sts':
      return createAwsSts({ backend: name, ...strategy });
    case 'token_exchange':
      return createTokenExchange({ backend: name, providerName: strategy.providerName });
    case 'header_injection': {
      const { headerName, headerValue } = strategy;
      const value = typeof headerValue === 'string' ? new Secret(headerValue) : secrets.get(headerValue.path);
      if (value === undefined) throw new TypeError(`the header value of the backend ${name} was not read`);
      return createHeaderInjection({ headerName, value });
    }
    default:
      return strategy satisfies never;
  }
}
