// The real apt against mirrors that the test plays, and once against the machine's own.
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fetchDebianPackage } from '../../../workers/nats-server/debian-package.ts';
import { isVersionUsable, readNatsServerVersion } from '../../../workers/nats-server/nats-server-binary.ts';

const test = suite('debian-package');

const hasApt = process.env.PATH!.split(delimiter).some((folder) => existsSync(join(folder, 'apt-get')));

interface Machine extends Disposable {
  readonly workFolder: string;
  readonly aptFolder: string;
  readonly releaseFile: string;
}

function openMachine({ release, sources = '' }: { release: string; sources?: string }): Machine {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-debian-'));
  for (const folder of ['work', 'apt/sources.list.d']) mkdirSync(join(path, folder), { recursive: true });
  writeFileSync(join(path, 'os-release'), release);
  writeFileSync(join(path, 'apt', 'sources.list'), sources);
  return {
    workFolder: join(path, 'work'),
    aptFolder: join(path, 'apt'),
    releaseFile: join(path, 'os-release'),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

const debian = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n';

async function openMirror(files: Record<string, string> = {}) {
  const asked: string[] = [];
  const server = http.createServer(({ url = '' }, response) => {
    asked.push(url);
    const text = files[url];
    if (text === undefined) response.writeHead(404).end();
    else response.end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function reasonOf(machine: Machine): Promise<string> {
  try {
    await fetchDebianPackage(machine);
  } catch (error) {
    return (error as Error).message;
  }
  return assert.unreachable('something was found') as never;
}

test('elsewhere than on Debian and Ubuntu it says so', async () => {
  for (const release of ['ID=fedora\nID_LIKE="rhel"\n', 'ID="alpine"\n', '']) {
    using machine = openMachine({ release });
    assert.is(await reasonOf(machine), 'this is not Debian or Ubuntu');
  }
});

test('only the mirror of the distribution is asked, not security updates nor other repositories', async () => {
  using machine = openMachine({
    release: debian,
    sources: [
      'deb http://127.0.0.1:1/debian-security bookworm-security main',
      'deb http://127.0.0.1:1/vendor stable main',
      'deb http://127.0.0.1:1/debian bookworm contrib',
    ].join('\n'),
  });
  assert.is(await reasonOf(machine), 'apt knows no mirror of debian');
});

test('every suite is tried, newest first, where a mirror lacks them', async () => {
  await using mirror = await openMirror();
  using machine = openMachine({
    release: debian,
    sources: `deb ${mirror.uri} bookworm main\ndeb ${mirror.uri} bookworm-updates main\n`,
  });
  const reason = await reasonOf(machine);
  if (!hasApt) return assert.match(reason, 'there is no apt-get');
  const suites = ['forky', 'testing', 'sid', 'bookworm', 'bookworm-updates'];
  assert.is(
    reason,
    `apt found no nats-server that is new enough (${suites.map((suite) => `${suite}: there is no such suite`).join('; ')})`,
  );
  assert.equal(
    mirror.asked.filter((url) => url.endsWith('/InRelease')),
    suites.map((suite) => `/debian/dists/${suite}/InRelease`),
  );
});

test('a mirror that does not answer is asked once, not for every suite', async () => {
  using machine = openMachine({ release: debian, sources: 'deb http://127.0.0.1:1/debian bookworm main\n' });
  assert.match(await reasonOf(machine), hasApt ? /\(mirror: cannot be reached\)$/ : /there is no apt-get/);
});

test('what nobody signed is not taken', async () => {
  const release = (suite: string) =>
    `Origin: Debian\nSuite: ${suite}\nCodename: ${suite}\nDate: ${new Date().toUTCString().replace('GMT', 'UTC')}\nArchitectures: amd64 arm64\nComponents: main\nMD5Sum:\nSHA256:\n`;
  await using mirror = await openMirror({
    '/debian/dists/forky/Release': release('forky'),
    '/debian/dists/bookworm/Release': release('bookworm'),
  });
  using machine = openMachine({ release: debian, sources: `deb ${mirror.uri} bookworm main\n` });
  const reason = await reasonOf(machine);
  if (!hasApt) return assert.match(reason, 'there is no apt-get');
  assert.match(reason, 'forky: is not signed by a key of this machine');
  assert.match(reason, 'bookworm: is not signed by a key of this machine');
  assert.is(
    mirror.asked.some((url) => url.endsWith('.deb') || url.includes('/Packages')),
    false,
  );
});

test('the package of this machine, if its mirror answers', async () => {
  const workFolder = mkdtempSync(join(tmpdir(), 'latchkey-debian-real-'));
  try {
    const path = await fetchDebianPackage({
      workFolder,
      aptFolder: '/etc/apt',
      releaseFile: '/etc/os-release',
    });
    const version = await readNatsServerVersion(path);
    assert.ok(path.startsWith(workFolder));
    assert.ok(version !== null && isVersionUsable(version), `version ${version}`);
  } catch (error) {
    const { message } = error as Error;
    console.log(`NOTICE: not fetched from a real mirror here: ${message}`);
    assert.match(
      message,
      /^(this is not Debian or Ubuntu|apt (knows no mirror of|found no nats-server) .*)$/,
    );
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
});

test.run();
