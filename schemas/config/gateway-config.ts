/** The part of the configuration that a gateway needs: no client secret and no endpoint of a provider. */
import type { LoginPolicy } from './auth-server.ts';
import type { Config } from './config.ts';
import { parseDurationMs } from './duration.ts';
import { type IncomingSettings, incomingSettings } from './incoming-settings.ts';
import {
  clientBlock,
  type PlacedProvider,
  type ProcessSettings,
  processSettings,
  providersOf,
  type TokenLifespans,
  tokenLifespans,
} from './process-settings.ts';
import { callbackUrl, mcpUrl } from './public-addresses.ts';
import { findReference, type SecretReference } from './secret-reference.ts';
import { placedStrategyOf } from './token-exchanges.ts';

export type BackendStrategy =
  | { readonly type: 'unauthenticated' }
  | {
      readonly type: 'header_injection';
      readonly headerName: string;
      readonly headerValue: string | SecretReference;
    }
  | {
      readonly type: 'upstream_inject' | 'token_exchange';
      /** Whose token is sent, or exchanged. */
      readonly providerName: string;
    }
  | {
      readonly type: 'aws_sts';
      readonly providerName: string;
      readonly region: string;
      readonly service: string;
    };

export interface GatewayItemOverride {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** Which tools, prompts or resources of a backend clients see, and how. */
export interface GatewayItems {
  readonly hidden: boolean;
  /** Names, URIs of resources, URI templates; null: all. */
  readonly filter: readonly string[] | null;
  /** By what the backend itself calls them; resources and templates by their URI. */
  readonly overrides: Readonly<Record<string, GatewayItemOverride>>;
}

export interface GatewayBackend {
  readonly name: string;
  readonly url: string;
  readonly transport: 'streamable-http' | 'sse';
  /** What its tools, resources and prompts have before their names. */
  readonly prefix: string;
  readonly tools: GatewayItems;
  readonly prompts: GatewayItems;
  readonly resources: GatewayItems;
  readonly timeoutMs: number;
  readonly strategy: BackendStrategy;
}

export interface GatewayUpstream {
  readonly name: string;
  /** For pages; the host tells what a name may hide. */
  readonly displayName: string;
  readonly host: string;
  readonly scopes: readonly string[];
  readonly loginPolicy: LoginPolicy;
  readonly isOpenIdProvider: boolean;
  /** Where the provider sends the browser back to. */
  readonly callbackUrl: string;
}

export interface ConfiguredClient {
  readonly clientId: string;
  readonly clientName: string;
  readonly redirectUris: readonly string[];
  /** Null: a public client. */
  readonly secret: SecretReference | null;
}

export interface GatewaySettings extends ProcessSettings {
  readonly name: string;
  /** What clients may call it: the name, if that needs no quoting in a command. */
  readonly clientEntry: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly mcpUrl: string;
  /** What protected-resource metadata and challenges name, and the `aud` of tokens of the embedded server. */
  readonly resource: string;
  readonly incoming: IncomingSettings;
  readonly allowedAudiences: readonly string[];
  readonly lifespans: TokenLifespans;
  /** Those that need not register. */
  readonly clients: readonly ConfiguredClient[];
  /** Whether clients that register themselves may have a secret. */
  readonly confidentialRegistration: boolean;
  /** Of applications to which a browser may return (RFC 8252 section 7.1). */
  readonly redirectSchemes: readonly string[];
  /** Of clients whose id is the address of their metadata; null: there are none. */
  readonly clientDocuments: { readonly maxDocuments: number; readonly fallbackSeconds: number } | null;
  /** In the order of the chain. */
  readonly upstreams: readonly GatewayUpstream[];
  readonly backends: readonly GatewayBackend[];
  readonly aggregation: {
    readonly conflictResolution: 'prefix' | 'priority' | 'manual';
    readonly priorityOrder: readonly string[];
  };
  readonly failures: {
    readonly healthCheckIntervalMs: number;
    readonly healthCheckTimeoutMs: number;
    readonly unhealthyThreshold: number;
    /** null: no backend is left alone because of failed requests. */
    readonly circuit: { readonly failureThreshold: number; readonly openMs: number } | null;
  };
  /** In lower case. */
  readonly passthroughHeaders: readonly string[];
  readonly connectTool: boolean;
  readonly minValidSeconds: number;
}

export function gatewayConfig(config: Config): GatewaySettings {
  const runConfig = config.authServer?.runConfig;
  const { oidc } = config.incomingAuth;
  const { publicUrl, listen } = config.gateway;
  const resource = oidc
    ? (oidc.resource ?? oidc.audience)
    : mcpUrl(publicUrl ?? `http://localhost:${listen.port}`);
  const backends = config.backends.map(({ name, url, transport }) => ({
    name,
    url,
    transport,
    prefix: config.aggregation.conflictResolutionConfig.prefixFormat.replaceAll('{workload}', name),
    tools: toolsOf(config, name),
    prompts: itemsOf(findEntry(config.aggregation.prompts, name)),
    resources: itemsOf(findEntry(config.aggregation.resources, name)),
    timeoutMs: timeoutMs(config, name),
    strategy: strategyOf(config, name),
  }));
  const clients = (runConfig?.clients ?? []).map((client, place) => ({
    clientId: client.client_id,
    clientName: client.client_name,
    redirectUris: client.redirect_uris,
    secret: findReference(
      `authServer.runConfig.clients[${place}]`,
      client,
      'client_secret_env_var',
      'client_secret_file',
    ),
  }));
  return {
    ...processSettings(config, [
      ...headerValues(backends),
      ...clients.flatMap(({ secret }) => (secret === null ? [] : [secret])),
    ]),
    name: config.name,
    clientEntry: /^[\w-]+$/.test(config.name) ? config.name : 'latchkey',
    listen: config.gateway.listen,
    mcpUrl: mcpUrl(runConfig?.issuer ?? resource),
    resource,
    incoming: incomingSettings(config),
    allowedAudiences: runConfig?.allowed_audiences ?? [],
    lifespans: tokenLifespans(config),
    clients,
    confidentialRegistration: runConfig?.allow_confidential_client_registration ?? false,
    redirectSchemes: runConfig?.redirect_uri_schemes ?? [],
    clientDocuments: runConfig?.cimd.enabled
      ? {
          maxDocuments: runConfig.cimd.cache_max_size,
          fallbackSeconds: parseDurationMs(runConfig.cimd.cache_fallback_ttl) / 1000,
        }
      : null,
    upstreams: runConfig
      ? providersOf(config).map((placed) => gatewayUpstream(placed, runConfig.issuer))
      : [],
    backends,
    aggregation: {
      conflictResolution: config.aggregation.conflictResolution,
      priorityOrder: config.aggregation.conflictResolutionConfig.priorityOrder,
    },
    failures: failuresOf(config),
    passthroughHeaders: config.passthroughHeaders.map((name) => name.toLowerCase()),
    connectTool: config.gateway.connectTool,
    minValidSeconds: config.vault.minValidSeconds,
  };
}

function toolsOf({ aggregation }: Config, backend: string): GatewayItems {
  const entry = findEntry(aggregation.tools, backend);
  const isShown =
    !aggregation.excludeAllTools && (entry !== null || aggregation.defaultToolVisibility === 'allow');
  const items = itemsOf(entry);
  return isShown ? items : { ...items, hidden: true };
}

type ItemsEntry = Config['aggregation']['tools' | 'prompts' | 'resources'][number];

function findEntry(entries: readonly ItemsEntry[], backend: string): ItemsEntry | null {
  return entries.find(({ workload }) => workload === backend) ?? null;
}

function itemsOf(entry: ItemsEntry | null): GatewayItems {
  if (entry === null) return { hidden: false, filter: null, overrides: {} };
  return { hidden: entry.excludeAll, filter: entry.filter ?? null, overrides: entry.overrides ?? {} };
}

function failuresOf({ operational: { failureHandling } }: Config): GatewaySettings['failures'] {
  const { circuitBreaker } = failureHandling;
  return {
    healthCheckIntervalMs: parseDurationMs(failureHandling.healthCheckInterval),
    healthCheckTimeoutMs: parseDurationMs(failureHandling.healthCheckTimeout),
    unhealthyThreshold: failureHandling.unhealthyThreshold,
    circuit: circuitBreaker.enabled
      ? {
          failureThreshold: circuitBreaker.failureThreshold,
          openMs: parseDurationMs(circuitBreaker.timeout),
        }
      : null,
  };
}

function timeoutMs(config: Config, backend: string): number {
  const { timeouts } = config.operational;
  return parseDurationMs(own(timeouts.perWorkload, backend) ?? timeouts.default);
}

function strategyOf(config: Config, backend: string): BackendStrategy {
  const { path, strategy } = placedStrategyOf(config, backend);
  switch (strategy.type) {
    case 'unauthenticated':
      return { type: 'unauthenticated' };
    case 'upstream_inject':
      return { type: 'upstream_inject', providerName: strategy.upstreamInject!.providerName };
    case 'token_exchange':
      return { type: 'token_exchange', providerName: strategy.tokenExchange!.subjectProviderName };
    case 'aws_sts': {
      const { subjectProviderName: providerName, region, service } = strategy.awsSts!;
      return { type: 'aws_sts', providerName, region, service };
    }
    case 'header_injection': {
      const block = strategy.headerInjection!;
      const reference = findReference(`${path}.headerInjection`, block, 'headerValueEnv', 'headerValueFile');
      return {
        type: 'header_injection',
        headerName: block.headerName,
        headerValue: reference ? { ...reference, form: 'header-value' } : block.headerValue!,
      };
    }
  }
}

/** A header of the default strategy is one secret, however many backends use it. */
function headerValues(backends: readonly GatewayBackend[]): SecretReference[] {
  const references = new Map<string, SecretReference>();
  for (const { strategy } of backends) {
    if (strategy.type !== 'header_injection' || typeof strategy.headerValue === 'string') continue;
    references.set(strategy.headerValue.path, strategy.headerValue);
  }
  return [...references.values()];
}

function gatewayUpstream({ name, upstream }: PlacedProvider, issuer: string): GatewayUpstream {
  const client = clientBlock(upstream);
  return {
    name,
    displayName: name
      .split('-')
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join(' '),
    host: new URL('issuer_url' in client ? client.issuer_url : client.authorization_endpoint).host,
    scopes: client.scopes,
    loginPolicy: upstream.login_policy,
    isOpenIdProvider: upstream.type === 'oidc',
    callbackUrl: client.redirect_uri ?? callbackUrl(issuer, name),
  };
}

function own<Value>(record: Readonly<Record<string, Value>> | undefined, key: string): Value | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}
