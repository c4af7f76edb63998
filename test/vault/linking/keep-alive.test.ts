/** Refresh tokens that would expire of idleness are used before, for people who come back, and for nobody else. */
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId, derivedId } from '../../../schemas/ids.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { startKeepAlive } from '../../../vault/refresh/keep-alive.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { signIn, tokenSet } from '../../world/vault.ts';
import { linkId, owner } from '../grant/commands.ts';
import { refreshedTo } from '../refresh/refresh-world.ts';
import { day, eventually, minute, openLinkWorld } from './link-world.ts';

const test = suite('keep alive');

test('an account that is used now and then is refreshed before its refresh token ends, an idle one is let go', async () => {
  await using w = await openLinkWorld({ linkedIdleMs: 20 * day });
  const alice = await w.signIn('alice');
  // Dies after 16 days without a refresh; its access token would live as long.
  const until = (days: number) => ({
    ...tokenSet('github', Date.now() + days * day),
    refreshExpiresAt: Date.now() + days * day,
  });
  w.providers.tokens.set('github', until(16));
  await w.link(alice, 'github');
  w.clock.aheadMs = 8 * day - minute;
  w.t.vault.keepAlive();
  assert.is(w.providers.refreshes.length, 0, 'in the first half of its life it is let alone');
  w.clock.aheadMs = 12 * day + minute;
  w.t.vault.keepAlive();
  w.t.vault.keepAlive();
  const order = await w.order(1);
  const facts = await w.facts('refresh-started');
  assert.is(facts[0]?.reason, 'keep-alive');
  const outcome = refreshedTo('kept');
  if (outcome.status !== 'refreshed') throw new Error('no tokens');
  const ends = { expiresAt: Date.now() + 28 * day, refreshExpiresAt: Date.now() + 28 * day };
  await w.deliver(order, { status: 'refreshed', tokens: { ...outcome.tokens, ...ends } });
  w.t.vault.keepAlive();
  assert.is(w.providers.refreshes.length, 1, 'once');
  const again = await signIn(w.t, 'interaction-of-alice-again', 'alice');
  assert.is(await w.lookUp(again, 'github'), 'kept-access-token-clear');

  // Nobody came since the look-up above: it was used on day 12, and is idle from day 32 on.
  w.clock.aheadMs = 32 * day + 2 * minute;
  w.t = await w.t.reopen();
  w.t.vault.keepAlive();
  assert.is(w.providers.refreshes.length, 1);
  await w.t.vault.evict();
  await eventually(async () =>
    (await w.facts('grant-evicted')).some(({ provider }) => provider === 'github'),
  );
});

function grantId(index: number): string {
  // As hashes are: spread over their whole range.
  return derivedId('grt', Buffer.alloc(24, (index * 37) % 256));
}

let sequence = 1;
function grant(
  projection: Projection,
  id: string,
  change: { sessionId?: string | null; refreshExpiresAt?: number | null; at?: number } = {},
) {
  const { sessionId = null, refreshExpiresAt = 40 * day, at = 0 } = change;
  const common = { id: createEventId(), at, ...owner, grantId: id, version: 1 };
  const times = { expiresAt: null, refreshExpiresAt, refreshable: true };
  const metadata =
    sessionId === null
      ? ({ type: 'GrantLinked', ...common, sessionId, ...times, linkId: linkId('one') } as const)
      : ({ type: 'TokensGranted', ...common, sessionId, ...times } as const);
  projection.apply({ sequence: sequence++, partition: 0, event: { metadata, sealed: Buffer.alloc(0) } });
}

function openSchedule(projection: Projection, limit = 200) {
  const clock = { at: 0 };
  const uses = new Map<string, number>();
  const refreshed: string[] = [];
  const keepAlive = startKeepAlive({
    ...{ projection, limit, linkedIdleMs: 35 * day },
    lastUses: { lastUse: (id) => uses.get(id) ?? null },
    refresher: {
      async refresh(_partition, id, { keepAliveVersion }, urgency) {
        assert.equal([keepAliveVersion, urgency], [1, 'background']);
        refreshed.push(id);
      },
    },
    partitions: () => [0],
    now: () => clock.at,
    onProblem: (error) => assert.unreachable(String(error)),
    everyMs: day,
  });
  return { clock, uses, refreshed, keepAlive, [Symbol.dispose]: () => keepAlive[Symbol.dispose]() };
}

test('accounts that were linked together are spread over a quarter of their life', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), [], 0);
  for (let index = 0; index < 256; index++) grant(projection, grantId(index));
  using schedule = openSchedule(projection);
  const seen = new Set<string>();
  const perDay: number[] = [];
  for (let at = 19; at <= 31; at++) {
    schedule.clock.at = at * day - 1;
    schedule.keepAlive.round();
    schedule.keepAlive.round();
    const fresh = new Set(schedule.refreshed.splice(0).filter((id) => !seen.has(id)));
    for (const id of fresh) seen.add(id);
    perDay.push(fresh.size);
  }
  assert.equal([perDay[0], perDay[1]], [0, 0], 'not in the first half');
  assert.is(seen.size, 256, 'before the last quarter all of them');
  for (const count of perDay.slice(2, -1)) assert.ok(count > 10 && count < 45, perDay.join());
});

test('what is a session’s, never ends or is idle is let alone; what cannot be refreshed comes again', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), [], 0);
  const [due, ofSession, lasting, idle, comesBack] = [0, 1, 2, 3, 4].map(grantId) as [string, ...string[]];
  grant(projection, due, { at: 4 * day, refreshExpiresAt: 42 * day });
  grant(projection, ofSession!, { sessionId: owner.sessionId });
  grant(projection, lasting!, { refreshExpiresAt: null });
  for (const id of [idle!, comesBack!]) grant(projection, id, { refreshExpiresAt: 42 * day });
  // One at a time, so that a round does not come to all of them.
  using schedule = openSchedule(projection, 1);
  schedule.clock.at = 36 * day;
  schedule.uses.set(comesBack!, 10 * day);
  for (let round = 0; round < 8; round++) schedule.keepAlive.round();
  assert.equal(new Set(schedule.refreshed), new Set([due, comesBack]));
  assert.is(schedule.refreshed.length, 4, 'twice each: nothing has changed');
});

test('the grants that are due are found by an index, not by a scan', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('p.sqlite');
  const prepared: string[] = [];
  const { prepare } = Database.prototype;
  Database.prototype.prepare = new Proxy(prepare, {
    apply(target, database, given) {
      prepared.push(given[0]);
      return Reflect.apply(target, database, given);
    },
  });
  try {
    openProjection(file, [], 0)[Symbol.dispose]();
  } finally {
    Database.prototype.prepare = prepare;
  }
  const query = prepared.find((sql) => sql.includes('IS NOT NULL'))!;
  const database = new Database(file, { readonly: true });
  const nothing = Array.from(query.matchAll(/\?/g), () => 1);
  const plan = JSON.stringify(database.prepare(`EXPLAIN QUERY PLAN ${query}`).all(...nothing));
  database.close();
  assert.match(plan, 'USING INDEX grants_by_keep_alive');
  assert.not.match(plan, 'TEMP B-TREE');
});

test.run();
