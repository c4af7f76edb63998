/**
 * The official release archive of nats-server: one version, with the SHA-256 of the archive for each platform. Another
 * archive than the pinned one is never unpacked.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** By `process.platform` and `process.arch`; `name` is also that of the folder inside. */
type Archives = Readonly<Record<string, { readonly name: string; readonly sha256: string }>>;

const version = '2.14.5';

/**
 * linux: as the NATS project pins them for its container images (nats-io/nats-docker, 2.14.x/alpine3.22/Dockerfile).
 * darwin: as several public projects took them, alike, from the release's own SHA256SUMS.
 */
export const pinnedArchives: Archives = {
  'linux-x64': {
    name: `nats-server-v${version}-linux-amd64`,
    sha256: '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
  },
  'linux-arm64': {
    name: `nats-server-v${version}-linux-arm64`,
    sha256: '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
  },
  'darwin-x64': {
    name: `nats-server-v${version}-darwin-amd64`,
    sha256: 'f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96',
  },
  'darwin-arm64': {
    name: `nats-server-v${version}-darwin-arm64`,
    sha256: 'ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50',
  },
};

interface Options {
  /** `process.platform` and `process.arch`. */
  readonly platform: string;
  /** An empty folder that the caller removes. */
  readonly workFolder: string;
  readonly fetch: typeof fetch;
  readonly archives?: Archives;
  readonly timeoutMs?: number;
}

/** @returns the path of the unpacked program. @throws Error one sentence that says why not */
export async function fetchOfficialRelease({
  platform,
  workFolder,
  fetch,
  archives = pinnedArchives,
  timeoutMs = 60_000,
}: Options): Promise<string> {
  const archive = Object.hasOwn(archives, platform) ? archives[platform] : undefined;
  if (!archive) throw new Error(`no release is pinned for ${platform}`);
  const url = `https://github.com/nats-io/nats-server/releases/download/v${version}/${archive.name}.tar.gz`;
  const bytes = await download(url, fetch, timeoutMs);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== archive.sha256)
    throw new Error(`${url} is not the pinned archive (its SHA-256 is ${sha256})`);
  const file = join(workFolder, 'release.tar.gz');
  await writeFile(file, bytes);
  await promisify(execFile)('tar', ['-xzf', file, '-C', workFolder]).catch(() => {
    throw new Error('the archive could not be unpacked with tar');
  });
  return join(workFolder, archive.name, 'nats-server');
}

/** Two time limits: a host that cannot be reached is given up soon, a slow download is not. */
async function download(url: string, fetch: Options['fetch'], timeoutMs: number): Promise<Buffer> {
  const connecting = new AbortController();
  const timer = setTimeout(() => connecting.abort(), 10_000);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([connecting.signal, AbortSignal.timeout(timeoutMs)]),
    });
    clearTimeout(timer);
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof Error && error.message.startsWith(url)) throw error;
    throw new Error(`${url} cannot be reached`);
  } finally {
    clearTimeout(timer);
  }
}
