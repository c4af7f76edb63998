/**
 * An installation without an authorization server, each process as an operator runs it: the tokens of callers come from
 * an external issuer, and people link their GitLab accounts to them. Beside the gateway the test has what a gateway has,
 * to do what the account pages will do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { createVaultClient, fetchInstanceDescription, type VaultClient } from '../../gateway/vault-client.ts';
import { type Bus, createBus } from '../../schemas/bus.ts';
import { providerWorkerNames } from '../../schemas/config/incoming-settings.ts';
import { loadConfig } from '../../schemas/config/load-config.ts';
import { type Principal, partitionOf } from '../../schemas/identity.ts';
import { createBootId } from '../../schemas/ids.ts';
import { beginLink, linkAccount } from '../../schemas/messages/linking.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../schemas/role-key-file.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { vaultSubject } from '../../schemas/subjects.ts';
import { ensureKeyFolder } from '../../workers/keys/key-folder.ts';
import { openEverythingBackend } from './backends/everything.ts';
import { openWhoamiBackend, type WhoamiBackend } from './backends/whoami.ts';
import { bareEnvironment } from './bare-environment.ts';
import { Browser } from './browser.ts';
import { findFreePorts } from './free-ports.ts';
import { type CorporateProvider, openCorporateProvider } from './identity-providers/corporate.ts';
import {
  type ExternalIssuer,
  introspectionClient,
  openExternalIssuer,
} from './identity-providers/external-issuer.ts';
import { type GitlabProvider, openGitlabProvider } from './identity-providers/gitlab.ts';
import { openNatsServer, type TestNatsServer } from './nats-server.ts';
import { type Person, walkThroughSignIn } from './person.ts';
import {
  openStrategyBackends,
  type StrategyBackends,
  type StrategyBackendsOptions,
} from './strategy-backends.ts';
import { openTemporaryFolder } from './temporary-folder.ts';

type Raw = Record<string, unknown>;

export interface ExternalInstallation extends AsyncDisposable {
  readonly mcpUrl: string;
  readonly origin: string;
  readonly issuer: ExternalIssuer;
  readonly gitlab: GitlabProvider;
  readonly gitlabTools: WhoamiBackend;
  readonly nats: TestNatsServer;
  /** The folder of the key files. */
  readonly keys: string;
  /** A request as a gateway makes it. */
  readonly bus: Bus;
  readonly vault: VaultClient;
  readonly partitions: number;
  /** With `strategies`: the second provider whose accounts can be linked, and the backends. */
  readonly corporate: CorporateProvider | null;
  readonly more: StrategyBackends | null;
  /** Links an account, by default at GitLab, to whom the vault takes the access token for. */
  link(
    accessToken: string,
    principal: Principal,
    account: Person,
    provider?: 'gitlab' | 'corporate',
  ): Promise<void>;
  /** Everything that the processes wrote. */
  output(): string;
}

export interface ExternalInstallationOptions {
  readonly scopes?: readonly string[];
  readonly linking?: Raw;
  /** Nobody is asked who they are; behind the gateway is the backend `everything`. */
  readonly anonymous?: boolean;
  /** Opaque tokens are asked about. */
  readonly introspects?: boolean;
  /** It is not there when everything starts. */
  readonly issuerAway?: boolean;
  /** More backends than GitLab's, and accounts of a company that can be linked as well. */
  readonly strategies?: StrategyBackendsOptions;
  readonly accessTokenSeconds?: number;
}

const mains = {
  vault: 'workers/vault-worker/main.ts',
  provider: 'workers/provider-worker/main.ts',
  gateway: 'gateway/main.ts',
};
const clientSecret = 'gitlab-client-secret-of-the-test';

