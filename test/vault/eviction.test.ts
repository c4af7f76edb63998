/**
 * Sessions and grants that have nothing left to give: gone from memory, SQLite and log, with a tombstone of a month and
 * a fact, and nothing that still lives goes with them.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { NatsConnection } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../schemas/failure.ts';
import type { Secret } from '../../schemas/secret.ts';
import { streamNames } from '../../schemas/subjects.ts';
import { decodeStoredEvent } from '../../vault/log/stored-event.ts';
import { openNatsServer } from '../world/nats-server.ts';
import {
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signedToken,
  signIn,
  type TestVault,
  tokenSet,
} from '../world/vault.ts';

const test = suite('eviction');

const minute = 60_000;

/** A clock that the test moves. */
function createClock() {
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  return clock;
}

function lookUp({ vault }: TestVault, { partition, accessToken }: SignedIn, providers: string[]) {
  return vault.findUpstreamTokens(partition, { accessToken, providers, minValidSeconds: 30 });
}

async function refusalOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof RefusedError) return error.code;
    throw error;
  }
  return 'none';
}

/** What the log holds of one aggregate, or of everything. */
async function readLog(connection: NatsConnection, aggregate = '*') {
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(streamNames.vault);
  const found = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(streamNames.vault, { seq }).catch(() => null);
    if (!message?.subject.startsWith('latchkey.log.') || message.subject.endsWith('.owner')) continue;
    if (aggregate !== '*' && !message.subject.endsWith(aggregate)) continue;
    const event = decodeStoredEvent(message.data);
    found.push({
      type: event.metadata.type,
      sealed: event.sealed.length,
      ttl: message.header?.get('Nats-TTL') ?? '',
      id: message.subject.split('.')[3]!,
    });
  }
  return found;
}

async function readFacts(connection: NatsConnection, name: string) {
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(streamNames.vault);
  const facts = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(streamNames.vault, { seq }).catch(() => null);
    if (message?.subject.includes(`.${name}.`)) facts.push(message.json<Record<string, unknown>>());
  }
  return facts;
}

