import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, StorageType } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StartupError } from '../../../schemas/run-process.ts';
import { startNatsServer } from '../../../workers/nats-server/nats-server-process.ts';
import { findTestNatsServer } from '../../world/nats-server.ts';

const test = suite('nats-server-process');
const binary = findTestNatsServer();
const token = 'a-token-that-nobody-guesses';

function openFolder() {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-nats-process-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

async function refusal(starting: Promise<AsyncDisposable>): Promise<StartupError> {
  try {
    await using _ = await starting;
  } catch (error) {
    assert.instance(error, StartupError);
    return error as StartupError;
  }
  return assert.unreachable('it started') as never;
}

function isAlive(pid: number): boolean {
  const state = execFileSync('ps', ['-A', '-o', 'pid=,state='], { encoding: 'utf8' });
  return new RegExp(`^\\s*${pid} [^Z]`, 'm').test(state);
}

async function store(url: string, text: string): Promise<void> {
  const connection = await connect({ servers: url, token });
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'KEPT', subjects: ['kept'], storage: StorageType.File });
  await connection.jetstream().publish('kept', text);
  await connection.close();
}

async function readStored(url: string): Promise<string> {
  const connection = await connect({ servers: url, token });
  const manager = await connection.jetstreamManager();
  const message = await manager.streams.getMessage('KEPT', { last_by_subj: 'kept' });
  await connection.close();
  return message.string();
}

test('it serves JetStream on disk, which acknowledges only what is synced', async () => {
  using folder = openFolder();
  await using server = await startNatsServer({ binary: await binary, folder: folder.path, token });
  assert.is(server.url, `nats://127.0.0.1:${server.port}`);
  await store(server.url, 'x');
  assert.ok(existsSync(join(folder.path, 'store', 'jetstream')));
  const config = join(folder.path, 'nats-server.conf');
  assert.match(readFileSync(config, 'utf8'), /^ {2}sync_interval: always$/m);
  execFileSync((await binary).path, ['-t', '-c', config], { stdio: 'ignore' });
});

test('who has not the token gets no answer; the token stands in one private file only', async () => {
  using folder = openFolder();
  await using server = await startNatsServer({ binary: await binary, folder: folder.path, token });
  for (const wrong of [{}, { token: 'another' }]) {
    try {
      const connection = await connect({ servers: server.url, maxReconnectAttempts: 0, ...wrong });
      await connection.close();
      assert.unreachable('it was let in');
    } catch (error) {
      assert.is((error as { code: string }).code, 'AUTHORIZATION_VIOLATION');
    }
  }
  const command = execFileSync('ps', ['-o', 'args=', '-p', String(server.pid)], { encoding: 'utf8' });
  assert.match(command, 'nats-server.conf');
  assert.not.match(command, token);
  assert.not.match(readFileSync(join(folder.path, 'nats-server.log'), 'utf8'), token);
  assert.is(statSync(join(folder.path, 'nats-server.conf')).mode & 0o777, 0o600);
});

test('it listens on loopback only', async () => {
  using folder = openFolder();
  await using server = await startNatsServer({ binary: await binary, folder: folder.path });
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4');
  if (own.length === 0) console.log('NOTICE: this machine has loopback only, so nothing else was tried');
  for (const { address } of own) {
    const socket = createConnection({ host: address, port: server.port });
    const outcome = await Promise.race([
      once(socket, 'connect').then(() => 'connected'),
      once(socket, 'error').then(() => 'refused'),
    ]).catch(() => 'refused');
    socket.destroy();
    assert.is(outcome, 'refused');
  }
  const connection = await connect({ servers: server.url });
  await connection.close();
});

test('what was acknowledged is there again after kill -9', async () => {
  using folder = openFolder();
  const first = await startNatsServer({ binary: await binary, folder: folder.path, token });
  await store(first.url, 'acknowledged');
  first.kill();
  assert.equal(await first.exited, { code: null, signal: 'SIGKILL' });
  await using second = await startNatsServer({ binary: await binary, folder: folder.path, token });
  assert.is(await readStored(second.url), 'acknowledged');
});

