/**
 * The official release archive of nats-server: one version, with the SHA-256 of the archive for each platform, as the
 * project publishes them with its container images. Another archive than the pinned one is never unpacked.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const version = '2.14.5';

const archives: Readonly<Record<string, { name: string; sha256: string }>> = {
  'linux-x64': {
    name: `nats-server-v${version}-linux-amd64`,
    sha256: '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
  },
  'linux-arm64': {
    name: `nats-server-v${version}-linux-arm64`,
    sha256: '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
  },
};

interface Options {
  /** `process.platform` and `process.arch`. */
  readonly platform: string;
  /** An empty folder that the caller removes. */
  readonly workFolder: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs?: number;
}

/** @returns the path of the unpacked program. @throws Error one sentence that says why not */
export async function fetchOfficialRelease({
  platform,
  workFolder,
  fetch,
  timeoutMs = 60_000,
}: Options): Promise<string> {
  const archive = archives[platform];
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
