/** A configuration without any problem, which tests change in one place to see what is said about it. */
import { stringify } from 'yaml';
import type { Config } from '../../../schemas/config/config.ts';
import { type LoadedConfig, parseConfig } from '../../../schemas/config/load-config.ts';

// biome-ignore lint/suspicious/noExplicitAny: the point is to write what the schema does not allow.
export type Raw = any;

export function sampleConfig(): Raw {
  return {
    name: 'engineering',
    incomingAuth: {
      type: 'oidc',
      oidc: { issuer: 'https://mcp.example.com', audience: 'https://mcp.example.com/mcp' },
    },
    authServer: {
      runConfig: {
        issuer: 'https://mcp.example.com',
        allowed_audiences: ['https://mcp.example.com/mcp'],
        upstreams: [
          {
            name: 'corporate',
            type: 'oidc',
            oidc_config: {
              issuer_url: 'https://sso.example.com',
              client_id: 'latchkey',
              client_secret_env_var: 'CORPORATE_CLIENT_SECRET',
              scopes: ['openid', 'email'],
            },
          },
          {
            name: 'gitlab',
            type: 'oauth2',
            login_policy: 'required',
            oauth2_config: {
              authorization_endpoint: 'https://gitlab.example.com/oauth/authorize',
              token_endpoint: 'https://gitlab.example.com/oauth/token',
              revocation_endpoint: 'https://gitlab.example.com/oauth/revoke',
              client_id: 'latchkey-at-gitlab',
              client_secret_file: '/run/secrets/gitlab',
              scopes: ['read_user'],
              userinfo: {
                endpoint_url: 'https://gitlab.example.com/api/v4/user',
                additional_headers: { Accept: 'application/json' },
                field_mapping: { subject_fields: ['id'], name_fields: ['name', 'username'] },
              },
              additional_authorization_params: { prompt: 'login' },
            },
          },
        ],
        token_lifespans: { access_token_lifespan: '5m' },
      },
    },
    backends: [
      { name: 'gitlab-tools', url: 'https://tools.example.com/mcp', transport: 'streamable-http' },
      { name: 'search', url: 'https://search.example.com/mcp', transport: 'streamable-http' },
      { name: 'clock', url: 'http://127.0.0.1:8080/mcp', transport: 'streamable-http', type: 'entry' },
    ],
    outgoingAuth: {
      source: 'inline',
      default: { type: 'unauthenticated' },
      backends: {
        'gitlab-tools': { type: 'upstream_inject', upstreamInject: { providerName: 'gitlab' } },
        search: {
          type: 'header_injection',
          headerInjection: { headerName: 'X-API-Key', headerValueEnv: 'SEARCH_API_KEY' },
        },
      },
    },
    aggregation: {
      conflictResolution: 'prefix',
      conflictResolutionConfig: { prefixFormat: '{workload}_' },
      tools: [{ workload: 'search', filter: ['find'] }],
    },
    operational: {
      timeouts: { default: '20s', perWorkload: { search: '1m30s' } },
      failureHandling: { unhealthyThreshold: 3 },
    },
    gateway: { listen: { host: '0.0.0.0', port: 4483 } },
    nats: {
      servers: ['tls://nats.example.com:4222'],
      user: 'latchkey',
      passwordEnv: 'NATS_PASSWORD',
      tls: { caFile: '/etc/latchkey/ca.pem' },
    },
    vault: { minValidSeconds: 20 },
  };
}

/** The same with tokens of an external issuer: what were upstreams are providers at which accounts are linked. */
export function makeExternal(raw: Raw): void {
  const { upstreams } = raw.authServer.runConfig;
  delete raw.authServer;
  raw.incomingAuth.oidc = {
    issuer: 'https://login.example.com/tenant/v2.0',
    audience: 'api://latchkey',
    resource: 'https://mcp.example.com/mcp',
  };
  for (const upstream of upstreams) delete upstream.login_policy;
  raw.linking = { providers: upstreams };
}

export function load(raw: Raw): LoadedConfig {
  return parseConfig({ file: 'latchkey.yaml', text: stringify(raw) });
}

export function loadChanged(change: (raw: Raw) => void): LoadedConfig {
  const raw = sampleConfig();
  change(raw);
  return load(raw);
}

/** `V-04 incomingAuth.oidc.issuer`, sorted. */
export function told({ problems }: LoadedConfig): string[] {
  return problems.map(({ rule, path }) => `${rule} ${path}`).sort();
}

export function accepted(change: (raw: Raw) => void = () => {}): Config {
  const { config, problems } = loadChanged(change);
  if (config === null)
    throw new Error(`refused: ${problems.map(({ rule, path }) => `${rule} ${path}`).join(', ')}`);
  return config;
}
