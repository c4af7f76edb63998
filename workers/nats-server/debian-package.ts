/**
 * The package `nats-server` of Debian or Ubuntu, taken from the mirror that the machine is configured for, with an apt
 * state of its own: no root, nothing installed, none of the machine's apt hooks run. apt checks the mirror's signature
 * as it always does.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type AptSource, readAptSources } from './apt-sources.ts';
import { isVersionUsable, readNatsServerVersion } from './nats-server-binary.ts';

interface Options {
  /** An empty folder that the caller removes. */
  readonly workFolder: string;
  /** `/etc/apt`. */
  readonly aptFolder: string;
  /** `/etc/os-release`. */
  readonly releaseFile: string;
}

interface Distribution {
  readonly id: string;
  /** `bookworm`, `noble`, ... */
  readonly codename: string;
  /** The part of the archive that has nats-server. */
  readonly component: string;
  /** Suites with newer packages than the configured ones. */
  readonly newerSuites: readonly string[];
}

type Attempt = { path: string } | { why: string; isUnreachable?: boolean };

const run = promisify(execFile);

/** @returns the path of the unpacked program. @throws Error one sentence that says why not */
export async function fetchDebianPackage({ workFolder, aptFolder, releaseFile }: Options): Promise<string> {
  const distribution = await readDistribution(releaseFile);
  if (!distribution) throw new Error('this is not Debian or Ubuntu');
  const { id, component, newerSuites } = distribution;
  const sources = mirrorsOf(distribution, await readAptSources(aptFolder));
  if (sources.length === 0) throw new Error(`apt knows no mirror of ${id}`);
  const transport = await readTransport();
  const found: string[] = [];
  for (const [mirror, source] of sources.entries()) {
    // The newest first: what the configured suites carry is too old more often than not.
    for (const suite of new Set([...newerSuites, ...source.suites])) {
      const folder = join(workFolder, `${mirror}-${suite.replaceAll('/', '-')}`);
      const attempt = await tryPackage({ folder, source, suite, component, transport });
      if ('path' in attempt) return attempt.path;
      found.push(`${attempt.isUnreachable ? 'mirror' : suite}: ${attempt.why}`);
      if (attempt.isUnreachable) break;
    }
  }
  throw new Error(`apt found no nats-server that is new enough (${[...new Set(found)].join('; ')})`);
}

/** The distribution's own archive, not that of its security updates, and only then others that look like it. */
function mirrorsOf({ id, codename, component }: Distribution, sources: readonly AptSource[]): AptSource[] {
  const isNamed = ({ uri }: AptSource) => uri.includes(id);
  const mirrors = new Map<string, AptSource>();
  for (const source of sources) {
    const suites = source.suites.filter((suite) => !/-security$|\/updates$/.test(suite));
    const fits = source.components.includes(component) || source.components.includes('main');
    if (suites.length === 0 || !fits || !(isNamed(source) || suites.includes(codename))) continue;
    const known = mirrors.get(source.uri);
    mirrors.set(
      source.uri,
      known ? { ...known, suites: [...known.suites, ...suites] } : { ...source, suites },
    );
  }
  return [...mirrors.values()].sort((a, b) => Number(isNamed(b)) - Number(isNamed(a)));
}

async function tryPackage(options: {
  folder: string;
  source: AptSource;
  suite: string;
  component: string;
  transport: string;
}): Promise<Attempt> {
  const { folder, source, suite, component, transport } = options;
  for (const part of ['lists/partial', 'cache/archives/partial', 'state'])
    await mkdir(join(folder, part), { recursive: true });
  const list = join(folder, 'sources.list');
  const signedBy = source.signedBy === null ? '' : `[signed-by=${source.signedBy}] `;
  await writeFile(list, `deb ${signedBy}${source.uri} ${suite} ${component}\n`);
  // Read before the machine's own configuration, of which it keeps only how to reach the mirror: its hooks would run
  // programs as soon as apt has updated, and its pins and default release are about other packages.
  const config = join(folder, 'apt.conf');
  await writeFile(config, `Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\n${transport}`, {
    mode: 0o600,
  });
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': join(folder, 'state'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': join(folder, 'cache'),
    // As root, apt would become the user _apt, who may not write here.
    'APT::Sandbox::User': 'root',
    'APT::Update::Error-Mode': 'any',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '15',
    'Acquire::https::Timeout': '15',
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const apt = (...args: string[]) =>
    run('apt-get', ['-qq', ...flags, ...args], {
      cwd: folder,
      timeout: 120_000,
      env: { ...process.env, APT_CONFIG: config, LC_ALL: 'C' },
    });
  try {
    await apt('update');
  } catch (error) {
    return whyNotUpdated(error as NodeJS.ErrnoException & { stderr?: string });
  }
  try {
    await apt('download', 'nats-server');
    const name = (await readdir(folder)).find((entry) => entry.endsWith('.deb'));
    await run('dpkg-deb', ['-x', join(folder, name!), join(folder, 'package')]);
  } catch {
    return { why: 'has no such package' };
  }
  const path = await findProgram(join(folder, 'package'));
  const version = path && (await readNatsServerVersion(path));
  if (!version) return { why: 'its program does not run here' };
  return isVersionUsable(version) ? { path } : { why: version };
}

/** apt has one exit code for everything, so its messages (in English, by LC_ALL) tell what is worth another try. */
function whyNotUpdated(error: NodeJS.ErrnoException & { stderr?: string }): Attempt {
  if (error.code === 'ENOENT') return { why: 'there is no apt-get', isUnreachable: true };
  const said = error.stderr ?? '';
  if (/NO_PUBKEY|not signed|BADSIG|EXPKEYSIG/.test(said))
    return { why: 'is not signed by a key of this machine' };
  if (/is expired|is not valid yet/.test(said)) return { why: 'its index has expired' };
  if (/ 404 |(does not have|no longer has) a Release file/.test(said))
    return { why: 'there is no such suite' };
  return { why: 'cannot be reached', isUnreachable: true };
}

/** Proxies, certificates, and how old an index may be here (a frozen mirror), in the form of apt.conf(5). */
async function readTransport(): Promise<string> {
  const dump = await run('apt-config', ['dump', 'Acquire']).catch(() => ({ stdout: '' }));
  return dump.stdout
    .split('\n')
    .filter((line) => /^Acquire::(https?::|Check-Valid-Until |Check-Date )/i.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

async function findProgram(folder: string): Promise<string | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const program = entries.find(
    (entry) => entry.isFile() && entry.name === 'nats-server' && /s?bin$/.test(entry.parentPath),
  );
  return program ? join(program.parentPath, program.name) : null;
}

async function readDistribution(releaseFile: string): Promise<Distribution | null> {
  const text = await readFile(releaseFile, 'utf8').catch(() => '');
  const field = (name: string) => new RegExp(`^${name}="?([a-z]+)"?$`, 'm').exec(text)?.[1] ?? '';
  const codename = field('VERSION_CODENAME');
  switch (field('ID')) {
    case 'debian':
      return { id: 'debian', codename, component: 'main', newerSuites: ['forky', 'testing', 'sid'] };
    case 'ubuntu':
      return { id: 'ubuntu', codename, component: 'universe', newerSuites: ['devel'] };
    default:
      return null;
  }
}