function rowsOf({ folder }: TestVault, table: 'grants' | 'sessions'): number {
  const database = new Database(join(folder, 'projection.sqlite'), { readonly: true });
  try {
    return (database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
  } finally {
    database.close();
  }
}

test('a grant goes when access and refresh have both expired, and not before', async () => {
  await using nats = await openNatsServer();
  const clock = createClock();
  const providers = createPlayedProviders();
  const at = Date.now();
  // The access token is long dead when its refresh token still lives.
  const corporate = { ...tokenSet('corporate', at + minute), refreshExpiresAt: at + 10 * minute };
  providers.tokens.set('corporate', corporate);
  // Nothing can follow this one.
  providers.tokens.set('gitlab', tokenSet('gitlab', at + 5 * minute, false));
  await using world = await openTestVault({ url: nats.url, providers, now: clock.now });
  const alice = await signIn(world, 'interaction-of-alice');
  const before = await lookUp(world, alice, ['gitlab']);
  assert.is(before.answers.gitlab?.status, 'ok');

  clock.ahead = 2 * minute;
  assert.is(await world.vault.evict(), 0, 'the dead access token takes nothing with it');
  assert.is((await lookUp(world, alice, ['gitlab'])).answers.gitlab?.status, 'ok');

  clock.ahead = 6 * minute;
  assert.is(await world.vault.evict(), 1);
  assert.is((await lookUp(world, alice, ['gitlab'])).answers.gitlab?.status, 'missing');
  assert.is(rowsOf(world, 'grants'), 1);
  const log = await readLog(world.connection);
  assert.equal(
    log.map(({ type }) => type).sort(),
    ['GrantEvicted', 'SessionOpened', 'TokensGranted'],
    'the tokens of the one grant are not in the log any more',
  );
  const tombstone = log.find(({ type }) => type === 'GrantEvicted')!;
  assert.equal([tombstone.sealed, tombstone.ttl], [0, '2592000s']);
  const [fact, ...more] = await readFacts(world.connection, 'grant-evicted');
  assert.equal(more, []);
  assert.is(fact?.provider, 'gitlab');
  assert.is(fact?.grant, tombstone.id);

  clock.ahead = 11 * minute;
  assert.is(await world.vault.evict(), 1);
  assert.is(rowsOf(world, 'grants'), 0);
  assert.is(rowsOf(world, 'sessions'), 1, 'the session lives on');
  assert.equal(world.problems, []);
});

test('a session that is over goes with its grants in one step, and a repeated round does nothing', async () => {
  await using nats = await openNatsServer();
  const clock = createClock();
  const providers = createPlayedProviders();
  providers.tokens.set('corporate', tokenSet('corporate', null));
  await using world = await openTestVault({ url: nats.url, providers, now: clock.now });
  const people = [];
  for (const name of ['alice', 'bob', 'carol']) {
    providers.subject = `${name}@corporate.example`;
    people.push(await signIn(world, `interaction-of-${name}`));
  }
  clock.ahead = 59 * minute;
  assert.is(await world.vault.evict(), 0);
  // Access tokens that outlive their session.
  const iat = Math.floor(clock.now() / 1000);
  const callers = people.map((person) => ({
    ...person,
    accessToken: signedToken(world.vault, person.partition, person.principal.sub, person.sessionId, {
      iat,
      exp: iat + 600,
    }),
  }));
  clock.ahead = 61 * minute;
  assert.is(await world.vault.evict(), 3);
  assert.is(await world.vault.evict(), 0);
  for (const caller of callers) {
    assert.is(await refusalOf(() => lookUp(world, caller, ['corporate'])), 'session-ended');
  }
  assert.equal([rowsOf(world, 'grants'), rowsOf(world, 'sessions')], [0, 0]);
  const log = await readLog(world.connection);
  assert.is(log.filter(({ type }) => type === 'SessionEnded').length, 3);
  assert.is(log.filter(({ type }) => type === 'GrantEvicted').length, 6);
  assert.is(log.length, 9, 'nothing but tombstones is left');
  assert.ok(log.every(({ sealed, ttl }) => sealed === 0 && ttl !== ''));
  const facts = await readFacts(world.connection, 'session-ended');
  assert.equal(
    facts.map(({ reason, session }) => [reason, session]).sort(),
    people.map(({ sessionId }) => ['expired', sessionId]).sort(),
  );
  assert.equal(world.problems, []);
});

test('while a refresh is under way neither the grant nor its session goes', async () => {
  await using nats = await openNatsServer();
  const clock = createClock();
  const providers = createPlayedProviders();
  const at = Date.now();
  providers.tokens.set('corporate', {
    ...tokenSet('corporate', at + minute),
    refreshExpiresAt: at + 3 * minute,
  });
  await using world = await openTestVault({ url: nats.url, chain: ['corporate'], providers, now: clock.now });
  const alice = await signIn(world, 'interaction-of-alice');
  clock.ahead = 3 * minute - 5000;
  assert.is((await lookUp(world, alice, ['corporate'])).answers.corporate?.status, 'pending');
  const [order] = providers.refreshes;
  clock.ahead = 3 * minute + 1000;
  assert.is(await world.vault.evict(), 0, 'the claim is open');
  const refreshed = { ...tokenSet('corporate-2', at + 10 * minute), refreshExpiresAt: at + 20 * minute };
  await world.vault.recordRefreshOutcome(alice.partition, 'corporate', {
    provider: 'corporate',
    grantId: order!.grant.grantId,
    claimId: order!.claimId,
    outcome: { status: 'refreshed', tokens: refreshed },
  });
  assert.is(await world.vault.evict(), 0, 'the new tokens prolong the grant');
  const { answers } = await lookUp(world, alice, ['corporate']);
  const answer = answers.corporate as { status: string; accessToken: Secret };
  assert.is(answer.status, 'ok');
  assert.is(answer.accessToken.reveal(), 'corporate-2-access-token-clear');
  clock.ahead = 20 * minute + 1000;
  assert.is(await world.vault.evict(), 1);
  await world.vault
    .recordRefreshOutcome(alice.partition, 'corporate', {
      provider: 'corporate',
      grantId: order!.grant.grantId,
      claimId: order!.claimId,
      outcome: { status: 'refreshed', tokens: refreshed },
    })
    .then(
      () => assert.unreachable('a late delivery brought a grant back to life'),
      (error) => assert.is(error.code, 'not-found'),
    );
});

test('after a restart what went is still gone, from the file and from the log', async () => {
  await using nats = await openNatsServer();
  const clock = createClock();
  const first = await openTestVault({ url: nats.url, now: clock.now });
  await signIn(first, 'interaction-of-alice');
  clock.ahead = 61 * minute;
  assert.is(await first.vault.evict(), 1);
  await using second = await first.reopen();
  assert.equal([rowsOf(second, 'grants'), rowsOf(second, 'sessions')], [0, 0]);
  assert.is(await second.vault.evict(), 0);
});

test.run();
