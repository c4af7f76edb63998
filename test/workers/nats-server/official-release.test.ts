import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fetchOfficialRelease, pinnedArchives } from '../../../workers/nats-server/official-release.ts';

const test = suite('official-release');

function openFolder() {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-release-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Plays the download site; `fetch` goes there whatever address it is given. */
async function openSite(listener: http.RequestListener) {
  const asked: string[] = [];
  const server = http.createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    asked,
    fetch: ((url: string, init?: RequestInit) => {
      asked.push(url);
      return fetch(`http://127.0.0.1:${port}/`, init);
    }) as typeof fetch,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function packRelease(folder: string, name: string): { bytes: Buffer; sha256: string } {
  mkdirSync(join(folder, 'pack', name), { recursive: true });
  writeFileSync(join(folder, 'pack', name, 'nats-server'), 'the program', { mode: 0o755 });
  const file = join(folder, 'pack', 'release.tar.gz');
  execFileSync('tar', ['-czf', file, '-C', join(folder, 'pack'), name]);
  const bytes = readFileSync(file);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

test('the archive of the pinned sum is unpacked, and its program is found', async () => {
  using folder = openFolder();
  const { bytes, sha256 } = packRelease(folder.path, 'nats-server-v9-plan9-x64');
  const workFolder = join(folder.path, 'work');
  mkdirSync(workFolder);
  await using site = await openSite((_, response) => response.end(bytes));
  const path = await fetchOfficialRelease({
    platform: 'plan9-x64',
    workFolder,
    fetch: site.fetch,
    archives: { 'plan9-x64': { name: 'nats-server-v9-plan9-x64', sha256 } },
  });
  assert.is(readFileSync(path, 'utf8'), 'the program');
  assert.is(site.asked.length, 1);
});

test('another archive than the pinned one is never unpacked nor kept', async () => {
  using folder = openFolder();
  const { bytes } = packRelease(folder.path, 'nats-server-v2.14.5-linux-amd64');
  const workFolder = join(folder.path, 'work');
  mkdirSync(workFolder);
  await using site = await openSite((_, response) => response.end(bytes));
  try {
    await fetchOfficialRelease({ platform: 'linux-x64', workFolder, fetch: site.fetch });
    assert.unreachable('it was taken');
  } catch (error) {
    assert.match((error as Error).message, /is not the pinned archive/);
  }
  assert.equal(readdirSync(workFolder), []);
});

test('each platform gets its own archive of the one version', async () => {
  using folder = openFolder();
  await using site = await openSite((_, response) => response.writeHead(404).end());
  const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
  for (const platform of platforms) {
    try {
      await fetchOfficialRelease({ platform, workFolder: folder.path, fetch: site.fetch });
      assert.unreachable('there is none');
    } catch (error) {
      assert.match((error as Error).message, /answers 404$/);
    }
  }
  const base = 'https://github.com/nats-io/nats-server/releases/download/v2.14.5/nats-server-v2.14.5-';
  assert.equal(
    site.asked,
    ['linux-amd64', 'linux-arm64', 'darwin-amd64', 'darwin-arm64'].map((name) => `${base}${name}.tar.gz`),
  );
  const sums = Object.values(pinnedArchives).map(({ sha256 }) => sha256);
  assert.is(new Set(sums).size, platforms.length);
  for (const sum of sums) assert.match(sum, /^[0-9a-f]{64}$/);
});

test('a platform without a pinned sum is refused by name, and nothing is asked', async () => {
  await using site = await openSite((_, response) => response.end());
  for (const platform of ['win32-x64', 'linux-ppc64', 'constructor']) {
    try {
      await fetchOfficialRelease({ platform, workFolder: '/nowhere', fetch: site.fetch });
      assert.unreachable('it was fetched');
    } catch (error) {
      assert.is((error as Error).message, `no release is pinned for ${platform}`);
    }
  }
  assert.equal(site.asked, []);
});

test('a download that breaks off, or never ends, is a failure of one line', async () => {
  using folder = openFolder();
  await using broken = await openSite((_, response) => {
    response.writeHead(200, { 'content-length': 1000 });
    response.write('the first bytes', () => response.destroy());
  });
  await using endless = await openSite((_, response) => response.writeHead(200).write('the first bytes'));
  for (const site of [broken, endless]) {
    try {
      await fetchOfficialRelease({
        platform: 'linux-x64',
        workFolder: folder.path,
        fetch: site.fetch,
        timeoutMs: 300,
      });
      assert.unreachable('it was taken');
    } catch (error) {
      assert.match((error as Error).message, /^https:\/\/github\.com\/\S+ cannot be reached$/);
    }
  }
  assert.equal(readdirSync(folder.path), []);
});

test.run();
