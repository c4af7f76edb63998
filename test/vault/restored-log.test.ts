/**
 * NATS comes up with an older copy of its store, or without its tail: what providers gave comes back from the outbox, by
 * version and never over something newer; what a worker had read of the lost tail is forgotten and read anew.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { VaultFact } from '../../schemas/events/facts.ts';
import { createCommandId } from '../../schemas/ids.ts';
import { Secret } from '../../schemas/secret.ts';
import type { VaultError } from '../../vault/errors.ts';
import type { RefreshOrder } from '../../vault/refresh/refresher.ts';
import { openNatsServer, type TestNatsServer } from '../world/nats-server.ts';
import { copyStore, putBack } from '../world/nats-store-copy.ts';
import { tokenPayload, useOf } from '../world/token-use.ts';
import {
  createPlayedProviders,
  openTestVault,
  type PlayedProviders,
  type SignedIn,
  signedToken,
  signIn,
  type TestVault,
  tokenSet,
} from '../world/vault.ts';

/** A new order for a record that lives ten minutes. */
const order = () => ({ commandId: createCommandId(), expiresInSeconds: 600 });

const test = suite('restored log');

interface World extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly providers: PlayedProviders;
  readonly clock: { aheadMs: number };
  /** The vault of now, on the first folder. */
  readonly t: TestVault;
  /** Closes the vault, does something, and opens it again. */
  meanwhile(work: () => Promise<void>): Promise<void>;
  /** Of the store as it is now; the vault is connected again. */
  copy(): Promise<string>;
  /** Another worker of the same instance, while the first is away. */
  other(): Promise<TestVault>;
}

async function openWorld(): Promise<World> {
  const nats = await openNatsServer();
  const providers = createPlayedProviders();
  const clock = { aheadMs: 0 };
  const options = { url: nats.url, providers, now: () => Date.now() + clock.aheadMs };
  let t = await openTestVault(options);
  const { keyRing } = t;
  const otherFolder = mkdtempSync(join(tmpdir(), 'latchkey-other-'));
  return {
    ...{ nats, providers, clock },
    get t() {
      return t;
    },
    async meanwhile(work) {
      t = await t.reopen(work);
    },
    async copy() {
      const copy = await copyStore(nats);
      const isConnected = () =>
        t.connection.flush().then(
          () => true,
          () => false,
        );
      while (!(await isConnected())) await sleep(20);
      return copy;
    },
    other: () => openTestVault({ ...options, keyRing, folder: otherFolder }),
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
      rmSync(otherFolder, { recursive: true, force: true });
    },
  };
}

/** With a gitlab token that is over. */
async function signInExpired({ providers, t }: Pick<World, 'providers' | 't'>, name: string) {
  providers.tokens.set('gitlab', tokenSet(`${name}-1`, t.now() - 1000));
  const person = await signIn(t, `interaction-of-${name}`, name);
  providers.tokens.delete('gitlab');
  return person;
}

function ask({ vault, now }: TestVault, { partition, principal, sessionId }: SignedIn) {
  const iat = Math.floor(now() / 1000);
  const accessToken = signedToken(vault, partition, principal.sub, sessionId, { iat, exp: iat + 600 });
  return vault.findUpstreamTokens(partition, { accessToken, providers: ['gitlab'], minValidSeconds: 0 });
}

async function answerTo(t: TestVault, person: SignedIn): Promise<string> {
  const answer = (await ask(t, person)).answers.gitlab!;
  return answer.status === 'ok' ? `${answer.accessToken.reveal()} v${answer.version}` : answer.status;
}

/** The claim is in the log. */
async function startRefresh(t: TestVault, person: SignedIn): Promise<RefreshOrder> {
  const { refreshes } = t.providers;
  const known = refreshes.length;
  // One that is asked while NATS starts comes to nothing.
  for (; refreshes.length === known; await sleep(5)) await ask(t, person);
  return refreshes.at(-1)!;
}

