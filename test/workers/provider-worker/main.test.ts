import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBus } from '../../../schemas/bus.ts';
import { createBootId, createInstanceId } from '../../../schemas/ids.ts';
import { authorizeAtProvider, findProviderWorker } from '../../../schemas/messages/provider-requests.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { deriveRoleKeyFile, readRoleKeys, roleKeyFileName } from '../../../schemas/role-key-file.ts';
import type { Role } from '../../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import { providerSubject } from '../../../schemas/subjects.ts';
import { askProviderStatuses } from '../../../workers/vault-worker/provider-statuses.ts';
import { bareEnvironment } from '../../world/bare-environment.ts';
import { writeDemoConfiguration } from '../../world/demo-configuration.ts';
import { openNatsServer } from '../../world/nats-server.ts';

const test = suite('provider-worker main');
const main = fileURLToPath(new URL('../../../workers/provider-worker/main.ts', import.meta.url));
const providers = ['corporate', 'gitlab'];

/** A configuration whose identity providers are down, and the key files of its roles. */
function openInstallation() {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-provider-'));
  const { file } = writeDemoConfiguration({ dataDir: folder, ports: { corporate: 1, gitlab: 2 } });
  const rootKey = randomBytes(32);
  const instanceId = createInstanceId();
  const roles: Role[] = ['vault', 'provider:corporate', 'provider:gitlab'];
  for (const role of roles) {
    const keyFile = deriveRoleKeyFile({ rootKey, instanceId, role, providers });
    writeFileSync(join(folder, roleKeyFileName(role)), JSON.stringify(keyFile), { mode: 0o600 });
  }
  return {
    folder,
    file,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

function start(args: string[], env: Record<string, string> = {}) {
  const child = fork(main, args, {
    silent: true,
    env: { ...bareEnvironment(), LATCHKEY_NATS_URL: 'nats://127.0.0.1:1', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = Promise.all([
    once(child, 'exit'),
    once(child.stdout!, 'close'),
    once(child.stderr!, 'close'),
  ]);
  return {
    child,
    ready: once(child, 'message').then(([message]) => message as { providers: string[] }),
    ended: ended.then(([[code]]) => ({ code, stdout, stderr })),
  };
}

test('it serves its providers although they are down, and stops in order', async () => {
  await using nats = await openNatsServer({ token: 'the-token' });
  using installation = openInstallation();
  const { folder, file } = installation;
  const process = start(['--config', file, '--keys', folder], {
    LATCHKEY_NATS_URL: nats.url,
    LATCHKEY_NATS_TOKEN: 'the-token',
  });
  assert.equal((await process.ready).providers, providers);

  const bootId = createBootId();
  const connection = await openNatsConnection({
    servers: [nats.url],
    token: 'the-token',
    role: 'vault',
    bootId,
  });
  const keys = readRoleKeys(folder, { role: 'vault' });
  const bus = createBus({
    connection,
    envelopes: createSealedEnvelopes({ keys, bootId, now: () => Date.now() }),
  });
  const found = await Promise.all(
    providers.map((name) => {
      const target = {
        subject: providerSubject(name, 'find-worker'),
        pair: `vault-provider:${name}` as const,
      };
      return bus.request(findProviderWorker, target, {}, { timeoutMs: 2000 });
    }),
  );
  assert.is(found[0]?.bootId, found[1]?.bootId);
  const authorize = (name: string) =>
    bus.request(
      authorizeAtProvider,
      { subject: providerSubject(name, 'authorize'), pair: `vault-provider:${name}` },
      {},
      { timeoutMs: 3000 },
    );
  assert.match((await authorize('gitlab')).authorizationUrl, /^http:\/\/localhost:2\/oauth\/authorize\?/);
  const refused = await authorize('corporate').then(
    () => assert.unreachable(),
    (error) => error,
  );
  assert.is(refused.code, 'upstream-unavailable');
  assert.equal(await askProviderStatuses(bus, providers), { corporate: 'failing', gitlab: 'unknown' });

  process.child.kill('SIGTERM');
  const { code, stdout, stderr } = await process.ended;
  assert.equal(await askProviderStatuses(bus, providers), {
    corporate: 'unavailable',
    gitlab: 'unavailable',
  });
  await connection.close();
  assert.is(code, 0);
  assert.is(stderr, '');
  assert.match(stdout, /"msg":"stopped"/);
});

test('--only serves some of them, with the keys of these alone', async () => {
  await using nats = await openNatsServer();
  using installation = openInstallation();
  const { folder, file } = installation;
  rmSync(join(folder, 'provider.corporate.keys.json'));
  const process = start(['--config', file, '--keys', folder, '--only', 'gitlab'], {
    LATCHKEY_NATS_URL: nats.url,
  });
  assert.equal((await process.ready).providers, ['gitlab']);
  process.child.kill('SIGTERM');
  assert.is((await process.ended).code, 0);
  const unknown = await start(['--config', file, '--keys', folder, '--only', 'github']).ended;
  assert.is(unknown.code, 2);
  assert.match(unknown.stderr, /^latchkey provider: --only github: .* has no upstream of this name\n$/);
});

test('what stops the start is told in one line, without a stack trace', async () => {
  using installation = openInstallation();
  const { folder, file } = installation;
  const args = ['--config', file, '--keys', folder];

  const usage = await start([]).ended;
  assert.is(usage.code, 2);
  assert.match(usage.stderr, /^latchkey provider: usage: .*\n$/);

  const noConfig = await start(['--config', join(folder, 'nothing.yaml'), '--keys', folder]).ended;
  assert.is(noConfig.code, 2);
  assert.match(noConfig.stderr, /the file does not exist/);
  assert.not.match(noConfig.stderr, /\n\s+at /);

  const noNats = await start(args, { LATCHKEY_NATS_URL: '' }).ended;
  assert.is(noNats.code, 2);
  assert.match(noNats.stderr, /^latchkey provider: no NATS server is named: .*\n$/);

  chmodSync(join(folder, 'provider.gitlab.keys.json'), 0o644);
  const open = await start(args).ended;
  assert.is(open.code, 1);
  assert.match(
    open.stderr,
    /^latchkey provider: key file .*provider\.gitlab\.keys\.json has mode 0644.*chmod 600.*\n$/,
  );

  rmSync(join(folder, 'demo', 'gitlab-client-secret'));
  const noSecret = await start(args).ended;
  assert.is(noSecret.code, 2);
  assert.match(noSecret.stderr, /client_secret_file/);
});

test('what registering itself lacks stops the start: the initial access token, and the key for what is registered', async () => {
  using installation = openInstallation();
  const { folder, file } = installation;
  const args = ['--config', file, '--keys', folder];
  const text = readFileSync(file, 'utf8');
  const registration =
    'dcr_config: {registration_endpoint: http://localhost:2/reg, initial_access_token_env_var: THE_TOKEN}';
  const client = /client_id: latchkey\n +client_secret_file: .*gitlab-client-secret.*\n/;
  writeFileSync(file, text.replace(client, `${registration}\n`));

  const noToken = await start(args).ended;
  assert.is(noToken.code, 2);
  assert.match(noToken.stderr, /initial_access_token_env_var.*THE_TOKEN is not set/s);

  for (const name of providers) {
    const keyFile = join(folder, `provider.${name}.keys.json`);
    const { own: _, ...former } = JSON.parse(readFileSync(keyFile, 'utf8'));
    writeFileSync(keyFile, JSON.stringify(former));
  }
  const noKey = await start(args, { THE_TOKEN: 'a token' }).ended;
  assert.is(noKey.code, 1);
  assert.match(
    noKey.stderr,
    /^latchkey provider: key file provider\.gitlab\.keys\.json has no key .*run `latchkey keys init` again.*\n$/,
  );

  // Where a client is configured nothing is missing.
  await using nats = await openNatsServer();
  const corporate = start([...args, '--only', 'corporate'], { LATCHKEY_NATS_URL: nats.url });
  assert.equal((await corporate.ready).providers, ['corporate']);
  corporate.child.kill('SIGTERM');
  assert.is((await corporate.ended).code, 0);
});

test('NATS that refuses the token ends the start at once', async () => {
  await using nats = await openNatsServer({ token: 'the-token' });
  using installation = openInstallation();
  const process = start(['--config', installation.file, '--keys', installation.folder], {
    LATCHKEY_NATS_URL: nats.url,
    LATCHKEY_NATS_TOKEN: 'another-token',
  });
  const { code, stderr } = await process.ended;
  assert.is(code, 1);
  assert.match(stderr, /^latchkey provider: NATS at nats:.* refuses the user name, password or token\n$/);
  assert.not.match(stderr, /another-token/);
});

test.run();
