/**
 * A whole installation as an operator runs it apart: one NATS, and any number of vault workers, provider workers and
 * gateways, each a process of its own with its own key file; around it the identity providers and backends of the test
 * world, in the test's own process so that it can see what they were sent. Several gateways stand behind one address.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureKeyFolder } from '../../workers/keys/key-folder.ts';
import { openWhoamiBackend, type WhoamiBackend } from './backends/whoami.ts';
import { bareEnvironment } from './bare-environment.ts';
import { type DemoConfiguration, writeDemoConfiguration } from './demo-configuration.ts';
import { findFreePorts } from './free-ports.ts';
import { type CorporateProvider, openCorporateProvider } from './identity-providers/corporate.ts';
import { type GitlabProvider, openGitlabProvider } from './identity-providers/gitlab.ts';
import { openNatsServer, type TestNatsServer } from './nats-server.ts';

export interface InstallationOptions {
  readonly gateways?: number;
  readonly vaultWorkers?: number;
  /** The vault gets the text of its key ring at start, and not the file. */
  readonly keyRingInEnvironment?: boolean;
  readonly providerWorkers?: number;
  readonly gitlabAccessTokenSeconds?: number;
  readonly corporateAccessTokenSeconds?: number;
  /** Changes the configuration of the demo, before anything starts. */
  readonly configure?: (demo: {
    readonly text: string;
    readonly folder: string;
    readonly origins: DemoConfiguration['origins'];
  }) => Promise<string>;
  /** Clients may register themselves at the second provider, with this initial access token if there is one. */
  readonly gitlabRegistration?: { initialAccessToken?: string };
  /** In place of `required`, for the second provider. */
  readonly gitlabLoginPolicy?: 'optional' | 'on_demand';
  /** Not there when everything starts; `openProvider` starts them. */
  readonly providersDown?: readonly ProviderName[];
  /** A gateway dies in the middle of a refresh when `killNextSigner` was called. */
  readonly gatewaysDieAtSignature?: boolean;
  /** Another NATS than one that takes a token from everybody. */
  readonly openNats?: () => Promise<InstallationNats>;
}

/** Where each process is a user of its own, there is a worker process for each provider. */
export interface InstallationNats extends TestNatsServer {
  environmentOf(user: string): NodeJS.ProcessEnv;
}

export interface Installation extends AsyncDisposable {
  readonly mcpUrl: string;
  readonly issuer: string;
  readonly folder: string;
  readonly configFile: string;
  readonly keys: string;
  readonly nats: TestNatsServer;
  readonly corporate: CorporateProvider;
  readonly gitlab: GitlabProvider;
  openProvider(name: ProviderName): Promise<void>;
  readonly corporateTools: WhoamiBackend;
  readonly gitlabTools: WhoamiBackend;
  /** Everything that the processes wrote to stdout and stderr. */
  output(): string;
  /** Past the balancer, which speaks only well-formed HTTP. */
  readonly gatewayPorts: readonly number[];
  /** How many requests each gateway got. */
  readonly requestsByGateway: readonly number[];
  processes(name: ProcessName): readonly ChildProcess[];
  /** The gateway that is next to have an access token signed ends there, by SIGKILL. */
  killNextSigner(): void;
  /** How a process of this NATS user reaches NATS. */
  environmentOf(user: string): NodeJS.ProcessEnv;
  /** SIGKILL to every process and to NATS; resolves when all are gone. */
  killAll(): Promise<void>;
  startAll(): Promise<void>;
}

const providerNames = ['corporate', 'gitlab'] as const;
type ProviderName = (typeof providerNames)[number];
type ProcessName = 'vault' | 'provider' | 'gateway';

const mains: Record<ProcessName, string> = {
  vault: 'workers/vault-worker/main.ts',
  provider: 'workers/provider-worker/main.ts',
  gateway: 'gateway/main.ts',
};
/** Of the NATS that takes a token from everybody. */
export const natsToken = 'token-of-the-test-nats';

