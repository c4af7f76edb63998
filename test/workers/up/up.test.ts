import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeDemoConfiguration } from '../../world/demo-configuration.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { runCommand } from '../../world/operator-command.ts';
import { findDemoPorts, isRunning, type SupervisorProcess, spawnSupervisor } from '../../world/supervisor.ts';

const up = suite('latchkey up');

const mains = [
  'backends/everything-process.ts',
  'gateway/main.ts',
  'nats-server',
  'provider-worker/main.ts',
  'vault-worker/main.ts',
  'world/demo.ts',
];

const temporaryFolder = () => mkdtempDisposableSync(join(tmpdir(), 'latchkey-up-'));
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

async function startDemo(data: string, port: number) {
  const supervisor = await spawnSupervisor(['--data', data, '--port', String(port)]);
  return { supervisor, ready: supervisor.waitFor(/Latchkey is ready/) };
}

async function whoStillRuns(processes: { pid: number; main: string }[]): Promise<string[]> {
  for (let wait = 0; wait < 50 && processes.some(isRunning); wait++) await sleep(100);
  return processes.filter(isRunning).map(({ main }) => main);
}

function pidOf(supervisor: SupervisorProcess, main: string): number {
  return (
    supervisor.descendants().find((process) => process.main === main)?.pid ??
    (assert.unreachable(main) as never)
  );
}

async function readyz(port: number): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  return { status: response.status, body: await response.text() };
}

up('starts the demo, says how to use it, restarts what dies, and stops in order', async () => {
  using data = temporaryFolder();
  const port = await findDemoPorts();
  const { supervisor, ready } = await startDemo(data.path, port);
  await using _ = supervisor;
  await ready;
  await supervisor.waitFor(/stop {11}Ctrl-C/);
  const { stdout, stderr } = supervisor.said();
  assert.match(stdout, `claude mcp add --transport http latchkey http://localhost:${port}/mcp`);
  assert.match(stdout, 'alice / alice-demo');
  assert.match(stdout, `data and logs  ${data.path}`);
  assert.is(stderr, '');
  assert.is((await readyz(port)).status, 200);
  const started = supervisor.descendants();
  assert.equal(started.map(({ main }) => main).sort(), mains);

  // A second supervisor on the same folder is refused, and the first does not notice.
  await using second = await spawnSupervisor(['--data', data.path, '--port', String(port)]);
  assert.is(await second.ended, 1);
  assert.match(
    second.said().stderr,
    new RegExp(
      `^latchkey: data folder \\S+ is used by another \`latchkey up\` \\(process ${supervisor.pid}\\):`,
    ),
  );

  for (const [name, main] of [
    ['gateway', 'gateway/main.ts'],
    ['vault', 'vault-worker/main.ts'],
    ['nats', 'nats-server'],
  ] as const) {
    process.kill(pidOf(supervisor, main), 'SIGKILL');
    await supervisor.waitFor(new RegExp(`^latchkey ${name}: ended unexpectedly \\(SIGKILL\\)`, 'm'));
    await supervisor.waitFor(new RegExp(`^latchkey ${name}: serves again$`, 'm'));
  }
  let answer = await readyz(port);
  for (let wait = 0; wait < 50 && answer.status !== 200; wait++) {
    await sleep(100);
    answer = await readyz(port);
  }
  assert.is(answer.status, 200, answer.body);

  const all = [...started, ...supervisor.descendants()];
  supervisor.process.kill('SIGINT');
  // As npm does, which forwards the Ctrl-C that the terminal has sent to all already.
  supervisor.process.kill('SIGINT');
  assert.is(await supervisor.ended, 0);
  assert.equal(await whoStillRuns(all), []);
  const stops = readFileSync(join(data.path, 'logs', 'up.log'), 'utf8').match(/(?<=^stopped )\w+$/gm);
  assert.equal(stops, ['gateway', 'demo', 'provider', 'vault', 'nats']);
  assert.not.ok(existsSync(join(data.path, 'up.pid')));
});

const prlimit = spawnSync('prlimit', ['--version']).status === 0;
if (!prlimit) up('NOTICE: there is no prlimit here, so no store was tried that cannot be written', () => {});
else
  up('a nats-server that could not write its store is started again when there is room', async () => {
    using data = temporaryFolder();
    const port = await findDemoPorts();
    const { supervisor, ready } = await startDemo(data.path, port);
    await using _ = supervisor;
    await ready;
    // The log of the server has room, the log of the vault has none.
    const server = String(pidOf(supervisor, 'nats-server'));
    assert.is(spawnSync('prlimit', ['--pid', server, '--fsize=10000:']).status, 0);
    const person = `usr_${'a'.repeat(32)}`;
    const forgotten = runCommand(['users', 'forget', '--data', data.path, '--user', person], process.env);
    await supervisor.waitFor(/^latchkey nats: its store cannot be written \(file too large\): /m);
    await supervisor.waitFor(/^latchkey nats: ended, is started again\nlatchkey nats: serves again$/m);
    const { status, stderr } = await forgotten;
    assert.is(status, 0, stderr);
  });

