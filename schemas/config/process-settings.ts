/** What every process needs of the configuration: the issuer, how much to log, and how to reach NATS. */
import { loneUpstreamName, runConfigSchema, type Upstream } from './auth-server.ts';
import type { Config } from './config.ts';
import { parseDurationMs } from './duration.ts';
import { findReference, type SecretReference } from './secret-reference.ts';

export interface NatsSettings {
  readonly servers: readonly string[];
  readonly user?: string;
  readonly password?: SecretReference;
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
}

/** In place of an issuer, where no tokens are asked for. */
const anonymousIssuer = 'urn:latchkey:anonymous';

export interface ProcessSettings {
  /** Whose tokens are accepted: of the embedded authorization server, or else the external one. */
  readonly issuer: string;
  readonly logLevel: 'info' | 'debug';
  /** null: the configuration names no NATS, and whoever starts the process does. */
  readonly nats: NatsSettings | null;
  /** The secrets that the process must read before it can serve. */
  readonly secrets: readonly SecretReference[];
}

export interface TokenLifespans {
  readonly accessTokenSeconds: number;
  readonly refreshTokenSeconds: number;
  readonly authorizationCodeSeconds: number;
  /** From the sign-in on; nothing prolongs it. */
  readonly sessionSeconds: number;
}

/** `secrets` are those of the process beside the password of NATS. */
export function processSettings(config: Config, secrets: readonly SecretReference[] = []): ProcessSettings {
  const nats = config.nats === undefined ? null : natsSettings(config.nats);
  return {
    issuer: config.incomingAuth.oidc?.issuer ?? anonymousIssuer,
    logLevel: config.operational.logLevel ?? 'info',
    nats,
    secrets: nats?.password === undefined ? secrets : [nats.password, ...secrets],
  };
}

export function tokenLifespans(config: Config): TokenLifespans {
  const lifespans =
    config.authServer?.runConfig.token_lifespans ?? runConfigSchema.shape.token_lifespans.parse({});
  return {
    accessTokenSeconds: parseDurationMs(lifespans.access_token_lifespan) / 1000,
    refreshTokenSeconds: parseDurationMs(lifespans.refresh_token_lifespan) / 1000,
    authorizationCodeSeconds: parseDurationMs(lifespans.auth_code_lifespan) / 1000,
    sessionSeconds: Math.floor(parseDurationMs(lifespans.session_lifespan) / 1000),
  };
}

export interface PlacedProvider {
  readonly name: string;
  readonly upstream: Upstream;
  /** Of its block. */
  readonly path: string;
}

/** Where Latchkey is a client: the upstreams of the sign-in, or else the providers at which accounts are linked. */
export function providersOf(config: Config): PlacedProvider[] {
  const [base, upstreams]: [string, readonly Upstream[]] = config.authServer
    ? ['authServer.runConfig.upstreams', config.authServer.runConfig.upstreams]
    : [
        'linking.providers',
        (config.linking.providers ?? []).map((provider) => ({ ...provider, login_policy: 'on_demand' })),
      ];
  return upstreams.map((upstream, index) => ({
    name: upstream.name ?? loneUpstreamName,
    upstream,
    path: `${base}[${index}].${upstream.type}_config`,
  }));
}

/** The block of the upstream's type, which V-05 has found to be there. */
export function clientBlock(upstream: Upstream) {
  return upstream.type === 'oidc' ? upstream.oidc_config! : upstream.oauth2_config!;
}

function natsSettings(nats: NonNullable<Config['nats']>): NatsSettings {
  const password = findReference('nats', nats, 'passwordEnv', 'passwordFile');
  return {
    servers: nats.servers,
    ...(nats.user === undefined ? {} : { user: nats.user }),
    ...(password === null ? {} : { password }),
    ...(nats.tls === undefined ? {} : { tls: given(nats.tls) }),
  };
}

/** Without the keys that are undefined. */
function given<Block extends object>(block: Block): { [Key in keyof Block]: Exclude<Block[Key], undefined> } {
  return Object.fromEntries(Object.entries(block).filter(([, value]) => value !== undefined)) as never;
}