test('a stop ends it in order, and may be asked for again', async () => {
  using folder = openFolder();
  const server = await startNatsServer({ binary: await binary, folder: folder.path });
  await Promise.all([server.stop(), server.stop()]);
  assert.is((await server.exited).signal ?? 'ended by itself', 'ended by itself');
  assert.not.ok(isAlive(server.pid));
  await server.stop();
});

test('a port in use is told in one line that names it, and nothing stays running', async () => {
  using folder = openFolder();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, message } = await refusal(
    startNatsServer({ binary: await binary, folder: folder.path, port }),
  );
  other.close();
  assert.is(code, 'port-in-use');
  assert.is(message, `nats-server: port ${port} is in use: stop what uses it`);
  assert.not.ok(isAlive(Number(readFileSync(join(folder.path, 'nats-server.pid'), 'utf8'))));
  // A later start is told of its own troubles, not of that one.
  await using server = await startNatsServer({ binary: await binary, folder: folder.path, port });
  assert.is(server.port, port);
});

test('a program that ends at once, or cannot be run, is told in one line that names its log', async () => {
  using folder = openFolder();
  const ends = join(folder.path, 'ends');
  writeFileSync(ends, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
  for (const [path, why] of [
    [ends, 'it ended at once'],
    [join(folder.path, 'missing'), 'it cannot be run'],
  ] as const) {
    const { code, message } = await refusal(
      startNatsServer({ binary: { path, version: '2.15.1' }, folder: folder.path }),
    );
    assert.is(code, 'nats-server-failed');
    assert.is(message, `nats-server: ${why}: see ${join(folder.path, 'nats-server.log')}`);
  }
});

test('a server that never gets ready is ended and told of', async () => {
  using folder = openFolder();
  const sleeps = join(folder.path, 'sleeps');
  writeFileSync(sleeps, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  const { message } = await refusal(
    startNatsServer({
      binary: { path: sleeps, version: '2.15.1' },
      folder: folder.path,
      startTimeoutMs: 300,
    }),
  );
  assert.match(message, /was not ready within/);
  assert.not.ok(isAlive(Number(readFileSync(join(folder.path, 'nats-server.pid'), 'utf8'))));
});

test('the orphan of a killed parent is ended by the next start, which goes on with its data', async () => {
  using folder = openFolder();
  const fixture = fileURLToPath(new URL('./parent.fixture.ts', import.meta.url));
  const parent: ChildProcess = fork(fixture, [folder.path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [{ pid, url }] = (await once(parent, 'message')) as [{ pid: number; url: string }];
  const connection = await connect({ servers: url, token: 'the-token' });
  await connection.close();
  const gone = once(parent, 'exit');
  parent.kill('SIGKILL');
  await gone;
  assert.ok(isAlive(pid), 'the orphan outlives its parent');

  await using server = await startNatsServer({ binary: await binary, folder: folder.path, token });
  assert.not.ok(isAlive(pid));
  assert.is.not(server.pid, pid);
  await store(server.url, 'x');
});

test('an orphan that does not heed SIGTERM is ended all the same', async () => {
  using folder = openFolder();
  const deaf = await startNatsServer({ binary: await binary, folder: folder.path });
  process.kill(deaf.pid, 'SIGSTOP');
  await using server = await startNatsServer({ binary: await binary, folder: folder.path });
  assert.equal(await deaf.exited, { code: null, signal: 'SIGKILL' });
  assert.ok(isAlive(server.pid));
});

test('a pid that another program has by now is left alone', async () => {
  using folder = openFolder();
  const bystander = spawn('sleep', ['60'], { stdio: 'ignore' });
  writeFileSync(join(folder.path, 'nats-server.pid'), String(bystander.pid));
  {
    await using server = await startNatsServer({ binary: await binary, folder: folder.path });
    assert.ok(isAlive(server.pid));
    assert.ok(isAlive(bystander.pid!));
  }
  const gone = once(bystander, 'exit');
  bystander.kill('SIGKILL');
  await gone;
});

test('a log that grew is set aside by the server itself', async () => {
  using folder = openFolder();
  await using _ = await startNatsServer({ binary: await binary, folder: folder.path });
  const config = readFileSync(join(folder.path, 'nats-server.conf'), 'utf8');
  assert.match(config, /^log_size_limit: 10485760$/m);
  assert.match(config, /^log_max_num: 2$/m);
});

test.run();