async function deliver({ vault, now }: TestVault, order: RefreshOrder, name: string, livesMs = 3_600_000) {
  const { claimId, partition, grant } = order;
  const outcome = { status: 'refreshed', tokens: tokenSet(name, now() + livesMs) } as const;
  const delivery = { provider: 'gitlab', grantId: grant.grantId, claimId, outcome };
  await vault.recordRefreshOutcome(partition, 'gitlab', delivery);
}

/** Resolves when so many outcomes are: one that comes while NATS starts lies in the outbox first. */
async function inLog({ folder }: TestVault, count: number): Promise<void> {
  const database = new Database(join(folder, 'outbox.sqlite'), { readonly: true });
  const appended = database.prepare('SELECT count(*) AS n FROM entries WHERE sequence IS NOT NULL');
  while ((appended.get() as { n: number }).n < count) await sleep(20);
  database.close();
}

/** Brings the tokens to the next version. @param livesMs 0: the one after it is needed at once */
async function refresh(t: TestVault, person: SignedIn, name: string, livesMs?: number): Promise<void> {
  await deliver(t, await startRefresh(t, person), name, livesMs);
}

async function factsOf({ connection }: TestVault, name: string): Promise<VaultFact[]> {
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info('VAULT');
  const facts: VaultFact[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage('VAULT', { seq }).catch(() => null);
    if (message?.subject.includes(`.${name}.`)) facts.push(JSON.parse(Buffer.from(message.data).toString()));
  }
  return facts;
}

const rowsIn = (folder: string) => {
  const database = new Database(join(folder, 'projection.sqlite'), { readonly: true });
  try {
    return {
      grants: database.prepare('SELECT * FROM grants ORDER BY grant_id').all(),
      sessions: database.prepare('SELECT * FROM sessions ORDER BY session_id').all(),
      forgotten: database.prepare('SELECT * FROM forgotten ORDER BY principal_key').all(),
    };
  } finally {
    database.close();
  }
};

const unmarked = ({ folder }: TestVault): number => {
  const database = new Database(join(folder, 'outbox.sqlite'), { readonly: true });
  const { n } = database.prepare('SELECT count(*) AS n FROM entries WHERE sequence IS NULL').get() as {
    n: number;
  };
  database.close();
  return n;
};

test('tokens that the lost tail had come back by version, with facts that say so, and no provider is asked', async () => {
  await using w = await openWorld();
  const [alice, bob] = [await signInExpired(w, 'alice'), await signInExpired(w, 'bob')];
  // Of one the claim stays in the log, of the other nothing.
  const claimed = await startRefresh(w.t, bob);
  const copy = await w.copy();
  await deliver(w.t, claimed, 'bob-2');
  await refresh(w.t, alice, 'alice-2', 0);
  await inLog(w.t, 2);
  await refresh(w.t, alice, 'alice-3');
  await inLog(w.t, 3);
  const asked = w.providers.refreshes.length;
  await w.meanwhile(() => putBack(w.nats, copy));
  assert.equal(
    [await answerTo(w.t, alice), await answerTo(w.t, bob)],
    ['alice-3-access-token-clear v3', 'bob-2-access-token-clear v2'],
  );
  assert.is(w.providers.refreshes.length, asked);
  const facts = await factsOf(w.t, 'tokens-refreshed');
  assert.equal(facts.map(({ reason, version }) => `${version} ${reason}`).sort(), [
    '2 repaired-from-outbox',
    '2 repaired-from-outbox',
    '3 repaired-from-outbox',
  ]);
  assert.equal(w.t.problems, []);
  // And again: what was repaired is not repaired twice, and can be lost a second time.
  await w.meanwhile(async () => {});
  assert.is((await factsOf(w.t, 'tokens-refreshed')).length, 3);
  await w.meanwhile(() => putBack(w.nats, copy));
  assert.is(await answerTo(w.t, alice), 'alice-3-access-token-clear v3');
  assert.is(w.providers.refreshes.length, asked);
});

