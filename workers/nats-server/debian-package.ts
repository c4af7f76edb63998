/**
 * The package `nats-server` of Debian or Ubuntu, taken from the mirror that the machine is configured for, with an apt
 * state of its own: no root, nothing installed. apt checks the mirror's signature as it always does.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isVersionUsable, readNatsServerVersion } from './nats-server-binary.ts';

export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Path of a keyring, or null for apt's own. */
  readonly signedBy: string | null;
}

interface Options {
  /** An empty folder that the caller removes. */
  readonly workFolder: string;
  /** `/etc/apt`. */
  readonly aptFolder: string;
  /** `/etc/os-release`. */
  readonly releaseFile: string;
}

const run = promisify(execFile);

/** Suites that carry newer packages than the configured ones, tried after them. */
const newerSuites: Readonly<Record<string, readonly string[]>> = {
  debian: ['forky', 'testing', 'sid'],
  ubuntu: ['devel'],
};

/** @returns the path of the unpacked program. @throws Error one sentence that says why not */
export async function fetchDebianPackage({ workFolder, aptFolder, releaseFile }: Options): Promise<string> {
  const distribution = await readDistribution(releaseFile);
  const newer = distribution && newerSuites[distribution];
  if (!newer) throw new Error('this is not Debian or Ubuntu');
  const sources = (await readAptSources(aptFolder)).filter(({ uri }) =>
    new URL(uri).pathname.includes(distribution),
  );
  if (sources.length === 0) throw new Error(`apt knows no mirror of ${distribution}`);
  const component = distribution === 'ubuntu' ? 'universe' : 'main';
  const found: string[] = [];
  for (const source of sources) {
    // The newest first: what the configured suites carry is too old more often than not.
    for (const suite of [...newer, ...source.suites]) {
      const folder = join(workFolder, `${found.length}`);
      const outcome = await tryPackage({ folder, source, suite, component });
      if (outcome.path) return outcome.path;
      found.push(`${suite}: ${outcome.why}`);
    }
  }
  throw new Error(
    `the mirror of ${distribution} has no nats-server that is new enough (${found.join('; ')})`,
  );
}

async function tryPackage(options: {
  folder: string;
  source: AptSource;
  suite: string;
  component: string;
}): Promise<{ path: string; why?: never } | { path?: never; why: string }> {
  const { folder, source, suite, component } = options;
  for (const part of ['lists/partial', 'cache/archives/partial', 'state'])
    await mkdir(join(folder, part), { recursive: true });
  const list = join(folder, 'sources.list');
  const signedBy = source.signedBy === null ? '' : `[signed-by=${source.signedBy}] `;
  await writeFile(list, `deb ${signedBy}${source.uri} ${suite} ${component}\n`);
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State': join(folder, 'state'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': join(folder, 'cache'),
    // As root, apt would become the user _apt, who may not write here.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '15',
    'Acquire::https::Timeout': '15',
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const apt = (args: string[]) =>
    run('apt-get', ['-qq', ...flags, ...args], {
      cwd: folder,
      timeout: 120_000,
      env: { ...process.env, LC_ALL: 'C' },
    });
  try {
    await apt(['-o', 'APT::Update::Error-Mode=any', 'update']);
  } catch {
    return { why: 'cannot be read' };
  }
  try {
    await apt(['download', 'nats-server']);
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

async function findProgram(folder: string): Promise<string | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const program = entries.find(
    (entry) => entry.isFile() && entry.name === 'nats-server' && /s?bin$/.test(entry.parentPath),
  );
  return program ? join(program.parentPath, program.name) : null;
}

async function readDistribution(releaseFile: string): Promise<string | null> {
  const text = await readFile(releaseFile, 'utf8').catch(() => '');
  return /^ID="?([a-z]+)"?$/m.exec(text)?.[1] ?? null;
}

/** One-line lists and deb822 files (sources.list(5)). */
export async function readAptSources(aptFolder: string): Promise<AptSource[]> {
  const parts = join(aptFolder, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const files = [join(aptFolder, 'sources.list'), ...names.map((name) => join(parts, name))];
  const sources: AptSource[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    sources.push(...(file.endsWith('.sources') ? parseDeb822(text) : parseLines(text)));
  }
  return sources.filter(({ uri }) => /^https?:\/\//.test(uri));
}

function parseLines(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /signed-by=(\S+)/.exec(options)?.[1] ?? null;
    return [{ uri, suites: [suite], components: words(components), signedBy }];
  });
}

function parseDeb822(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:\\s*(.+)$`, 'im').exec(stanza)?.[1] ?? '';
    if (!words(field('Types')).includes('deb') || /^no$/i.test(field('Enabled'))) return [];
    const signedBy = field('Signed-By').startsWith('/') ? field('Signed-By').trim() : null;
    return words(field('URIs')).map((uri) => ({
      uri,
      suites: words(field('Suites')),
      components: words(field('Components')),
      signedBy,
    }));
  });
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
