/** The gateway as a process, on a real nats-server, beside a vault that the test plays on the bus. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBus } from '../../schemas/bus.ts';
import { realmOf } from '../../schemas/identity.ts';
import { createBootId, createInstanceId } from '../../schemas/ids.ts';
import { describeInstance } from '../../schemas/messages/describe-instance.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile, readRoleKeys, roleKeyFileName } from '../../schemas/role-key-file.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { authSubject } from '../../schemas/subjects.ts';
import { bareEnvironment } from '../world/bare-environment.ts';
import { findFreePorts } from '../world/free-ports.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { createTestSigner } from './signing.ts';

const test = suite('gateway/main');
const main = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url));
const signer = await createTestSigner();
const assistantSecret = 'the-secret-of-the-assistant-0123456789';

function configuration(port: number): string {
  const origin = `http://localhost:${port}`;
  return `
incomingAuth: { type: oidc, oidc: { issuer: '${origin}', audience: '${origin}/mcp' } }
authServer:
  runConfig:
    issuer: ${origin}
    allowed_audiences: ['${origin}/mcp']
    clients:
      - client_id: assistant
        client_name: The Assistant
        redirect_uris: ['https://assistant.example/callback']
        client_secret_env_var: ASSISTANT_CLIENT_SECRET
    upstreams:
      - name: gitlab
        type: oauth2
        oauth2_config:
          authorization_endpoint: http://localhost:1/authorize
          token_endpoint: http://localhost:1/token
          client_id: latchkey
          client_secret_env_var: GITLAB_CLIENT_SECRET
          allow_private_ips: true
          userinfo: { endpoint_url: 'http://localhost:1/user' }
backends: [{ name: dead, url: 'http://127.0.0.1:1/mcp', transport: streamable-http }]
gateway: { listen: { host: 127.0.0.1, port: ${port} } }
`;
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

interface StartedGateway {
  readonly child: ChildProcess;
  readonly ready: Promise<Record<string, unknown>>;
  readonly ended: Promise<Ended>;
}

function run(args: readonly string[], env: Record<string, string> = {}): StartedGateway {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...bareEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, stderr })));
  const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Record<string, unknown>));
    void ended.then(({ code }) => reject(new Error(`ended with ${code}: ${stderr}`)));
  });
  ready.catch(() => {});
  return { child, ready, ended };
}

const rootKey = randomBytes(32);
const instanceId = createInstanceId();

function writeKeys(folder: string, role: 'gateway' | 'vault', options: { instanceId?: string } = {}): string {
  const file = join(folder, roleKeyFileName(role));
  const keys = deriveRoleKeyFile({ rootKey, instanceId, role, providers: ['gitlab'], ...options });
  writeFileSync(file, JSON.stringify(keys), { mode: 0o600 });
  return file;
}

/** A vault that can do nothing but say who it is. */
async function playVault(url: string, folder: string, issuer: string) {
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [url], token: 'nats-token', role: 'vault', bootId });
  const envelopes = createSealedEnvelopes({
    keys: readRoleKeys(folder, { role: 'vault' }),
    bootId,
    now: Date.now,
  });
  createBus({ connection, envelopes }).serve(
    describeInstance,
    { subject: authSubject(describeInstance.name), pair: 'gateway-vault', queue: 'vault' },
    () => ({
      instanceId,
      issuer,
      realm: realmOf(instanceId),
      partitions: 64,
      signingKeys: [signer.publicKey],
    }),
  );
  await connection.flush();
  return { [Symbol.asyncDispose]: () => connection.close() };
}

