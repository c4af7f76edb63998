/** The operator's commands on what `latchkey up` runs: the data folder alone says where that is. */
import { existsSync, mkdtempDisposableSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bareEnvironment } from '../../world/bare-environment.ts';
import { writeDemoConfiguration } from '../../world/demo-configuration.ts';
import { openCorporateProvider } from '../../world/identity-providers/corporate.ts';
import { openGitlabProvider } from '../../world/identity-providers/gitlab.ts';
import { connectAsPerson } from '../../world/mcp-client.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { runCommand } from '../../world/operator-command.ts';
import { alice } from '../../world/person.ts';
import { findDemoPorts, spawnSupervisor } from '../../world/supervisor.ts';

const test = suite('operator commands with latchkey up');

const run = (...args: string[]) => runCommand(args, bareEnvironment());

test('keys are changed and people forgotten by --data alone, while it runs, and after it was killed too', async () => {
  using data = mkdtempDisposableSync(join(tmpdir(), 'latchkey-up-operator-'));
  const port = await findDemoPorts();
  const start = async () => {
    const supervisor = await spawnSupervisor(['--data', data.path, '--port', String(port)]);
    return { supervisor, ready: supervisor.waitFor(/Latchkey is ready/) };
  };
  const file = join(data.path, 'running.json');

  const first = await start();
  await using _ = first.supervisor;
  await first.ready;
  assert.is((statSync(file).mode & 0o777).toString(8), '600');
  const { token } = JSON.parse(readFileSync(file, 'utf8')).nats;
  const rotated = await run('keys', 'rotate', '--data', data.path);
  assert.is(rotated.status, 0, rotated.stderr);
  assert.match(rotated.stdout, 'every worker seals with it');

  first.supervisor.process.kill('SIGKILL');
  await first.supervisor.ended;
  const second = await start();
  await using _second = second.supervisor;
  await second.ready;
  assert.is.not(JSON.parse(readFileSync(file, 'utf8')).nats.token, token);

  await using person = await connectAsPerson({ mcpUrl: `http://localhost:${port}/mcp`, person: alice });
  const whoAmI = () => person.client.callTool({ name: 'corporate-tools_whoami', arguments: {} });
  assert.is((await whoAmI()).isError ?? false, false);
  const who = ['--provider', 'corporate', '--subject', 'corp-7f21'];
  const forgotten = await run('users', 'forget', '--data', data.path, ...who);
  assert.is(forgotten.status, 0, forgotten.stderr);
  assert.match(forgotten.stdout, 'ended 1 sessions with 2 grants, destroyed the data key');
  const answer = await fetch(`http://localhost:${port}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${person.accessToken()}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }),
  });
  assert.is(answer.status, 401);

  second.supervisor.process.kill('SIGTERM');
  assert.is(await second.supervisor.ended, 0);
  assert.not.ok(existsSync(file));
  const after = await run('keys', 'rotate', '--data', data.path);
  assert.is(after.status, 1);
  assert.match(after.stderr, /^latchkey: no `latchkey up` serves with the data folder [^\n]*\n$/);
});

test('with a NATS of the operator they take its address from the configuration that runs', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-up-operator-'));
  await using nats = await openNatsServer();
  const port = await findDemoPorts();
  const ports = { gateway: port, corporate: port + 1, gitlab: port + 2, everything: port + 3 };
  const demo = writeDemoConfiguration({ dataDir: folder.path, ports });
  const at = (name: 'corporate' | 'gitlab') => ({
    ...{ port: ports[name], clientSecret: demo.clientSecrets[name], redirectUris: demo.redirectUris[name] },
  });
  await using _corporate = await openCorporateProvider(at('corporate'));
  await using _gitlab = await openGitlabProvider(at('gitlab'));
  const config = join(folder.path, 'own.yaml');
  writeFileSync(
    config,
    `${readFileSync(demo.file, 'utf8')}\nnats:\n  servers: ['${nats.url}']\nvault:\n  keysBackupDays: 3\n`,
  );
  const data = join(folder.path, 'data');
  await using supervisor = await spawnSupervisor(['--config', config, '--data', data]);
  await supervisor.waitFor(/Latchkey is ready/);
  assert.is(JSON.parse(readFileSync(join(data, 'running.json'), 'utf8')).nats, null);
  const rotated = await run('keys', 'rotate', '--data', data);
  assert.is(rotated.status, 0, rotated.stderr);
  await using _person = await connectAsPerson({ mcpUrl: `http://localhost:${port}/mcp`, person: alice });
  const who = ['--provider', 'corporate', '--subject', 'corp-7f21'];
  const forgotten = await run('users', 'forget', '--data', data, ...who);
  assert.match(forgotten.stdout, 'kept for 3 days', forgotten.stderr);
});

test.run();
