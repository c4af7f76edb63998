/**
 * After a run with sign-ins, calls, refreshes, failures, a change of the vault's key and a person forgotten no token, code, client secret, e-mail address or upstream
 * subject lies in clear in the data folder, the NATS store, on the NATS connection, or in any output.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';

const test = suite('nothing in clear');

/** The value itself and its base64 at each of the three offsets, without the characters that depend on neighbours. */
function formsOf(value: string): Buffer[] {
  const inBase64 = [0, 1, 2].map((offset) => {
    const text = Buffer.from('\0'.repeat(offset) + value).toString('base64');
    return text.slice(offset === 0 ? 0 : offset + 1, -4);
  });
  return [value, ...inBase64, ...inBase64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))].map(
    (text) => Buffer.from(text),
  );
}

function leaksIn(content: Buffer, secrets: ReadonlyMap<string, string>): string[] {
  return [...secrets]
    .filter(([, value]) => formsOf(value).some((form) => content.includes(form)))
    .map(([name]) => name);
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('not on disk, not on the wire, not in any output', async () => {
  await using installation = await openInstallation({
    gateways: 2,
    providerWorkers: 2,
    gitlabAccessTokenSeconds: 2,
  });
  const { mcpUrl, issuer, corporate, gitlab, nats, folder } = installation;
  const wire: Buffer[] = [];
  const tap = await connect({ servers: nats.url, token: 'token-of-the-test-nats' });
  tap.subscribe('>', {
    callback: (_, message) => void wire.push(Buffer.from(message.data), Buffer.from(message.subject)),
  });

  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const call = (connection: typeof ofAlice, tool: string) =>
    connection.client.callTool({ name: tool, arguments: {} });
  await Promise.all([call(ofAlice, 'gitlab-tools_whoami'), call(ofBob, 'corporate-tools_whoami')]);
  await sleep(2500);
  await Promise.all([call(ofAlice, 'gitlab-tools_whoami'), call(ofBob, 'gitlab-tools_whoami')]);
  // Failures write logs: a provider that breaks with a talkative body, a stranger's token, a callback out of the blue.
  gitlab.setTokenEndpointFault({
    status: 500,
    body: { error: 'server_error', error_description: 'body-of-the-provider' },
  });
  await sleep(2500);
  await call(ofAlice, 'gitlab-tools_whoami');
  await fetch(mcpUrl, { method: 'POST', headers: { authorization: 'Bearer stranger-token-value' } });
  await fetch(`${issuer}/oauth/callback/gitlab?state=state-from-nowhere-0001&code=code-from-nowhere-0001`);
  // The operator's commands: the ring is on no disk but its own, and who is forgotten is told to nobody.
  const operator = async (...command: string[]) => {
    const latchkey = fileURLToPath(new URL('../../workers/cli/latchkey.ts', import.meta.url));
    const args = [latchkey, ...command, '--keys', installation.keys];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: installation.environmentOf('operator'),
    });
    return stdout;
  };
  const said = [
    await operator('keys', 'rotate'),
    await operator('users', 'forget', '--provider', 'corporate', '--subject', 'corp-7f21'),
  ].join('');
  assert.match(said, 'destroyed the data key');
  const latchkeyTokens = [ofAlice.kept.tokens!, ofBob.kept.tokens!];
  await tap.flush();
  await tap.close();

  const secrets = new Map<string, string>([
    ['talkative provider', 'body-of-the-provider'],
    ['stranger token', 'stranger-token-value'],
    ['stray state', 'state-from-nowhere-0001'],
    ['stray code', 'code-from-nowhere-0001'],
    ['e-mail at corporate', 'alice.adams@corporate.example'],
    ['e-mail at gitlab', 'bob@gitlab.example'],
    ['subject at corporate', 'corp-7f21'],
    ['name', 'Alice Adams'],
    ['secret of corporate', readFileSync(join(folder, 'demo', 'corporate-client-secret'), 'utf8')],
    ['secret of gitlab', readFileSync(join(folder, 'demo', 'gitlab-client-secret'), 'utf8')],
  ]);
  const ring = JSON.parse(readFileSync(join(installation.keys, 'vault.keyring.json'), 'utf8'));
  assert.is(ring.keys.length, 2);
  for (const { id, key } of ring.keys) secrets.set(`key ${id}`, key);
  secrets.set('index key', ring.indexKey);
  latchkeyTokens.forEach((tokens, index) => {
    secrets.set(`access token of client ${index}`, tokens.access_token);
    secrets.set(`refresh token of client ${index}`, tokens.refresh_token!);
  });
  for (const { name, tokens, tokenRequests } of [corporate, gitlab]) {
    for (const token of tokens) secrets.set(`token ${secrets.size} of ${name}`, token);
    for (const { sent } of tokenRequests)
      if (sent.code) secrets.set(`code ${secrets.size} of ${name}`, sent.code);
  }
  assert.ok(secrets.size > 24, `only ${secrets.size} secrets are known`);

  // The demo folder plays the other companies, and the key files are what they are.
  const theirs = [join(folder, 'demo'), installation.keys];
  const files = [...filesUnder(folder), ...filesUnder(nats.folder)].filter(
    (file) => !theirs.some((other) => file.startsWith(other)),
  );
  assert.ok(files.some((file) => file.endsWith('projection.sqlite-wal')));
  assert.ok(
    files.some((file) => file.endsWith('.blk')),
    'the store of JetStream is looked at',
  );
  for (const file of files) assert.equal(leaksIn(readFileSync(file), secrets), [], file);
  assert.ok(wire.length > 100);
  assert.equal(leaksIn(Buffer.concat(wire), secrets), [], 'on the wire');
  assert.equal(leaksIn(Buffer.from(installation.output() + said), secrets), [], 'in the output');

  // The search itself finds what is there.
  assert.equal(leaksIn(Buffer.from(`x${Buffer.from('!corp-7f21!').toString('base64')}x`), secrets), [
    'subject at corporate',
  ]);
});

test.run();
