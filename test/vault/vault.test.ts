/** The vault as a whole: what it still knows after a restart, without its projection, and what an eavesdropper sees. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId, createCommandId, createInstanceId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { Secret } from '../../schemas/secret.ts';
import { VaultError } from '../../vault/errors.ts';
import { createKeyRingFile } from '../../vault/sealing/key-ring.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { tokenPayload, useOf } from '../world/token-use.ts';
import {
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signIn,
  type TestVault,
  tokenSet,
} from '../world/vault.ts';
import { failedWith, refreshedTo } from './refresh/refresh-world.ts';

const test = suite('vault');

async function statusOf({ vault }: TestVault, { partition, accessToken }: SignedIn): Promise<string> {
  const request = { accessToken, providers: ['corporate', 'gitlab'], minValidSeconds: 0 };
  const { answers } = await vault.findUpstreamTokens(partition, request);
  return ['corporate', 'gitlab']
    .map((provider) => {
      const answer = answers[provider]!;
      return answer.status === 'ok' ? `${answer.accessToken.reveal()} v${answer.version}` : answer.status;
    })
    .join(', ');
}

/** Signs in with gitlab tokens that have expired, and lets the refresh come to the given end. */
async function liveThrough(t: TestVault, name: string, end: 'fresh' | 'open' | 'failed' | 'final') {
  t.providers.subject = name;
  t.providers.tokens.set('gitlab', tokenSet(name, Date.now() - 1000));
  const person = await signIn(t, `interaction-uid-of-${name}`);
  const orders = t.providers.refreshes.length;
  await statusOf(t, person);
  while (t.providers.refreshes.length === orders) await sleep(5);
  const order = t.providers.refreshes[orders]!;
  const { grantId } = order.grant;
  const outcome = {
    fresh: refreshedTo(`${name}-new`),
    open: null,
    failed: failedWith('provider-unavailable', 3600),
    final: failedWith('invalid-grant'),
  }[end];
  const delivery = { provider: 'gitlab', grantId, claimId: order.claimId };
  if (outcome) await t.vault.recordRefreshOutcome(person.partition, 'gitlab', { ...delivery, outcome });
  return person;
}

async function liveThroughAll(t: TestVault): Promise<SignedIn[]> {
  const people: SignedIn[] = [];
  for (const end of ['fresh', 'open', 'failed', 'final'] as const)
    people.push(await liveThrough(t, `person-${end}`, end));
  return people;
}

const rowsIn = (folder: string): unknown => {
  const database = new Database(join(folder, 'projection.sqlite'), { readonly: true });
  try {
    return {
      grants: database.prepare('SELECT * FROM grants ORDER BY grant_id').all(),
      sessions: database.prepare('SELECT * FROM sessions ORDER BY session_id').all(),
    };
  } finally {
    database.close();
  }
};

const expected = [
  'corporate-access-token-clear v1, person-fresh-new-access-token-clear v2',
  'corporate-access-token-clear v1, pending',
  'corporate-access-token-clear v1, refresh-failed',
  'corporate-access-token-clear v1, reauth-required',
];

test('a restart changes no answer', async () => {
  await using nats = await openNatsServer();
  await using first = await openTestVault({ url: nats.url });
  const people = await liveThroughAll(first);
  await using t = await first.reopen();
  assert.equal(await Promise.all(people.map((person) => statusOf(t, person))), expected);
  assert.is(t.providers.refreshes.length, 4, 'no refresh token was sent again');
});

test('without its projection it reads the log again: the same rows and the same answers', async () => {
  await using nats = await openNatsServer();
  await using first = await openTestVault({ url: nats.url });
  const people = await liveThroughAll(first);
  const before = rowsIn(first.folder);
  for (const part of ['', '-wal', '-shm'])
    rmSync(join(first.folder, `projection.sqlite${part}`), { force: true });
  await using t = await first.reopen();
  assert.equal(rowsIn(t.folder), before);
  assert.equal(await Promise.all(people.map((person) => statusOf(t, person))), expected);
});

test('another worker with another folder knows all of it', async () => {
  await using nats = await openNatsServer();
  await using first = await openTestVault({ url: nats.url });
  const people = await liveThroughAll(first);
  const { keyRing, providers } = first;
  await first[Symbol.asyncDispose]();
  await using t = await openTestVault({ url: nats.url, keyRing, providers });
  assert.equal(await Promise.all(people.map((person) => statusOf(t, person))), expected);
});

