import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readAptSources } from '../../../workers/nats-server/apt-sources.ts';

const test = suite('apt-sources');

function openAptFolder(files: Record<string, string>) {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-apt-'));
  mkdirSync(join(path, 'sources.list.d'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('one-line lists, with and without options', async () => {
  using apt = openAptFolder({
    'sources.list': [
      '# deb http://commented.test/debian bookworm main',
      'deb http://mirror.test/debian bookworm main contrib # the main one',
      'deb-src http://mirror.test/debian bookworm main',
      'deb cdrom:[Debian 12]/ bookworm main',
      '  deb [arch=amd64 signed-by=/usr/share/keyrings/own.gpg] https://other.test/debian trixie main',
      'nonsense',
    ].join('\n'),
  });
  assert.equal(await readAptSources(apt.path), [
    {
      uri: 'http://mirror.test/debian',
      suites: ['bookworm'],
      components: ['main', 'contrib'],
      signedBy: null,
    },
    {
      uri: 'https://other.test/debian',
      suites: ['trixie'],
      components: ['main'],
      signedBy: '/usr/share/keyrings/own.gpg',
    },
  ]);
});

test('deb822 files: several stanzas, lines that go on, comments, disabled ones, keys inside', async () => {
  using apt = openAptFolder({
    'sources.list.d/a.sources': `Types: deb deb-src
# Suites: commented
URIs: http://one.test/ubuntu
 http://two.test/ubuntu
Suites: noble
	noble-updates
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://disabled.test/ubuntu
Suites: noble
Components: main
Enabled: no

Types: deb-src
URIs: http://sources-only.test/ubuntu
Suites: noble
Components: main

types: deb
uris: mirror+file:/etc/apt/mirrors/debian.list
suites: bookworm
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----
`,
    'sources.list.d/ignored.sources.save':
      'Types: deb\nURIs: http://saved.test/\nSuites: x\nComponents: main\n',
  });
  const both = {
    suites: ['noble', 'noble-updates'],
    components: ['main', 'universe'],
    signedBy: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  };
  assert.equal(await readAptSources(apt.path), [
    { uri: 'http://one.test/ubuntu', ...both },
    { uri: 'http://two.test/ubuntu', ...both },
    {
      uri: 'mirror+file:/etc/apt/mirrors/debian.list',
      suites: ['bookworm'],
      components: ['main'],
      signedBy: null,
    },
  ]);
});

test('a machine without apt has no sources', async () => {
  assert.equal(await readAptSources('/nowhere'), []);
});

test.run();
