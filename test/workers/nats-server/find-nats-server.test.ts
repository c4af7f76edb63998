import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StartupError } from '../../../schemas/run-process.ts';
import { findNatsServer, type NatsServerSource } from '../../../workers/nats-server/find-nats-server.ts';

const test = suite('find-nats-server');

function openFolder() {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-find-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A program that answers `-v` as a nats-server of this version does. */
function writeProgram(folder: string, version: string, name = 'nats-server'): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n[ "$1" = -v ] && echo "nats-server: v${version}"\n`, { mode: 0o755 });
  return path;
}

/** What must not be asked. */
const noSource: NatsServerSource[] = [
  { name: 'nothing', fetch: () => assert.unreachable('something was fetched') as never },
];

async function refusal(finding: Promise<unknown>): Promise<StartupError> {
  try {
    await finding;
  } catch (error) {
    assert.instance(error, StartupError);
    return error as StartupError;
  }
  return assert.unreachable('was not refused') as never;
}

test('what the operator names comes before PATH and the data folder', async () => {
  using folder = openFolder();
  const named = writeProgram(folder.path, '2.12.0', 'my-nats');
  writeProgram(join(folder.path, 'path'), '2.15.1');
  writeProgram(join(folder.path, 'data', 'bin'), '2.15.1');
  const found = await findNatsServer({
    env: { LATCHKEY_NATS_SERVER: named, PATH: join(folder.path, 'path') },
    dataFolder: join(folder.path, 'data'),
    sources: noSource,
  });
  assert.equal(found, { path: named, version: '2.12.0' });
});

test('what the operator names and cannot be used is refused, although PATH has a good one', async () => {
  using folder = openFolder();
  const path = join(folder.path, 'path');
  writeProgram(path, '2.15.1');
  const old = writeProgram(folder.path, '2.11.9', 'old');
  const other = join(folder.path, 'other');
  writeFileSync(other, '#!/bin/sh\necho "redis-server v2.12.0"\n', { mode: 0o755 });
  const broken = join(folder.path, 'broken');
  writeFileSync(broken, 'not a program', { mode: 0o755 });
  const missing = join(folder.path, 'missing');

  for (const named of [old, other, broken, missing]) {
    const finding = findNatsServer({
      env: { LATCHKEY_NATS_SERVER: named, PATH: path },
      dataFolder: folder.path,
      sources: noSource,
    });
    const { code, message } = await refusal(finding);
    assert.is(code, 'nats-server-unusable');
    assert.match(message, named);
    assert.match(message, named === old ? 'is version 2.11.9' : 'does not run, or is no nats-server');
    assert.not.match(message, '\n');
  }
});

test('on PATH, one that is too old or does not run is passed over for a later one', async () => {
  using folder = openFolder();
  const at = (name: string) => join(folder.path, name);
  writeProgram(at('old'), '2.11.15');
  mkdirSync(at('broken'));
  writeFileSync(join(at('broken'), 'nats-server'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  mkdirSync(at('plain'));
  writeFileSync(join(at('plain'), 'nats-server'), 'no program', { mode: 0o644 });
  const good = writeProgram(at('good'), '3.0.0');
  const found = await findNatsServer({
    env: {
      PATH: ['old', '', 'broken', 'plain', 'nowhere', 'good'].map((name) => name && at(name)).join(':'),
    },
    dataFolder: at('data'),
    sources: noSource,
  });
  assert.equal(found, { path: good, version: '3.0.0' });
});

test('what lies in the data folder is used when PATH has none that is new enough', async () => {
  using folder = openFolder();
  const own = writeProgram(join(folder.path, 'data', 'bin'), '2.12.1');
  writeProgram(join(folder.path, 'path'), '2.9.21');
  const found = await findNatsServer({
    env: { PATH: join(folder.path, 'path') },
    dataFolder: join(folder.path, 'data'),
    sources: noSource,
  });
  assert.equal(found, { path: own, version: '2.12.1' });
});

test('else it is fetched: a source that fails gives way to the next, and only the program stays', async () => {
  using folder = openFolder();
  writeProgram(join(folder.path, 'bin'), '2.10.0');
  const told: string[] = [];
  const sources: NatsServerSource[] = [
    {
      name: 'breaks off',
      fetch: async (workFolder) => {
        writeFileSync(join(workFolder, 'half'), '#!/bin/sh\necho "nats-server: v2.');
        throw new Error('the connection broke');
      },
    },
    { name: 'is too old', fetch: async (workFolder) => writeProgram(workFolder, '2.11.0', 'fetched') },
    { name: 'is good', fetch: async (workFolder) => writeProgram(workFolder, '2.14.5', 'fetched') },
    ...noSource,
  ];
  const found = await findNatsServer({
    env: {},
    dataFolder: folder.path,
    onFetch: (source) => told.push(source),
    sources,
  });
  assert.equal(found, { path: join(folder.path, 'bin', 'nats-server'), version: '2.14.5' });
  assert.equal(told, ['breaks off', 'is too old', 'is good']);
  assert.equal(readdirSync(join(folder.path, 'bin')), ['nats-server']);
  assert.is(statSync(found.path).mode & 0o777, 0o755);

  const again = await findNatsServer({ env: {}, dataFolder: folder.path, sources: noSource });
  assert.equal(again, found);
});

test('where no source works, one message says what was tried and what to install; nothing is left', async () => {
  using folder = openFolder();
  const sources: NatsServerSource[] = [
    {
      name: 'the first',
      fetch: async (workFolder) => {
        writeProgram(workFolder, '2.14.5');
        throw new Error('does not answer');
      },
    },
    { name: 'the second', fetch: async (workFolder) => writeProgram(workFolder, '2.10.1') },
  ];
  const { code, exitCode, message } = await refusal(
    findNatsServer({ env: {}, dataFolder: folder.path, sources }),
  );
  assert.is(code, 'nats-server-missing');
  assert.is(exitCode, 1);
  assert.match(message, /^nats-server 2\.12\.0 or newer is needed and could not be fetched:\n/);
  assert.match(message, '  the first: does not answer\n');
  assert.match(message, '  the second: it does not run here, or is too old\n');
  assert.match(message, /Install it .*nats\.servers/s);
  assert.equal(readdirSync(join(folder.path, 'bin')), []);
});

test('a folder that cannot be written to is one message too', async () => {
  using folder = openFolder();
  writeFileSync(join(folder.path, 'bin'), 'a file in its place');
  const sources = [{ name: 'never asked', fetch: async () => assert.unreachable() as never }];
  const { code, message } = await refusal(findNatsServer({ env: {}, dataFolder: folder.path, sources }));
  assert.is(code, 'nats-server-missing');
  assert.match(message, /never asked: (ENOTDIR|EEXIST)/);
});

test('two starts at once do not break each other', async () => {
  using folder = openFolder();
  let arrived = 0;
  const { promise: bothArrived, resolve } = Promise.withResolvers<void>();
  const sources: NatsServerSource[] = [
    {
      name: 'a slow one',
      fetch: async (workFolder) => {
        if (++arrived === 2) resolve();
        await bothArrived;
        return writeProgram(workFolder, '2.14.5', 'fetched');
      },
    },
  ];
  const found = await Promise.all(
    [1, 2].map(() => findNatsServer({ env: {}, dataFolder: folder.path, sources })),
  );
  assert.equal(found[0], found[1]);
  assert.is(found[0]!.version, '2.14.5');
  assert.equal(readdirSync(join(folder.path, 'bin')), ['nats-server']);
});

test('what a killed start left behind is removed later, and a fetch that is under way is left alone', async () => {
  using folder = openFolder();
  const bin = join(folder.path, 'bin');
  for (const name of ['.fetch-forgotten', '.fetch-under-way', 'not-ours']) {
    mkdirSync(join(bin, name), { recursive: true });
    const hoursAgo = name === '.fetch-under-way' ? 0 : 2;
    const at = Date.now() / 1000 - hoursAgo * 3600;
    utimesSync(join(bin, name), at, at);
  }
  await findNatsServer({
    env: {},
    dataFolder: folder.path,
    sources: [{ name: 'a good one', fetch: async (workFolder) => writeProgram(workFolder, '2.12.0', 'x') }],
  });
  assert.equal(readdirSync(bin).sort(), ['.fetch-under-way', 'nats-server', 'not-ours']);
});

test.run();