test('a claim and its outcome that NATS acknowledged and lost, the outcome in the outbox only', async () => {
  await using w = await openWorld();
  const alice = await signInExpired(w, 'alice');
  const copy = await w.copy();
  const order = await startRefresh(w.t, alice);
  await w.nats.kill();
  await deliver(w.t, order, 'alice-2');
  // It ends while NATS comes back: what is under way waits for NATS.
  await Promise.all([w.meanwhile(async () => {}), putBack(w.nats, copy)]);
  assert.is(await answerTo(w.t, alice), 'alice-2-access-token-clear v2');
  assert.is(w.providers.refreshes.length, 1);
});

test('a log that went another way: its tokens are newer, whatever their version, and what it let go stays gone', async () => {
  await using w = await openWorld();
  const [alice, bob, carol, dave] = [
    await signInExpired(w, 'alice'),
    await signInExpired(w, 'bob'),
    await signInExpired(w, 'carol'),
    await signInExpired(w, 'dave'),
  ];
  const copy = await w.copy();
  await refresh(w.t, alice, 'alice-2', 0);
  await inLog(w.t, 1);
  await refresh(w.t, alice, 'alice-3');
  for (const [person, name] of [
    [bob, 'bob'],
    [carol, 'carol'],
    [dave, 'dave'],
  ] as const)
    await refresh(w.t, person, `${name}-2`);
  await inLog(w.t, 5);
  const seen: string[] = [];
  await w.meanwhile(async () => {
    await putBack(w.nats, copy);
    await using other = await w.other();
    await refresh(other, alice, 'alice-other');
    await other.vault.operator.forgetUser(bob.partition, bob.principal);
    // Final, as a provider says it of a refresh token that was used before.
    const { claimId, partition, grant } = await startRefresh(other, carol);
    const outcome = { status: 'failed', reason: 'invalid-grant', retryAfterSeconds: null } as const;
    const delivery = { provider: 'gitlab', grantId: grant.grantId, claimId, outcome };
    await other.vault.recordRefreshOutcome(partition, 'gitlab', delivery);
    seen.push(await answerTo(other, alice), await answerTo(other, carol));
  });
  assert.equal(seen, ['alice-other-access-token-clear v2', 'reauth-required']);
  assert.is(await answerTo(w.t, alice), 'alice-other-access-token-clear v2');
  assert.is(await answerTo(w.t, dave), 'dave-2-access-token-clear v2');
  // A token set that was got after the one that was refused is worth a try.
  assert.is(await answerTo(w.t, carol), 'carol-2-access-token-clear v2');
  const refused = await answerTo(w.t, bob).catch((error) => error.code);
  assert.is(refused, 'session-ended');
  assert.equal(rowsIn(w.t.folder).grants.length, 6);
  assert.is(unmarked(w.t), 3, 'nothing is waited for any more');
  assert.equal(w.t.problems, []);
});

test('what was evicted meanwhile, or was not there yet, does not come back; the person signs in again', async () => {
  await using w = await openWorld();
  const alice = await signInExpired(w, 'alice');
  const copy = await w.copy();
  await refresh(w.t, alice, 'alice-2');
  const bob = await signInExpired(w, 'bob');
  await refresh(w.t, bob, 'bob-2');
  await inLog(w.t, 2);
  await w.meanwhile(async () => {
    await putBack(w.nats, copy);
    w.clock.aheadMs = 61 * 60_000;
    await using other = await w.other();
    assert.ok((await other.vault.evict()) > 0);
  });
  assert.equal(rowsIn(w.t.folder).grants, []);
  assert.is(await answerTo(w.t, bob).catch((error) => error.code), 'session-ended');
  w.clock.aheadMs = 0;
  const again = await signIn(w.t, 'interaction-of-bob-again', 'bob');
  assert.match(await answerTo(w.t, again), /gitlab-access-token-clear v1/);
  assert.equal(w.t.problems, []);
});

