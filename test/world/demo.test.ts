import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import readline from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import * as oauth from 'openid-client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../schemas/config/load-config.ts';
import { Browser } from './browser.ts';
import { type DemoOptions, type DemoPlace, writeDemoConfiguration } from './demo-configuration.ts';
import { findFreePorts } from './free-ports.ts';
import { connectAsPerson, connectAsPersonV1 } from './mcp-client.ts';
import { alice, walkThroughSignIn } from './person.ts';

const places: DemoPlace[] = ['gateway', 'corporate', 'gitlab', 'corporateTools', 'gitlabTools', 'everything'];

async function openFolder() {
  const dataDir = mkdtempSync(join(tmpdir(), 'latchkey-demo-'));
  const free = await findFreePorts(places.length);
  const ports = Object.fromEntries(places.map((place, index) => [place, free[index]!])) as Record<
    DemoPlace,
    number
  >;
  return { dataDir, ports, [Symbol.dispose]: () => rmSync(dataDir, { recursive: true, force: true }) };
}

function startDemo(options: DemoOptions, withIpc = false) {
  const child = spawn(process.execPath, [new URL('./demo.ts', import.meta.url).pathname], {
    env: { ...process.env, LATCHKEY_DEMO: JSON.stringify(options) },
    stdio: withIpc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe'],
  }) as ChildProcessByStdio<null, Readable, Readable>;
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'exit');
  return {
    child,
    ended,
    complaint: () => complaint,
    readLine: async () => JSON.parse((await lines.next()).value ?? '{}') as Record<string, unknown>,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function startReady(options: DemoOptions, withIpc = false) {
  const demo = startDemo(options, withIpc);
  assert.is((await demo.readLine()).state, 'configured', demo.complaint());
  assert.is((await demo.readLine()).state, 'ready', demo.complaint());
  return demo;
}

async function waitUntilClosed(port: number): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const answer = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => resolve('open')).once('error', () => resolve('closed'));
      socket.once('connect', () => socket.destroy());
    });
    if (answer === 'closed') return;
    await sleep(100);
  }
  assert.unreachable(`port ${port} still answers`);
}

test('the configuration of the demo is accepted without a problem, and its secrets stay the same', async () => {
  using folder = await openFolder();
  const first = writeDemoConfiguration(folder);
  const { config, problems } = loadConfig(first.file);
  assert.equal(problems, []);
  assert.is(config?.gateway.listen.port, folder.ports.gateway);
  assert.is(statSync(first.stateDir).mode & 0o777, 0o700);
  assert.is(statSync(join(first.stateDir, 'gitlab-client-secret')).mode & 0o777, 0o600);
  assert.equal(writeDemoConfiguration(folder), first);
  assert.not.match(readFileSync(first.file, 'utf8'), first.clientSecrets.gitlab);
});

test('the demo world survives kill -9: the tokens of both providers still work', async () => {
  using folder = await openFolder();
  const { clientSecrets, redirectUris, origins } = writeDemoConfiguration(folder);
  const redirectUri = redirectUris.gitlab[0]!;
  const configuration = new oauth.Configuration(
    {
      issuer: origins.gitlab,
      authorization_endpoint: `${origins.gitlab}/oauth/authorize`,
      token_endpoint: `${origins.gitlab}/oauth/token`,
    },
    'latchkey',
    clientSecrets.gitlab,
  );
  oauth.allowInsecureRequests(configuration);
  let refreshToken: string;
  {
    await using demo = await startReady(folder);
    const start = oauth.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: 'read_user',
    });
    const { url } = await walkThroughSignIn(new Browser(), start, { person: alice, stopAt: redirectUri });
    const tokens = await oauth.authorizationCodeGrant(configuration, url);
    assert.is(tokens.expires_in, 180);
    refreshToken = tokens.refresh_token!;
    await using everything = await connectAsPersonV1({ mcpUrl: `${origins.everything}/mcp`, person: alice });
    assert.ok((await everything.client.listTools()).tools.length > 3);
    demo.child.kill('SIGKILL');
    await demo.ended;
  }
  await waitUntilClosed(folder.ports.everything);
  await using _again = await startReady(folder);
  const refreshed = await oauth.refreshTokenGrant(configuration, refreshToken);
  await using connection = await connectAsPerson({
    mcpUrl: `${origins.gitlabTools}/mcp`,
    person: alice,
    kept: { tokens: { access_token: refreshed.access_token, token_type: 'Bearer' } },
  });
  const result = await connection.client.callTool({ name: 'whoami', arguments: {} });
  assert.is((result.structuredContent as { username: string }).username, 'alice');
});

for (const [channel, cut] of [
  ['standard input', (child) => child.stdin?.destroy()],
  ['the IPC channel', (child) => child.disconnect()],
] as [string, (child: ChildProcess) => void][]) {
  test(`it ends, with its child, when its parent is gone: ${channel}`, async () => {
    using folder = await openFolder();
    await using demo = await startReady(folder, channel === 'the IPC channel');
    cut(demo.child);
    await Promise.race([demo.ended, sleep(5000, null, { ref: false })]);
    assert.is(demo.child.exitCode, 0, demo.complaint());
    for (const place of places) await waitUntilClosed(folder.ports[place]);
  });
}

test('a port in use is one clear line and a non-zero exit', async () => {
  using folder = await openFolder();
  const other = net.createServer().listen(folder.ports.gitlab, '127.0.0.1');
  try {
    await once(other, 'listening');
    await using demo = startDemo(folder);
    await demo.ended;
    assert.is(demo.child.exitCode, 1);
    assert.is(demo.complaint(), `the demo world cannot start: port ${folder.ports.gitlab} is in use\n`);
    await waitUntilClosed(folder.ports.everything);
  } finally {
    other.close();
  }
});

test.run();