test('serves beside NATS and a vault, says what is away, and ends in order', async () => {
  await using nats = await openNatsServer({ token: 'nats-token' });
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-gateway-'));
  writeKeys(folder.path, 'vault');
  writeKeys(folder.path, 'gateway');
  const [port] = (await findFreePorts(1)) as [number];
  const config = join(folder.path, 'latchkey.yaml');
  writeFileSync(config, configuration(port));
  const env = {
    LATCHKEY_NATS_URL: nats.url,
    LATCHKEY_NATS_TOKEN: 'nats-token',
    ASSISTANT_CLIENT_SECRET: assistantSecret,
  };
  const args = ['--config', config, '--keys', folder.path];
  const origin = `http://localhost:${port}`;
  {
    await using _vault = await playVault(nats.url, folder.path, 'http://localhost:1');
    const { code, stderr } = await run(args, env).ended;
    assert.is(code, 2);
    assert.match(stderr, /^latchkey gateway: the vault signs for the issuer http:\/\/localhost:1, .*\n$/);
  }
  const vault = await playVault(nats.url, folder.path, origin);
  try {
    const occupied = createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => occupied.once('listening', resolve));
    const refused = await run(args, env).ended;
    await new Promise((resolve) => occupied.close(resolve));
    assert.is(refused.code, 1);
    assert.match(
      refused.stderr,
      new RegExp(`^latchkey gateway: cannot listen on 127.0.0.1 port ${port}: another program listens.*\n$`),
    );

    const gateway = run(args, env);
    assert.equal(await gateway.ready, { ready: true, port, mcpUrl: `${origin}/mcp` });
    assert.is((await fetch(`${origin}/health`)).status, 200);
    assert.is((await fetch(`${origin}/readyz`)).status, 200);
    const unauthorized = await fetch(`${origin}/mcp`, { method: 'POST', body: '{}' });
    assert.is(unauthorized.status, 401);
    const metadataUrl = /resource_metadata="([^"]+)"/.exec(
      unauthorized.headers.get('www-authenticate')!,
    )![1]!;
    const metadata = (await (await fetch(metadataUrl)).json()) as { resource: string };
    assert.is(metadata.resource, `${origin}/mcp`);
    for (const [secret, error] of [
      [undefined, 'invalid_client'],
      ['wrong', 'invalid_client'],
      [assistantSecret, 'unsupported_grant_type'],
    ] as const) {
      const form = { grant_type: 'password', client_id: 'assistant' };
      const body = new URLSearchParams(secret === undefined ? form : { ...form, client_secret: secret });
      const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', body });
      assert.is(((await answer.json()) as { error: string }).error, error);
    }

    await vault[Symbol.asyncDispose]();
    const away = await fetch(`${origin}/readyz`);
    assert.is(away.status, 503);
    assert.equal(await away.json(), { status: 'not-ready', nats: 'ok', vault: 'no-answer', keys: 'unknown' });

    gateway.child.kill('SIGTERM');
    assert.equal(await gateway.ended, { code: 0, stderr: '' });
  } finally {
    await vault[Symbol.asyncDispose]();
  }
});

test('wrong arguments, configuration and key files are one clear report, and nothing listens', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-gateway-'));
  const config = join(folder.path, 'latchkey.yaml');
  writeFileSync(config, configuration(4483));
  const wrong = join(folder.path, 'wrong.yaml');
  writeFileSync(wrong, `${configuration(4483)}\nsurprise: 1\n`);
  const keys = writeKeys(folder.path, 'gateway');
  const vaultKeys = writeKeys(folder.path, 'vault');
  const env = { LATCHKEY_NATS_URL: 'nats://127.0.0.1:1', ASSISTANT_CLIENT_SECRET: assistantSecret };
  const cases: [string[], number, RegExp][] = [
    [['--config', config], 2, /needs --keys PATH/],
    [['--config', wrong, '--keys', keys], 2, /surprise/],
    [['--config', join(folder.path, 'none.yaml'), '--keys', keys], 2, /does not exist/],
    [['--config', config, '--keys', join(folder.path, 'none.json')], 1, /none\.json does not exist/],
    [['--config', config, '--keys', vaultKeys], 1, /is for the role vault/],
  ];
  const outcomes = await Promise.all(cases.map(([args]) => run(args, env).ended));
  for (const [at, { code, stderr }] of outcomes.entries()) {
    const [, expectedCode, pattern] = cases[at]!;
    assert.is(code, expectedCode, stderr);
    assert.match(stderr, pattern);
    assert.not.match(stderr, /\n\s+at /);
  }
  chmodSync(keys, 0o644);
  const tooOpen = await run(['--config', config, '--keys', keys], env).ended;
  assert.is(tooOpen.code, 1);
  assert.match(tooOpen.stderr, /has mode 0644/);
});

test.run();