test('a log with another tail is longer than what was read of the lost one: all of it is read', async () => {
  await using w = await openWorld();
  const alice = await signInExpired(w, 'alice');
  const copy = await w.copy();
  await signIn(w.t, 'interaction-of-who-is-lost', 'lost');
  const others: SignedIn[] = [];
  let live: unknown;
  await w.meanwhile(async () => {
    await putBack(w.nats, copy);
    await using other = await w.other();
    for (let n = 0; n < 6; n++) others.push(await signIn(other, `interaction-of-other-${n}`, `other-${n}`));
    await refresh(other, alice, 'alice-other');
    await sleep(20);
    live = rowsIn(other.folder);
  });
  assert.equal(rowsIn(w.t.folder), live);
  assert.is(await answerTo(w.t, alice), 'alice-other-access-token-clear v2');
  // Their data keys too.
  for (const person of others) assert.match(await answerTo(w.t, person), /gitlab-access-token-clear v1/);
  assert.equal(w.t.problems, []);
});

test('a worker that runs while NATS loses its tail says so and ends, instead of going on from what is not there', async () => {
  await using w = await openWorld();
  const alice = await signInExpired(w, 'alice');
  const copy = await w.copy();
  assert.equal(w.t.problems, [], 'a restart alone is nothing');
  await refresh(w.t, alice, 'alice-2');
  await inLog(w.t, 1);
  await putBack(w.nats, copy);
  const isCutOff = (error: unknown) => (error as VaultError).code === 'stream-cut-off';
  while (!w.t.problems.some(isCutOff)) await sleep(20);
  await w.meanwhile(async () => {});
  assert.is(await answerTo(w.t, alice), 'alice-2-access-token-clear v2');
  assert.is(w.providers.refreshes.length, 1);
});

test('AUTH and KEYS of an older copy: a used code can be used once more, and a new person gets a key', async () => {
  await using w = await openWorld();
  await w.t.vault.records.put('AuthorizationCode', 'a-code', tokenPayload, order());
  const copy = await w.copy();
  const use = useOf('a-code');
  await w.t.vault.tokenUses.begin(use);
  await w.t.vault.records.put('Grant', tokenPayload.grantId, {}, order());
  const answer = { body: new Secret('{}'), requestDigest: use.requestDigest, successor: null };
  await w.t.vault.tokenUses.end({ ...use, answer });
  await w.t.vault.records.put('RefreshToken', 'issued-later', {}, order());
  await signIn(w.t, 'interaction-of-alice', 'alice');
  await w.meanwhile(() => putBack(w.nats, copy));
  const record = await w.t.vault.records.findById('AuthorizationCode', 'a-code');
  assert.is(record?.consumed, undefined);
  assert.is(await w.t.vault.records.findById('RefreshToken', 'issued-later'), null);
  const again = await signIn(w.t, 'interaction-of-alice-again', 'alice');
  assert.match(await answerTo(w.t, again), /gitlab-access-token-clear v1/);
});

test('KEYS alone of an older copy: who lost their key signs in again, and what cannot be opened goes in its time', async () => {
  await using w = await openWorld();
  const alice = await signInExpired(w, 'alice');
  const copy = await w.copy();
  const bob = await signInExpired(w, 'bob');
  await refresh(w.t, bob, 'bob-2');
  await refresh(w.t, alice, 'alice-2');
  await inLog(w.t, 2);
  await w.meanwhile(() => putBack(w.nats, copy, 'KEYS'));
  assert.is(await answerTo(w.t, alice), 'alice-2-access-token-clear v2');
  assert.is(await answerTo(w.t, bob).catch((error) => error.code), 'session-ended');
  const again = await signIn(w.t, 'interaction-of-bob-again', 'bob');
  assert.match(await answerTo(w.t, again), /gitlab-access-token-clear v1/);
  w.clock.aheadMs = 61 * 60_000;
  await w.t.vault.evict();
  assert.equal(rowsIn(w.t.folder), { grants: [], sessions: [], forgotten: [] });
  assert.equal(w.t.problems, []);
});

test.run();
