/**
 * What ToolHive's configuration has and Latchkey does not accept, refused by name: silence would let an
 * operator believe that it works. A location is written as by `locationOf`.
 */

export interface Refusal {
  readonly message: string;
  readonly fix: string;
}

const absent = (name: string, fix = 'remove it'): Refusal => ({
  message: `\`${name}\` is a ToolHive feature that Latchkey does not have`,
  fix,
});
const notYet = (name: string, fix = 'remove it'): Refusal => ({
  message: `\`${name}\` is not supported yet`,
  fix,
});

const keptByVault = 'remove it; the vault makes, keeps and rotates its own keys';

const refusedKeys: Record<string, Record<string, Refusal>> = {
  '': {
    compositeTools: absent('compositeTools'),
    compositeToolRefs: absent('compositeToolRefs'),
    metadata: absent('metadata'),
    optimizer: absent('optimizer'),
    codeMode: absent('codeMode'),
    rateLimiting: absent('rateLimiting'),
    sessionStorage: absent('sessionStorage', 'remove it; sessions need no storage of their own'),
    telemetry: notYet('telemetry'),
    audit: notYet('audit'),
  },
  incomingAuth: { authz: absent('authz') },
  'incomingAuth.oidc': {
    protectedResourceAllowPrivateIp: absent(
      'protectedResourceAllowPrivateIp',
      'remove it; `jwksAllowPrivateIp` lets the issuer be in a private network',
    ),
    insecureAllowHttp: absent('insecureAllowHttp', 'remove it and use https, or http on localhost'),
    caBundlePath: absent(
      'caBundlePath',
      'remove it, and give the provider worker the certificates by `NODE_EXTRA_CA_CERTS`',
    ),
  },
  'aggregation.tools[]': {
    toolConfigRef: absent('toolConfigRef', 'remove it, and write `filter` and `overrides`'),
  },
  'operational.failureHandling': {
    statusReportingInterval: absent('statusReportingInterval', 'remove it; `/status` tells what is so now'),
  },
  'backends[]': { caBundlePath: notYet('caBundlePath'), metadata: absent('metadata') },
  'authServer.runConfig': {
    authorization_endpoint_base_url: notYet('authorization_endpoint_base_url'),
    signing_key_config: absent('signing_key_config', keptByVault),
    hmac_secret_files: absent('hmac_secret_files', keptByVault),
    storage: absent(
      'storage',
      'remove it; the state of the authorization server is kept in NATS, sealed by the vault',
    ),
    delegation_token_lifespan: absent('delegation_token_lifespan'),
    delegate_clients: absent('delegate_clients'),
    trusted_issuers: absent('trusted_issuers'),
    scopes_supported: notYet(
      'scopes_supported',
      'remove it; tokens have the scopes `mcp` and `offline_access`, and others that a client asks for are dropped',
    ),
    baseline_client_scopes: notYet('baseline_client_scopes'),
    insecure_allow_http: notYet('insecure_allow_http', 'remove it and use https, or http on localhost'),
    force_confidential_redirect_uris: notYet('force_confidential_redirect_uris'),
    insecure_allow_confidential_over_loopback_http: notYet('insecure_allow_confidential_over_loopback_http'),
    disable_upstream_token_injection: absent(
      'disable_upstream_token_injection',
      'remove it; give the backend the strategy `unauthenticated`',
    ),
  },
  'authServer.runConfig.upstreams[].oidc_config': {
    insecure_allow_http: notYet('insecure_allow_http', 'remove it and use https, or http on localhost'),
  },
  'authServer.runConfig.upstreams[].oauth2_config': {
    insecure_allow_http: notYet('insecure_allow_http', 'remove it and use https, or http on localhost'),
  },
};

const strategyKeys: Record<string, Refusal> = {
  obo: absent('obo'),
  xaa: absent('xaa'),
};
refusedKeys['outgoingAuth.default'] = strategyKeys;
refusedKeys['outgoingAuth.backends.*'] = strategyKeys;
const roleMappingKeys: Record<string, Refusal> = {
  matcher: absent('matcher', 'write `claim` with a value of `roleClaim`'),
};
refusedKeys['outgoingAuth.default.awsSts.roleMappings[]'] = roleMappingKeys;
refusedKeys['outgoingAuth.backends.*.awsSts.roleMappings[]'] = roleMappingKeys;

const usable = 'use `unauthenticated`, `header_injection`, `upstream_inject`, `token_exchange` or `aws_sts`';
const strategyTypes: Record<string, Refusal> = {
  obo: absent('obo', usable),
  xaa: absent('xaa', usable),
};

const refusedValues: Record<string, Record<string, Refusal>> = {
  'incomingAuth.type': {
    local: absent('local', 'write `type: oidc` with the issuer of the tokens, or configure `authServer`'),
  },
  'outgoingAuth.source': {
    discovered: absent(
      'discovered',
      'write `source: inline` and list the strategies in `outgoingAuth.backends`',
    ),
  },
  'outgoingAuth.default.type': strategyTypes,
  'outgoingAuth.backends.*.type': strategyTypes,
  'operational.failureHandling.partialFailureMode': {
    fail: absent('fail', 'write `best_effort`: one backend never fails the others'),
  },
};

export function findRefusedKey(location: string, key: string): Refusal | null {
  return find(find(refusedKeys, location) ?? {}, key);
}

export function findRefusedValue(location: string, value: unknown): Refusal | null {
  return typeof value === 'string' ? find(find(refusedValues, location) ?? {}, value) : null;
}

interface PlacedRefusal extends Refusal {
  readonly location: string;
  readonly word: string;
  readonly kind: 'key' | 'value';
}

/** Every location and word that is refused. */
export function listRefusals(): PlacedRefusal[] {
  const list = (table: Record<string, Record<string, Refusal>>, kind: 'key' | 'value') =>
    Object.entries(table).flatMap(([location, words]) =>
      Object.entries(words).map(([word, refusal]) => ({ location, word, kind, ...refusal })),
    );
  return [...list(refusedKeys, 'key'), ...list(refusedValues, 'value')];
}

function find<T>(table: Record<string, T>, key: string): T | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}
