/**
 * After a run over what the product does no token, code, client secret, e-mail address or upstream subject lies in clear
 * in the data folder, the store of NATS, on the connections between the processes and NATS, or in any output: neither as
 * it is nor in base64, base64url or hex.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openGatewaySide } from '../world/gateway-side.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { runOperatorCommand } from '../world/operator-command.ts';
import { alice, bob } from '../world/person.ts';
import { openRecordedNats, type RecordedNats } from '../world/recorded-nats.ts';
import { openStrategiesWorld } from '../world/strategies-world.ts';
import { tokenServiceSecret } from '../world/strategy-backends.ts';

const test = suite('nothing in clear');

const natsToken = 'token-of-the-recorded-nats';

/** The value, its hex, and its base64 at each of the three offsets without the characters that depend on neighbours. */
function formsOf(value: string): Buffer[] {
  const inBase64 = [0, 1, 2].map((offset) => {
    const text = Buffer.from('\0'.repeat(offset) + value).toString('base64');
    return text.slice(offset === 0 ? 0 : offset + 1, -4);
  });
  const inBase64Url = inBase64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const hex = Buffer.from(value).toString('hex');
  return [value, ...inBase64, ...inBase64Url, hex, hex.toUpperCase()].map((text) => Buffer.from(text));
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
  await using world = await openStrategiesWorld({
    exchanged: ['orders'],
    gateways: 2,
    providerWorkers: 2,
    gitlabAccessTokenSeconds: 2,
    openNats: () => openRecordedNats(natsToken),
  });
  const { installation, service } = world;
  const { mcpUrl, issuer, corporate, gitlab, gitlabTools, folder } = installation;
  const nats = installation.nats as RecordedNats;

  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const exchangedTokens = () => [...service.issued.keys()];
  const call = (connection: typeof ofAlice, tool: string) =>
    connection.client.callTool({ name: tool, arguments: {} });
  await Promise.all([call(ofAlice, 'gitlab-tools_whoami'), call(ofBob, 'corporate-tools_whoami')]);
  await Promise.all([call(ofAlice, 'orders_whoami'), call(ofBob, 'orders_whoami')]);
  await sleep(2500);
  await Promise.all([call(ofAlice, 'gitlab-tools_whoami'), call(ofBob, 'gitlab-tools_whoami')]);
  // A token that the backend rejects is refreshed by force; the client's own is refreshed, and comes a second time.
  gitlabTools.rejects.add(gitlabTools.authorizations.at(-1)!.replace('Bearer ', ''));
  const used = ofAlice.kept.tokens!.refresh_token!;
  await Promise.all([call(ofAlice, 'gitlab-tools_whoami'), call(ofBob, 'gitlab-tools_whoami')]);
  assert.ok(gitlabTools.refused > 0);
  const redeem = () =>
    fetch(`${issuer}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: used,
        client_id: ofAlice.kept.clientInformation!.client_id,
        resource: mcpUrl,
      }),
    });
  const renewed = await redeem();
  assert.is(renewed.status, 200);
  const renewedTokens = (await renewed.json()) as { access_token: string; refresh_token: string };
  const operator = async (...command: string[]) => {
    const { status, stdout, stderr } = await runOperatorCommand(installation, ...command);
    assert.is(status, 0, stderr);
    return stdout;
  };
  // An account is revoked, linked in its place, and unlinked.
  await using gateway = await openGatewaySide(installation, bob, ofBob.accessToken(), { token: natsToken });
  const { userId } = gateway;
  const whose = ['--user', userId, '--provider', 'gitlab'];
  const listed = [await operator('grants', 'list', ...whose), await operator('grants', 'revoke', ...whose)];
  assert.is((await gateway.link(`${issuer}/oauth/callback/gitlab`)).status, 'linked');
  assert.not.ok((await call(ofBob, 'gitlab-tools_whoami')).isError);
  listed.push(await operator('grants', 'list', ...whose), await operator('grants', 'forecast', '--list'));
  assert.match(listed.join(''), /gitlab {2}linked/);
  assert.is((await gateway.unlink()).status, 'unlinked');
  // Failures write logs: a provider that breaks with a talkative body, a stranger's token, a callback out of the blue.
  gitlab.setTokenEndpointFault({
    status: 500,
    body: { error: 'server_error', error_description: 'body-of-the-provider' },
  });
  const talkative = {
    status: 400,
    body: '{"error":"invalid_grant","error_description":"body-of-the-service"}',
  };
  service.setFault(talkative);
  world.backends.get('orders')!.rejects.add(exchangedTokens()[0]!);
  await sleep(2500);
  await call(ofAlice, 'gitlab-tools_whoami');
  await Promise.all([call(ofAlice, 'orders_whoami'), call(ofBob, 'orders_whoami')]);
  assert.is(service.requests.length, 3);
  await fetch(mcpUrl, { method: 'POST', headers: { authorization: 'Bearer stranger-token-value' } });
  await fetch(`${issuer}/oauth/callback/gitlab?state=state-from-nowhere-0001&code=code-from-nowhere-0001`);
  // The ring is on no disk but its own, and who is forgotten is told to nobody.
  const said = [
    ...listed,
    await operator('keys', 'rotate'),
    await operator('users', 'forget', '--provider', 'corporate', '--subject', 'corp-7f21'),
  ].join('');
  assert.match(said, 'destroyed the data key');
  await redeem();
  const latchkeyTokens = [ofAlice.kept.tokens!, ofBob.kept.tokens!, renewedTokens];

  const secrets = new Map<string, string>([
    ['talkative provider', 'body-of-the-provider'],
    ['talkative token service', 'body-of-the-service'],
    ['secret at the token service', tokenServiceSecret],
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
  assert.is(exchangedTokens().length, 2);
  for (const token of exchangedTokens()) secrets.set(`exchanged token ${secrets.size}`, token);
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
  const wire = nats.recordings();
  // Every process spoke through the recorder, and was heard both ways.
  for (const name of ['gateway', 'vault', 'provider', 'operator'])
    assert.ok(
      wire.some((said) => said.includes(`"name":"latchkey ${name} boot_`)),
      name,
    );
  assert.ok(
    wire.some((told) => told.includes('MSG latchkey.vault.') && told.includes('find-upstream-tokens')),
  );
  for (const said of wire) assert.equal(leaksIn(said, secrets), [], 'on the wire');
  assert.equal(leaksIn(Buffer.from(installation.output() + said), secrets), [], 'in the output');

  // What is searched for would be found: planted on the wire in hex, on disk in base64url, in an output as it is.
  const planted = await connect({ servers: nats.url, token: natsToken });
  planted.publish('latchkey.fact.gateway.planted', Buffer.from('corp-7f21').toString('hex'));
  await planted.flush();
  await planted.close();
  assert.equal(leaksIn(Buffer.concat(nats.recordings()), secrets), ['subject at corporate']);
  const file = join(folder, 'vault', 'planted');
  writeFileSync(file, `x${Buffer.from('!alice.adams@corporate.example!').toString('base64url')}x`);
  assert.ok(filesUnder(folder).includes(file));
  assert.equal(leaksIn(readFileSync(file), secrets), ['e-mail at corporate']);
  rmSync(file);
  assert.equal(leaksIn(Buffer.from('{"msg":"of Alice Adams"}'), secrets), ['name']);
});

test.run();