export async function openInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const {
    gateways = 1,
    providerWorkers = 1,
    vaultWorkers = 1,
    gitlabAccessTokenSeconds = 300,
    gitlabRegistration: registration,
    providersDown = [],
  } = options;
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-installation-'));
  const [front, corporatePort, gitlabPort, corporateToolsPort, gitlabToolsPort, ...gatewayPorts] =
    await findFreePorts(5 + gateways);
  const ports = {
    gateway: front!,
    corporate: corporatePort!,
    gitlab: gitlabPort!,
    corporateTools: corporateToolsPort!,
    gitlabTools: gitlabToolsPort!,
    // Not started: a backend that is away costs the others nothing.
    everything: 1,
  };
  const demo = writeDemoConfiguration({ dataDir: folder, ports });
  if (options.gitlabLoginPolicy !== undefined) {
    const text = readFileSync(demo.file, 'utf8');
    const line = `      - name: gitlab\n        login_policy: ${options.gitlabLoginPolicy}\n`;
    writeFileSync(demo.file, text.replace('      - name: gitlab\n', line));
  }
  if (options.configure !== undefined) {
    const text = readFileSync(demo.file, 'utf8');
    writeFileSync(demo.file, await options.configure({ text, folder, origins: demo.origins }));
  }
  const gatewayFiles = gatewayPorts.map((port, index) => {
    const file = join(folder, `gateway-${index}.yaml`);
    writeFileSync(file, readFileSync(demo.file, 'utf8').replace(`port: ${front}`, `port: ${port}`));
    return file;
  });
  const keys = join(folder, 'keys');
  ensureKeyFolder(keys, providerNames);

  const ownNats = await options.openNats?.();
  const nats = ownNats ?? (await openNatsServer({ token: natsToken }));
  const { corporateAccessTokenSeconds: accessTokenSeconds } = options;
  const corporateLife = accessTokenSeconds === undefined ? {} : { accessTokenSeconds };
  let corporate: CorporateProvider | null = null;
  let gitlab: GitlabProvider | null = null;
  async function openProvider(name: ProviderName): Promise<void> {
    const options = {
      port: ports[name],
      clientSecret: demo.clientSecrets[name],
      redirectUris: demo.redirectUris[name],
    };
    const { backchannelLogoutUri } = demo;
    if (name === 'corporate')
      corporate = await openCorporateProvider({ ...options, ...corporateLife, backchannelLogoutUri });
    else
      gitlab = await openGitlabProvider({
        ...options,
        ...(registration && { registration }),
        accessTokenSeconds: gitlabAccessTokenSeconds,
      });
  }
  for (const name of providerNames) if (!providersDown.includes(name)) await openProvider(name);
  const corporateTools = await openWhoamiBackend({
    name: 'corporate-tools',
    userinfoUrl: `${demo.origins.corporate}/userinfo`,
    port: ports.corporateTools,
  });
  const gitlabTools = await openWhoamiBackend({
    name: 'gitlab-tools',
    userinfoUrl: `${demo.origins.gitlab}/api/v4/user`,
    port: ports.gitlabTools,
  });

  const requestsByGateway = gatewayPorts.map(() => 0);
  const balancer = await openBalancer(front!, gatewayPorts, requestsByGateway);
  const children = new Map<ProcessName, ChildProcess[]>();
  const output: string[] = [];
  const killFile = join(folder, 'kill-next-signer');

  const environmentOf = (user: string): NodeJS.ProcessEnv => ({
    ...bareEnvironment(),
    LATCHKEY_NATS_URL: nats.url,
    ...(ownNats?.environmentOf(user) ?? { LATCHKEY_NATS_TOKEN: natsToken }),
  });

  function launch(
    name: ProcessName,
    config: string,
    more: readonly string[] = [],
    user: string = name,
  ): Promise<unknown> {
    const main = fileURLToPath(new URL(`../../${mains[name]}`, import.meta.url));
    const ownRing = name === 'vault' && options.keyRingInEnvironment === true;
    const place = ownRing ? ['--key-ring', 'env:LATCHKEY_KEY_RING'] : [];
    const ring = ownRing && { LATCHKEY_KEY_RING: readFileSync(join(keys, 'vault.keyring.json'), 'base64') };
    const dies = name === 'gateway' && options.gatewaysDieAtSignature === true;
    const first = dies ? ['--import', new URL('./killed-at-signature.fixture.ts', import.meta.url).href] : [];
    const arguments_ = [...first, main, '--config', config, '--keys', keys, ...place, ...more];
    const child = spawn(process.execPath, arguments_, {
      env: { ...environmentOf(user), ...ring, ...(dies && { LATCHKEY_TEST_KILL_FILE: killFile }) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk) => output.push(String(chunk)));
    children.set(name, [...(children.get(name) ?? []), child]);
    return Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`${name} ended with ${code} at start: ${output.join('').slice(-2000)}`);
      }),
    ]);
  }

  async function startAll(): Promise<void> {
    await Promise.all([
      ...Array.from({ length: vaultWorkers }, (_, index) =>
        launch('vault', demo.file, ['--data', join(folder, index === 0 ? 'vault' : `vault-${index}`)]),
      ),
      ...Array.from({ length: providerWorkers }, () =>
        ownNats === undefined
          ? launch('provider', demo.file)
          : Promise.all(
              providerNames.map((name) =>
                launch('provider', demo.file, ['--only', name], `provider-${name}`),
              ),
            ),
      ),
      ...gatewayFiles.map((file) => launch('gateway', file)),
    ]);
  }

  async function endAll(signal: NodeJS.Signals): Promise<void> {
    const all = [...children.values()].flat();
    children.clear();
    await Promise.all(
      all.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, 'exit');
        child.kill(signal);
        await exited;
      }),
    );
  }

  async function dispose(): Promise<void> {
    await endAll('SIGTERM');
    balancer.closeAllConnections();
    balancer.close();
    await Promise.all([corporate?.close(), gitlab?.close(), corporateTools.close(), gitlabTools.close()]);
    await nats[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }

  try {
    await startAll();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    ...{ folder, keys, nats, openProvider, corporateTools, gitlabTools },
    ...{ gatewayPorts, requestsByGateway, startAll, environmentOf },
    get corporate() {
      if (corporate === null) throw new Error('the provider corporate is down');
      return corporate;
    },
    get gitlab() {
      if (gitlab === null) throw new Error('the provider gitlab is down');
      return gitlab;
    },
    mcpUrl: `${demo.origins.gateway}/mcp`,
    issuer: demo.origins.gateway,
    configFile: demo.file,
    output: () => output.join(''),
    processes: (name) => children.get(name) ?? [],
    killNextSigner: () => writeFileSync(killFile, ''),
    async killAll() {
      await Promise.all([endAll('SIGKILL'), nats.kill()]);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Sends each request to the next gateway, unchanged, as a load balancer without stickiness does. */
async function openBalancer(
  port: number,
  targets: readonly number[],
  counts: number[],
): Promise<http.Server> {
  let next = 0;
  const server = http.createServer((request, response) => {
    const index = next++ % targets.length;
    counts[index] = counts[index]! + 1;
    const { method, url, headers } = request;
    const forward = http.request(
      { host: '127.0.0.1', port: targets[index], method, path: url, headers },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.rawHeaders);
        answer.pipe(response);
      },
    );
    forward.on('error', () => response.headersSent || response.writeHead(502).end());
    response.on('close', () => forward.destroy());
    request.pipe(forward);
  });
  // The gateways tell clients for how long connections are kept, and they are longer there than a server of Node keeps them.
  server.keepAliveTimeout = 0;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