up('keeps what it writes for its owner', async () => {
  using parent = temporaryFolder();
  const data = join(parent.path, 'data');
  const { supervisor, ready } = await startDemo(data, await findDemoPorts());
  await using _ = supervisor;
  await ready;
  assert.is(mode(data), '700');
  for (const folder of ['keys', 'nats', 'vault', 'demo', 'logs']) assert.is(mode(join(data, folder)), '700');
  for (const folder of ['keys', 'logs'])
    for (const file of readdirSync(join(data, folder)))
      assert.is(mode(join(data, folder, file)), '600', file);
  for (const file of ['demo/corporate-client-secret', 'demo/gitlab-client-secret', 'nats/nats-server.conf'])
    assert.is(mode(join(data, file)), '600', file);
  const token = /token: "([^"]+)"/.exec(readFileSync(join(data, 'nats', 'nats-server.conf'), 'utf8'))?.[1];
  assert.is(token?.length, 43);
  for (const { pid } of process.platform === 'linux' ? supervisor.descendants() : [])
    assert.not.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), token ?? '');
});

up('killed, it leaves nothing running but its nats-server, which the next one takes over', async () => {
  using data = temporaryFolder();
  const port = await findDemoPorts();
  const { supervisor, ready } = await startDemo(data.path, port);
  await using _ = supervisor;
  await ready;
  const before = supervisor.descendants();
  supervisor.process.kill('SIGKILL');
  assert.is(await supervisor.ended, 'SIGKILL');

  // At once, while what was killed may still hold its ports.
  const next = await startDemo(data.path, port);
  await using _next = next.supervisor;
  await next.ready;
  assert.equal(await whoStillRuns(before), []);
  assert.is((await readyz(port)).status, 200);
  assert.equal(
    next.supervisor
      .descendants()
      .map(({ main }) => main)
      .sort(),
    mains,
  );
});

up('a second Ctrl-C ends hard what does not end in order', async () => {
  using data = temporaryFolder();
  const { supervisor, ready } = await startDemo(data.path, await findDemoPorts());
  await using _ = supervisor;
  await ready;
  const started = supervisor.descendants();
  process.kill(pidOf(supervisor, 'gateway/main.ts'), 'SIGSTOP');
  supervisor.process.kill('SIGINT');
  await supervisor.waitFor(/^latchkey stopping$/m);
  await sleep(1000);
  supervisor.process.kill('SIGINT');
  assert.is(await supervisor.ended, 130);
  assert.equal(await whoStillRuns(started), []);
});

up('stopped while it starts, it starts nothing more and leaves nothing', async () => {
  using data = temporaryFolder();
  const port = await findDemoPorts();
  for (const delayMs of [150, 400, 700]) {
    const { supervisor, ready } = await startDemo(data.path, port);
    await using _ = supervisor;
    ready.catch(() => undefined);
    await sleep(delayMs);
    const started = supervisor.descendants();
    supervisor.process.kill('SIGTERM');
    const ended = await supervisor.ended;
    assert.ok(ended === 0 || ended === 'SIGTERM', String(ended));
    assert.equal(await whoStillRuns(started), []);
  }
});

up('runs a configuration on a NATS of the operator, with identity providers that are down', async () => {
  using folder = temporaryFolder();
  await using nats = await openNatsServer();
  const port = await findDemoPorts();
  const ports = { gateway: port, corporate: port + 1, gitlab: port + 2, everything: port + 3 };
  const { file } = writeDemoConfiguration({ dataDir: folder.path, ports });
  const config = join(folder.path, 'own.yaml');
  const secretFile = join(folder.path, 'demo', 'gitlab-client-secret');
  writeFileSync(
    config,
    readFileSync(file, 'utf8')
      .replace(`client_secret_file: ${JSON.stringify(secretFile)}`, 'client_secret_env_var: GITLAB_SECRET')
      .replace('name: latchkey', 'name: engineering')
      .concat(`\nnats:\n  servers: ['${nats.url}']\n`),
  );
  await using supervisor = await spawnSupervisor(['--config', config, '--data', join(folder.path, 'data')], {
    GITLAB_SECRET: 'a-client-secret-of-the-test',
  });
  await supervisor.waitFor(/Latchkey is ready/);
  assert.is((await readyz(port)).status, 200);
  // Under one name in the terminal and on the page.
  const command = `claude mcp add --transport http engineering http://localhost:${port}/mcp`;
  assert.match(supervisor.said().stdout, command);
  assert.match(await (await fetch(`http://localhost:${port}/`)).text(), command);
  assert.not.match(supervisor.said().stdout, 'demo');
  assert.equal(
    supervisor
      .descendants()
      .map(({ main }) => main)
      .sort(),
    ['gateway/main.ts', 'provider-worker/main.ts', 'vault-worker/main.ts'],
  );
  if (process.platform !== 'linux') return;
  for (const main of ['gateway/main.ts', 'provider-worker/main.ts', 'vault-worker/main.ts']) {
    const environment = readFileSync(`/proc/${pidOf(supervisor, main)}/environ`, 'utf8');
    assert.is(environment.includes('a-client-secret-of-the-test'), main === 'provider-worker/main.ts', main);
  }
});

up.run();
