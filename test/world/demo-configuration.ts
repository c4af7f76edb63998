// The configuration of the demo, as an operator would write it for a company with its own OpenID provider and a
// GitLab: generated at each start, so that it always fits the ports. Client secrets are made once and lie in the
// demo's folder, which plays the other companies: nothing in it is Latchkey's data.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export type DemoPlace = 'gateway' | 'corporate' | 'gitlab' | 'corporateTools' | 'gitlabTools' | 'everything';

export type DemoOptions = {
  dataDir: string;
  ports?: Partial<Record<DemoPlace, number>>;
  /** Host names by which the others reach a part; needed only where each part has a machine of its own. */
  hosts?: Partial<Record<DemoPlace, string>>;
  listenOn?: string;
  gitlabAccessTokenSeconds?: number;
};

export type DemoConfiguration = {
  file: string;
  stateDir: string;
  origins: Record<DemoPlace, string>;
  ports: Record<DemoPlace, number>;
  clientSecrets: { corporate: string; gitlab: string };
  redirectUris: { corporate: string[]; gitlab: string[] };
  backchannelLogoutUri: string;
};

const defaultPorts: Record<DemoPlace, number> = {
  gateway: 4483,
  corporate: 4484,
  gitlab: 4485,
  corporateTools: 4486,
  gitlabTools: 4487,
  everything: 4488,
};

export function writeDemoConfiguration(options: DemoOptions): DemoConfiguration {
  const stateDir = resolve(options.dataDir, 'demo');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const ports = { ...defaultPorts, ...options.ports };
  const places = Object.keys(defaultPorts) as DemoPlace[];
  const origins = Object.fromEntries(
    places.map((place) => [place, `http://${options.hosts?.[place] ?? 'localhost'}:${ports[place]}`]),
  ) as Record<DemoPlace, string>;
  const secretFiles = {
    corporate: join(stateDir, 'corporate-client-secret'),
    gitlab: join(stateDir, 'gitlab-client-secret'),
  };
  const file = join(stateDir, 'latchkey.yaml');
  const listen = { port: ports.gateway, host: options.listenOn ?? '127.0.0.1' };
  writeFileSync(file, formatConfiguration(origins, listen, secretFiles));
  return {
    file,
    stateDir,
    origins,
    ports,
    clientSecrets: { corporate: keepSecret(secretFiles.corporate), gitlab: keepSecret(secretFiles.gitlab) },
    redirectUris: {
      corporate: [`${origins.gateway}/oauth/callback/corporate`],
      gitlab: [`${origins.gateway}/oauth/callback/gitlab`],
    },
    backchannelLogoutUri: `${origins.gateway}/oauth/backchannel-logout/corporate`,
  };
}

function keepSecret(file: string): string {
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readFileSync(file, 'utf8');
}

function formatConfiguration(
  origins: Record<DemoPlace, string>,
  listen: { host: string; port: number },
  secretFiles: { corporate: string; gitlab: string },
): string {
  return `# The demo's configuration, written anew at each start. Copy it to change it, and run
#   npm start -- --config YOUR-FILE
name: latchkey

incomingAuth:
  type: oidc
  oidc:
    issuer: ${origins.gateway}
    audience: ${origins.gateway}/mcp

authServer:
  runConfig:
    issuer: ${origins.gateway}
    allowed_audiences: ['${origins.gateway}/mcp']
    # People sign in through these, in this order. The first says who they are.
    upstreams:
      - name: corporate
        type: oidc
        oidc_config:
          issuer_url: ${origins.corporate}
          client_id: latchkey
          client_secret_file: ${JSON.stringify(secretFiles.corporate)}
          scopes: [openid, profile, email, offline_access]
          allow_private_ips: true
      - name: gitlab
        type: oauth2
        oauth2_config:
          authorization_endpoint: ${origins.gitlab}/oauth/authorize
          token_endpoint: ${origins.gitlab}/oauth/token
          revocation_endpoint: ${origins.gitlab}/oauth/revoke
          client_id: latchkey
          client_secret_file: ${JSON.stringify(secretFiles.gitlab)}
          scopes: [read_user]
          allow_private_ips: true
          userinfo:
            endpoint_url: ${origins.gitlab}/api/v4/user
            field_mapping:
              subject_fields: [id]
              name_fields: [name]
              email_fields: [email]

backends:
  - name: everything
    url: ${origins.everything}/mcp
    transport: streamable-http
  - name: corporate-tools
    url: ${origins.corporateTools}/mcp
    transport: streamable-http
  - name: gitlab-tools
    url: ${origins.gitlabTools}/mcp
    transport: streamable-http

# With what each backend is reached: the caller's own token of that provider, or nothing.
outgoingAuth:
  source: inline
  backends:
    everything:
      type: unauthenticated
    corporate-tools:
      type: upstream_inject
      upstreamInject:
        providerName: corporate
    gitlab-tools:
      type: upstream_inject
      upstreamInject:
        providerName: gitlab

aggregation:
  conflictResolution: prefix

gateway:
  listen:
    host: ${listen.host}
    port: ${listen.port}
`;
}
