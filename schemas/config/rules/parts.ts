/** The parts of a draft that several rules walk over, each with its path. */
import { findUrl } from '../address.ts';
import type { Upstream } from '../auth-server.ts';
import { loneUpstreamName } from '../auth-server.ts';
import type { Draft, DraftConfig } from '../config.ts';
import type { Strategy } from '../outgoing-auth.ts';
import { formatPath } from '../problem.ts';

export interface PlacedUpstream {
  readonly index: number;
  readonly path: string;
  /** null if several providers are configured and this one has no name. */
  readonly name: string | null;
  readonly upstream: Draft<Upstream>;
}

/** What `aggregation` has a list of backends for. */
export const aggregatedKinds = ['tools', 'prompts', 'resources'] as const;

export const runConfigPath = 'authServer.runConfig';

/** The upstreams of the authorization server, or else the providers at which accounts are linked. */
export function upstreamsOf(config: DraftConfig): PlacedUpstream[] {
  const { base, upstreams } = listOf(config);
  return upstreams.flatMap((upstream, index) => {
    if (upstream === undefined) return [];
    const name = upstream.name ?? (upstreams.length === 1 ? loneUpstreamName : null);
    return [{ index, path: `${base}[${index}]`, name, upstream }];
  });
}

function listOf({ authServer, linking }: DraftConfig): {
  base: string;
  upstreams: readonly (Draft<Upstream> | undefined)[];
} {
  return authServer === undefined
    ? { base: 'linking.providers', upstreams: linking?.providers ?? [] }
    : { base: `${runConfigPath}.upstreams`, upstreams: authServer.runConfig?.upstreams ?? [] };
}

/** The origin under which Latchkey is reached; null if the configuration does not say. */
export function publicOriginOf({ authServer, incomingAuth }: DraftConfig): string | null {
  const { audience, resource = audience } = incomingAuth?.oidc ?? {};
  return findUrl(authServer === undefined ? resource : authServer.runConfig?.issuer)?.origin ?? null;
}

/** Every address of the provider that is one. */
export function endpointsOf({ path, upstream }: PlacedUpstream): { path: string; url: URL }[] {
  const { oidc_config: oidc, oauth2_config: oauth2 } = upstream;
  const endpoints = {
    'oidc_config.issuer_url': oidc?.issuer_url,
    'oidc_config.userinfo_override.endpoint_url': oidc?.userinfo_override?.endpoint_url,
    'oauth2_config.authorization_endpoint': oauth2?.authorization_endpoint,
    'oauth2_config.token_endpoint': oauth2?.token_endpoint,
    'oauth2_config.revocation_endpoint': oauth2?.revocation_endpoint,
    'oauth2_config.userinfo.endpoint_url': oauth2?.userinfo?.endpoint_url,
    'oauth2_config.dcr_config.discovery_url': oauth2?.dcr_config?.discovery_url,
    'oauth2_config.dcr_config.registration_endpoint': oauth2?.dcr_config?.registration_endpoint,
  };
  return Object.entries(endpoints).flatMap(([key, text]) => {
    const url = findUrl(text);
    return url === null ? [] : [{ path: `${path}.${key}`, url }];
  });
}

/** null if a provider's name cannot be known, so that no reference can be called wrong. */
export function findProviderNames(config: DraftConfig): string[] | null {
  const names = upstreamsOf(config).map(({ name }) => name);
  const complete = names.length === listOf(config).upstreams.length && !names.includes(null);
  return complete && names.length > 0 ? (names as string[]) : null;
}

export interface PlacedStrategy {
  readonly path: string;
  /** null for the default. */
  readonly backend: string | null;
  readonly strategy: Draft<Strategy>;
}

export function strategiesOf(config: DraftConfig): PlacedStrategy[] {
  const strategies: PlacedStrategy[] = [];
  const standard = config.outgoingAuth?.default;
  if (standard !== undefined)
    strategies.push({ path: 'outgoingAuth.default', backend: null, strategy: standard });
  for (const [backend, strategy] of Object.entries(config.outgoingAuth?.backends ?? {})) {
    if (strategy === undefined) continue;
    strategies.push({ path: formatPath(['outgoingAuth', 'backends', backend]), backend, strategy });
  }
  return strategies;
}

/** The backend's own strategy, else the default. */
export function strategyFor(config: DraftConfig, backend: string): Draft<Strategy> | undefined {
  const own = config.outgoingAuth?.backends;
  return own !== undefined && Object.hasOwn(own, backend) ? own[backend] : config.outgoingAuth?.default;
}

/** Where a strategy names the provider whose token is the subject, also one that is refused by name. */
export function findSubjectProvider(strategy: Draft<Strategy>): { key: string; name: unknown } | null {
  const blocks = strategy as Record<string, unknown>;
  for (const block of ['tokenExchange', 'awsSts', 'xaa']) {
    const content = blocks[block];
    if (typeof content !== 'object' || content === null) continue;
    const name = (content as { subjectProviderName?: unknown }).subjectProviderName;
    if (name !== undefined && name !== '') return { key: `${block}.subjectProviderName`, name };
  }
  return null;
}
