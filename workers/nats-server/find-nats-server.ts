/**
 * Where the nats-server of this machine is: the one that the operator names, one of PATH that is new enough, the one in
 * the data folder, or one that is fetched there. A half download is never used, and two starts at once do not disturb
 * each other: the program appears under its name in one step.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StartupError } from '../../schemas/run-process.ts';
import { fetchDebianPackage } from './debian-package.ts';
import {
  isVersionUsable,
  minimumVersion,
  type NatsServerBinary,
  readNatsServerVersion,
} from './nats-server-binary.ts';
import { fetchOfficialRelease } from './official-release.ts';

export interface NatsServerSource {
  readonly name: string;
  /** Puts the program somewhere into the work folder. */
  readonly fetch: (workFolder: string) => Promise<string>;
}

interface Options {
  /** `LATCHKEY_NATS_SERVER` and `PATH` are read. */
  readonly env: NodeJS.ProcessEnv;
  /** The program is looked for, and put, under `bin/`. */
  readonly dataFolder: string;
  /** Told before something is fetched, which takes a few seconds. */
  readonly onFetch?: (source: string) => void;
  readonly sources?: readonly NatsServerSource[];
}

const fetchPrefix = '.fetch-';
const forgottenAfterMs = 3_600_000;

/** @throws StartupError one message: what was tried, and what to install */
export async function findNatsServer({
  env,
  dataFolder,
  onFetch,
  sources = networkSources,
}: Options): Promise<NatsServerBinary> {
  const named = env.LATCHKEY_NATS_SERVER;
  if (named) return assertUsable(named);
  const program = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  const binFolder = join(dataFolder, 'bin');
  const folders = [...(env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':'), binFolder];
  for (const folder of folders.filter((folder) => folder !== '')) {
    const found = await tryProgram(join(folder, program));
    if (found) return found;
  }

  await removeForgottenFetches(binFolder);
  const tried: string[] = [];
  for (const source of sources) {
    onFetch?.(source.name);
    const workFolder = join(binFolder, `${fetchPrefix}${randomUUID()}`);
    try {
      await mkdir(workFolder, { recursive: true, mode: 0o700 });
      const fetched = await source.fetch(workFolder);
      const ready = join(workFolder, `ready-${program}`);
      await copyFile(fetched, ready);
      await chmod(ready, 0o755);
      const version = await readNatsServerVersion(ready);
      if (!version || !isVersionUsable(version)) throw new Error('it does not run here, or is too old');
      await rename(ready, join(binFolder, program));
      return { path: join(binFolder, program), version };
    } catch (error) {
      tried.push(`  ${source.name}: ${(error as Error).message}`);
    } finally {
      // What cannot be removed is left to a later start.
      await rm(workFolder, { recursive: true, force: true }).catch(() => undefined);
    }
  }
  throw new StartupError(
    'nats-server-missing',
    [
      `nats-server ${minimumVersion} or newer is needed and could not be fetched:`,
      ...tried,
      'Install it (https://github.com/nats-io/nats-server/releases, or `brew install nats-server`), so that it is on PATH',
      'or named by LATCHKEY_NATS_SERVER; or set nats.servers in the configuration to use a NATS of yours.',
    ].join('\n'),
  );
}

/** What a killed start left behind; a fetch that is under way in another process is younger. */
async function removeForgottenFetches(binFolder: string): Promise<void> {
  for (const name of await readdir(binFolder).catch(() => [])) {
    const folder = join(binFolder, name);
    if (!name.startsWith(fetchPrefix)) continue;
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs > forgottenAfterMs) await rm(folder, { recursive: true, force: true });
  }
}

const networkSources: readonly NatsServerSource[] = [
  {
    name: 'the official release',
    fetch: (workFolder) =>
      fetchOfficialRelease({
        platform: `${process.platform}-${process.arch}`,
        workFolder,
        fetch: globalThis.fetch,
      }),
  },
  {
    name: "the distribution's package",
    fetch: (workFolder) =>
      fetchDebianPackage({ workFolder, aptFolder: '/etc/apt', releaseFile: '/etc/os-release' }),
  },
];

/** What the operator names is used or refused, never passed over in silence. */
async function assertUsable(path: string): Promise<NatsServerBinary> {
  const version = await readNatsServerVersion(path);
  if (version && isVersionUsable(version)) return { path, version };
  const what = version ? `is version ${version}` : 'does not run, or is no nats-server';
  throw new StartupError(
    'nats-server-unusable',
    `LATCHKEY_NATS_SERVER names ${path}, which ${what}: name a nats-server ${minimumVersion} or newer, or unset it`,
  );
}

async function tryProgram(path: string): Promise<NatsServerBinary | null> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return null;
  }
  const version = await readNatsServerVersion(path);
  return version && isVersionUsable(version) ? { path, version } : null;
}