export async function openExternalInstallation(
  options: ExternalInstallationOptions = {},
): Promise<ExternalInstallation> {
  const { scopes = [], accessTokenSeconds = 300 } = options;
  const stack = new AsyncDisposableStack();
  const folder = stack.use(openTemporaryFolder());
  const [port, issuerPort, gitlabPort, corporatePort] = await findFreePorts(4);
  const origin = `http://localhost:${port}`;
  const mcpUrl = `${origin}/mcp`;
  const callbackOf = (provider: string) => `${origin}/account/callback/${provider}`;
  const issuer = stack.use(await openExternalIssuer({ audience: mcpUrl, port: issuerPort!, scopes }));
  if (options.issuerAway) await issuer.goAway();
  const gitlab = stack.use(
    await openGitlabProvider({
      port: gitlabPort!,
      clientSecret,
      redirectUris: [callbackOf('gitlab')],
      accessTokenSeconds,
    }),
  );
  const corporate = options.strategies
    ? stack.use(
        await openCorporateProvider({
          port: corporatePort!,
          clientSecret,
          redirectUris: [callbackOf('corporate')],
          accessTokenSeconds,
        }),
      )
    : null;
  const more =
    options.strategies && corporate
      ? stack.use(
          await openStrategyBackends(options.strategies, {
            folder: folder.path,
            origins: { corporate: corporate.issuer, gitlab: gitlab.issuer },
          }),
        )
      : null;
  const gitlabTools = stack.use(
    await openWhoamiBackend({ name: 'gitlab-tools', userinfoUrl: `${gitlab.issuer}/api/v4/user` }),
  );
  const nats = stack.use(await openNatsServer());
  const config = folder.file('latchkey.yaml');
  const secretFile = folder.file('gitlab-secret');
  writeFileSync(secretFile, clientSecret);
  const issuerSecretFile = folder.file('issuer-secret');
  writeFileSync(issuerSecretFile, introspectionClient.client_secret);
  const oidc = {
    ...{ issuer: issuer.issuer, audience: mcpUrl, jwksAllowPrivateIp: true },
    ...(options.introspects && {
      introspectionUrl: `${issuer.issuer}/token/introspection`,
      clientId: introspectionClient.client_id,
      clientSecretFile: issuerSecretFile,
    }),
  };
  const external = {
    incomingAuth: { type: 'oidc', oidc: { ...oidc, ...(scopes.length > 0 && { scopes }) } },
    linking: {
      providers: [
        gitlabBlock(gitlab, secretFile),
        ...(corporate === null ? [] : [corporateBlock(corporate, secretFile)]),
      ],
      ...options.linking,
    },
    backends: [
      { name: 'gitlab-tools', url: gitlabTools.url, transport: 'streamable-http' },
      ...(more?.entries ?? []),
    ],
    outgoingAuth: {
      backends: {
        'gitlab-tools': { type: 'upstream_inject', upstreamInject: { providerName: 'gitlab' } },
        ...more?.strategies,
      },
    },
  };
  const anonymous = options.anonymous && {
    incomingAuth: { type: 'anonymous' },
    backends: [
      {
        name: 'everything',
        url: stack.use(await openEverythingBackend()).url,
        transport: 'streamable-http',
      },
    ],
  };
  const gateway = { listen: { host: '127.0.0.1', port } };
  writeFileSync(config, stringify({ ...(anonymous || external), gateway }));
  const loaded = loadConfig(config);
  if (loaded.config === null) throw new Error(JSON.stringify(loaded.problems));
  const keys = folder.file('keys');
  ensureKeyFolder(keys, providerWorkerNames(loaded.config));

  const output: string[] = [];
  const launch = async (name: keyof typeof mains, more: readonly string[] = []) => {
    const main = fileURLToPath(new URL(`../../${mains[name]}`, import.meta.url));
    const child = spawn(process.execPath, [main, '--config', config, '--keys', keys, ...more], {
      env: { ...bareEnvironment(), LATCHKEY_NATS_URL: nats.url },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    stack.defer(() => end(child));
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk) => output.push(String(chunk)));
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`${name} ended with ${code} at start: ${output.join('').slice(-2000)}`);
      }),
    ]);
  };
  await Promise.all([
    launch('vault', ['--data', folder.file('vault')]),
    launch('provider'),
    launch('gateway'),
  ]);

  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'gateway', bootId });
  stack.defer(() => connection.close());
  const envelopes = createSealedEnvelopes({
    keys: readRoleKeys(keys, { role: 'gateway' }),
    ...{ bootId, now: Date.now },
  });
  const bus = createBus({ connection, envelopes });
  const { partitions } = await fetchInstanceDescription(bus, 5_000);
  const vault = createVaultClient(bus, partitions);

  return {
    ...{ mcpUrl, origin, issuer, gitlab, gitlabTools, corporate, more, nats, keys, bus, vault, partitions },
    output: () => output.join(''),

    async link(accessToken, principal, account, provider = 'gitlab') {
      const partition = partitionOf(principal, partitions);
      const token = { accessToken: new Secret(accessToken) };
      const at = ({ name }: { name: string }) =>
        ({ subject: vaultSubject(partition, name), pair: 'gateway-vault' }) as const;
      const within = { timeoutMs: 10_000 };
      const { interactionUid } = await bus.request(beginLink, at(beginLink), { ...token, provider }, within);
      const leg = await vault.beginLeg(interactionUid);
      const callback = callbackOf(provider);
      const page = await walkThroughSignIn(new Browser(), leg.authorizationUrl, {
        person: account,
        stopAt: callback,
      });
      const parameters = Object.fromEntries(
        [...page.url.searchParams].map(([name, value]) => [name, new Secret(value)]),
      );
      await vault.completeLeg({ providers: [provider], parameters, browserBinding: leg.browserBinding });
      const { status } = await bus.request(
        linkAccount,
        at(linkAccount),
        { ...token, interactionUid, confirmed: true },
        within,
      );
      if (status !== 'linked') throw new Error(`the account is ${status}`);
    },

    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** What the endpoint says to a token: it looks at the body only after it. */
export async function statusOf(mcpUrl: string, token: string): Promise<number> {
  const response = await fetch(mcpUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
    body: '',
  });
  await response.body?.cancel();
  return response.status;
}
/** With an accepted token the body is what is wrong. */
export const accepted = 415;

function gitlabBlock({ issuer }: GitlabProvider, secretFile: string): Raw {
  return {
    name: 'gitlab',
    type: 'oauth2',
    oauth2_config: {
      authorization_endpoint: `${issuer}/oauth/authorize`,
      token_endpoint: `${issuer}/oauth/token`,
      revocation_endpoint: `${issuer}/oauth/revoke`,
      client_id: 'latchkey',
      client_secret_file: secretFile,
      scopes: ['read_user'],
      allow_private_ips: true,
      userinfo: {
        endpoint_url: `${issuer}/api/v4/user`,
        field_mapping: { subject_fields: ['id'], name_fields: ['name'], email_fields: ['email'] },
      },
    },
  };
}

function corporateBlock({ issuer }: CorporateProvider, secretFile: string): Raw {
  return {
    name: 'corporate',
    type: 'oidc',
    oidc_config: {
      issuer_url: issuer,
      client_id: 'latchkey',
      client_secret_file: secretFile,
      scopes: ['openid', 'profile', 'email', 'offline_access'],
      allow_private_ips: true,
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
