/**
 * `latchkey up`: everything on one machine. Starts NATS, vault, provider worker, gateway and, without a
 * configuration, the demo world, all at once; restarts what dies; and stops in the order gateway, demo, provider,
 * vault, NATS. If one of them cannot start, its line is shown and nothing stays running.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../schemas/config/config.ts';
import { gatewayConfig } from '../../schemas/config/gateway-config.ts';
import { providerWorkerNames } from '../../schemas/config/incoming-settings.ts';
import { loadConfig } from '../../schemas/config/load-config.ts';
import { providerConfig } from '../../schemas/config/provider-config.ts';
import { formatReport } from '../../schemas/config/report.ts';
import { readSecrets } from '../../schemas/config/secret-reference.ts';
import { vaultConfig } from '../../schemas/config/vault-config.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { formatBanner } from './banner.ts';
import { createChildEnvironments } from './child-environment.ts';
import { type DataFolder, defaultDataFolder, openDataFolder } from './data-folder.ts';
import { demoPorts, planDemo } from './demo.ts';
import { startOwnNats } from './own-nats.ts';
import { assertPortsFree } from './ports.ts';
import { openProcessLog } from './process-log.ts';
import { announceInstance, withdrawInstance } from './running-instance.ts';
import { listenForStop } from './stop-signal.ts';
import { superviseProcess } from './supervised-process.ts';

export interface UpOptions {
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly port: string | undefined;
}

/** What was started and has to be stopped. */
export interface Running {
  readonly name: string;
  /** Milliseconds that its start took. */
  readonly ready: Promise<number>;
  stop(): Promise<void>;
  kill(): void;
}

/** Whoever needs another process ends before it. */
const stopOrder = ['gateway', 'demo', 'provider', 'vault', 'nats'] as const;
type ProcessName = (typeof stopOrder)[number];

const defaultPort = 4483;
/** What ran under a supervisor that was cut off has gone, and left its port, within this time. */
const endOfCutOffMs = 4_000;

/** Resolves with the exit code when everything has stopped. @throws StartupError with the line of what cannot start */
export async function up(options: UpOptions): Promise<number> {
  // The terminal may be closed before everything has stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const port = readPort(options);
  const config = options.config === undefined ? null : readConfig(options.config);
  const folder = openDataFolder(options.data ?? defaultDataFolder);
  withdrawInstance(folder.path);
  const upLog = openProcessLog({ name: 'up', file: join(folder.logs, 'up.log'), show });
  const running = new Map<ProcessName, Running>();
  const ending = new AbortController();
  const stop = listenForStop(() => {
    for (const { kill } of running.values()) kill();
    process.exit(130);
  });
  try {
    const started = start({
      folder,
      config,
      configFile: options.config,
      port,
      running,
      ending: ending.signal,
    });
    // A start that is given up by a stop may say what it likes.
    started.catch(() => undefined);
    const facts = await Promise.race([started, stop.first]);
    if (facts) {
      upLog.note(`ready after ${facts.tookMs} ms (${facts.each.join(', ')})`);
      console.log(formatBanner(facts));
    }
    await stop.first;
    show('stopping');
    return 0;
  } finally {
    ending.abort();
    withdrawInstance(folder.path);
    for (const name of stopOrder) {
      if (!running.has(name)) continue;
      await running.get(name)?.stop();
      upLog.note(`stopped ${name}`);
    }
    folder[Symbol.dispose]();
    stop.close();
  }
}

interface StartOptions {
  readonly folder: DataFolder;
  readonly config: Config | null;
  readonly configFile: string | undefined;
  readonly port: number;
  /** What was started stands here at once. */
  readonly running: Map<ProcessName, Running>;
  /** Nothing may be started any more. */
  readonly ending: AbortSignal;
}

async function start({ folder, config, configFile, port, running, ending }: StartOptions) {
  const demo = config === null ? planDemo(folder.path, port) : null;
  const plan = demo ?? planOf(config!, configFile!);
  await assertPortsFree(plan.ports, {
    patienceMs: folder.wasCutOff ? endOfCutOffMs : 0,
    remedy: demo
      ? 'stop what uses it, or use other ports with `npm start -- --port N`'
      : 'stop what uses it, or set gateway.listen.port in the configuration',
  });
  folder.ensureKeys(plan.providers);
  ending.throwIfAborted();

  const supervise = (name: ProcessName, main: string, args: readonly string[], env: NodeJS.ProcessEnv) => {
    const log = openProcessLog({ name, file: join(folder.logs, `${name}.log`), show });
    const process = superviseProcess({ name, main: inProject(main), args, env, log, show });
    running.set(name, process);
    return process;
  };
  const world = demo && supervise('demo', demo.main, [], demo.env);
  const nats = config?.nats === undefined ? await startOwnNats({ folder, show, ending }) : null;
  if (nats !== null) running.set('nats', nats);
  // The demo writes the configuration that the others read.
  await world?.firstWord;
  ending.throwIfAborted();

  const env = createChildEnvironments(config, nats, process.env);
  const shared = ['--config', plan.configFile, '--keys', folder.keys];
  supervise('vault', 'workers/vault-worker/main.ts', [...shared, '--data', folder.vault], env.vault);
  supervise('provider', 'workers/provider-worker/main.ts', shared, env.provider);
  supervise('gateway', 'gateway/main.ts', shared, env.gateway);
  const each = await Promise.all(
    [...running.values()].map(async ({ name, ready }) => `${name} ${Math.round(await ready)}`),
  );
  ending.throwIfAborted();
  announceInstance(folder.path, {
    config: plan.configFile,
    nats: nats && { url: nats.url, token: nats.token },
  });
  return {
    clientEntry: plan.clientEntry,
    mcpUrl: plan.mcpUrl,
    dataFolder: folder.path,
    tookMs: Math.round(performance.now()),
    each,
    demo,
  };
}

function planOf(config: Config, configFile: string) {
  const { listen, mcpUrl, clientEntry } = gatewayConfig(config);
  const providers = providerWorkerNames(config);
  return { configFile, clientEntry, mcpUrl, providers, ports: [{ ...listen, usedBy: 'gateway' }] };
}

function readPort({ port, config }: UpOptions): number {
  if (port === undefined) return defaultPort;
  const number = Number(port);
  if (!/^\d{1,5}$/.test(port) || number < 1 || number + demoPorts > 65_536)
    throw usage(`--port must be 1 to ${65_536 - demoPorts}, not ${JSON.stringify(port)}`);
  if (config !== undefined)
    throw usage('--port is for the demo: set gateway.listen.port and the issuer in the configuration');
  return number;
}

/** All that is wrong with the configuration and the secrets it names is told before anything is started. */
function readConfig(file: string): Config {
  const { config, problems } = loadConfig(file);
  const parts = config === null ? [] : [gatewayConfig(config), vaultConfig(config), providerConfig(config)];
  const references = new Map(parts.flatMap(({ secrets }) => secrets).map((secret) => [secret.path, secret]));
  const unread = readSecrets([...references.values()], process.env).problems;
  if (config === null || unread.length > 0)
    throw new StartupError('configuration', `up: ${formatReport([...problems, ...unread]).trimEnd()}`, {
      exitCode: 2,
    });
  if (problems.length > 0) process.stderr.write(formatReport(problems));
  return config;
}

function inProject(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

function show(line: string): void {
  console.error(`latchkey ${line}`);
}

function usage(message: string): StartupError {
  return new StartupError('usage', `up: ${message}`, { exitCode: 2 });
}