test('a kill of NATS in between loses nothing that was acknowledged', async () => {
  await using nats = await openNatsServer();
  await using t = await openTestVault({ url: nats.url });
  const people = await liveThroughAll(t);
  await nats.kill();
  await nats.start();
  while (
    await t.connection.flush().then(
      () => false,
      () => true,
    )
  )
    await sleep(20);
  rmSync(join(t.folder, 'projection.sqlite'), { force: true });
  await using again = await t.reopen();
  assert.equal(await Promise.all(people.map((person) => statusOf(again, person))), expected);
});

test('the NATS of another instance is refused by name', async () => {
  await using nats = await openNatsServer();
  await using _ = await openTestVault({ url: nats.url });
  const error = await openTestVault({
    url: nats.url,
    keyRing: createKeyRingFile(createInstanceId()),
  }).catch((caught) => caught);
  assert.instance(error, VaultError);
  assert.is(error.code, 'stream-incompatible');
  assert.match(error.message, /belongs to another instance/);
});

test('an event that cannot be read stops the worker: it would answer from an old state', async () => {
  await using nats = await openNatsServer();
  await using t = await openTestVault({ url: nats.url });
  await t.connection.jetstream().publish(`latchkey.log.7.grt_${'x'.repeat(32)}`, 'of a later version');
  while (t.problems.length === 0) await sleep(5);
  assert.is((t.problems[0] as VaultError).code, 'stored-event-invalid');
});

test('with the key ring of another making nothing opens', async () => {
  await using nats = await openNatsServer();
  await using first = await openTestVault({ url: nats.url });
  await signIn(first, 'interaction-uid-of-alice');
  const { instanceId } = first.keyRing;
  await first[Symbol.asyncDispose]();
  const error = await openTestVault({ url: nats.url, keyRing: createKeyRingFile(instanceId) }).catch(
    (caught) => caught,
  );
  assert.is(error.code, 'key-unknown');
  assert.match(error.message, /kek_[\w-]{11}, which is not in the key ring/);
});

test('a full life leaves nothing in clear: on the wire, in the store of NATS, in SQLite', async () => {
  await using nats = await openNatsServer();
  const spy = await openNatsConnection({ servers: [nats.url], role: 'operator', bootId: createBootId() });
  const wire: Buffer[] = [];
  spy.subscribe('>', {
    callback: (_, { subject, headers, data, reply }) =>
      wire.push(Buffer.concat([Buffer.from(`${subject} ${reply} ${headers}`), data])),
  });
  await spy.flush();
  const providers = createPlayedProviders();
  const secrets = {
    idToken: new Secret('clear-id-token-of-corporate'),
    scope: 'openid',
  };
  providers.tokens.set('corporate', { ...tokenSet('corporate', Date.now() + 3_600_000), ...secrets });
  await using t = await openTestVault({ url: nats.url, providers });
  const folder = t.folder;
  const people = await liveThroughAll(t);
  await t.vault.records.put(
    'RefreshToken',
    'clear-bearer-value',
    { ...tokenPayload, accountId: 'usr_clear-account-id-xxxxxxxxxxxxxxxx' },
    {
      commandId: createCommandId(),
      expiresInSeconds: 60,
    },
  );
  await t.vault.tokenUses.begin(useOf('clear-bearer-value', 'RefreshToken'));
  await sleep(50);
  await spy.flush();

  const clear = [
    'access-token-clear',
    'refresh-token-clear',
    'clear-id-token',
    'alice@corporate.example',
    'Alice Example',
    'person-fresh',
    'person-open',
    'clear-bearer-value',
    'clear-account-id',
    'state-of-a-leg',
    ...people.map(({ principal }) => principal.sub),
  ];
  const files = [...filesIn(folder), ...filesIn(nats.folder)];
  assert.ok(files.some((file) => file.endsWith('projection.sqlite')));
  assert.ok(files.some((file) => file.endsWith('.blk')));
  const places = new Map([
    ['the wire', Buffer.concat(wire)],
    ...files.map((file) => [file.replace(/^.*\//, ''), readFileSync(file)] as const),
  ]);
  assert.ok(places.get('the wire')!.includes('latchkey.log.'), 'the spy heard the log');
  assert.ok(places.get('the wire')!.includes('$KV.AUTH.'), 'the spy heard the bucket');
  const found = [...places].flatMap(([place, bytes]) =>
    clear.filter((text) => bytes.includes(text)).map((text) => `${text} in ${place}`),
  );
  await spy.close();
  assert.equal(found, []);
});

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test.run();
