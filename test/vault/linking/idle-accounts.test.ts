/**
 * Linked accounts live as long as they are used: the log knows of a use, once a day, and what lies idle goes from memory,
 * SQLite and log, with a tombstone of a month.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { signIn, tokenSet } from '../../world/vault.ts';
import { refreshedTo } from '../refresh/refresh-world.ts';
import { day, type LinkWorld, minute, openLinkWorld } from './link-world.ts';

const test = suite('idle accounts');

/** Nobody knows how long its tokens live. */
const lasting = (name: string) => tokenSet(name, null, false);

async function openWorld() {
  const w = await openLinkWorld({ linkedIdleMs: 10 * day });
  w.providers.tokens.set('github', lasting('github'));
  await w.link(await w.signIn('alice'), 'github');
  return w;
}

let sessions = 0;
/** A session lives for an hour: who comes back signs in anew. */
async function use(w: LinkWorld, provider = 'github') {
  const name = `later-${sessions++}`;
  return w.lookUp(await signIn(w.t, `interaction-of-alice-${name}`, 'alice'), provider);
}

const ofGrants = async (w: LinkWorld) =>
  (await w.readLog()).filter(({ type }) => type.startsWith('Grant')).map(({ type }) => type);

test('a linked account outlives sessions, and goes when it lay idle', async () => {
  await using w = await openWorld();
  w.clock.aheadMs = 10 * day - minute;
  assert.ok((await w.t.vault.evict()) >= 1, 'the session of then');
  assert.equal((await ofGrants(w)).sort(), ['GrantEvicted', 'GrantLinked']);
  w.clock.aheadMs = 10 * day + minute;
  assert.is(await w.t.vault.evict(), 1);
  assert.equal((await ofGrants(w)).sort(), ['GrantEvicted', 'GrantEvicted'], 'no tokens are left in the log');
  const log = await w.readLog();
  assert.ok(log.every(({ sealed, ttl }) => sealed === 0 && ttl === '2592000s'));
  assert.is(await use(w), 'missing');
  assert.equal(w.t.problems, []);
});

test('a use is written once a day, replaces what was there, and prolongs the account', async () => {
  await using w = await openWorld();
  assert.is(await w.t.vault.recordUses(), 0, 'it was linked just now');
  w.clock.aheadMs = 6 * day;
  for (let n = 0; n < 3; n++) assert.is(await use(w), 'github-access-token-clear');
  assert.is(await w.t.vault.recordUses(), 1);
  assert.is(await w.t.vault.recordUses(), 0);
  w.clock.aheadMs += day - minute;
  await use(w);
  assert.is(await w.t.vault.recordUses(), 0, 'not twice a day');
  const grants = (await ofGrants(w)).filter((type) => type !== 'GrantEvicted');
  assert.equal(grants, ['GrantUsed'], 'nothing piles up');
  assert.is((await w.facts('grant-used')).length, 1);
  // A worker that knows nothing of it by memory.
  w.t = await w.t.reopen();
  w.clock.aheadMs = 16 * day - minute;
  await w.t.vault.evict();
  assert.ok((await ofGrants(w)).includes('GrantUsed'));
  assert.is(await use(w), 'github-access-token-clear');
  assert.equal(w.t.problems, []);
});

test('a use that the log does not know yet keeps an account from going', async () => {
  await using w = await openWorld();
  w.clock.aheadMs = day - minute;
  await use(w);
  w.clock.aheadMs = 10 * day + minute;
  await w.t.vault.evict();
  assert.is((await w.facts('grant-used')).length, 1, 'now it does');
  w.clock.aheadMs = 11 * day - 2 * minute;
  await w.t.vault.evict();
  assert.is(await use(w), 'github-access-token-clear');
});

test('a refresh of an account that is used counts as a use', async () => {
  await using w = await openLinkWorld({ linkedIdleMs: 10 * day });
  w.providers.tokens.set('github', tokenSet('old', Date.now() + 5 * day));
  await w.link(await w.signIn('alice'), 'github');
  w.clock.aheadMs = 5 * day + minute;
  await use(w);
  await w.deliver(await w.order(1), refreshedTo('new', 6 * day));
  assert.is(await use(w), 'new-access-token-clear');
  assert.is(await w.t.vault.recordUses(), 0, 'it is written already');
  w.t = await w.t.reopen();
  w.clock.aheadMs = 15 * day;
  await w.t.vault.evict();
  assert.ok(!(await w.facts('grant-evicted')).some(({ provider }) => provider === 'github'));
  w.clock.aheadMs = 15 * day + 2 * minute;
  await w.t.vault.evict();
  assert.ok((await w.facts('grant-evicted')).some(({ provider }) => provider === 'github'));
});

test('while a refresh is under way no use is written beside it', async () => {
  await using w = await openLinkWorld({ linkedIdleMs: 10 * day });
  w.providers.tokens.set('github', tokenSet('old', Date.now() + 2 * day));
  await w.link(await w.signIn('alice'), 'github');
  w.clock.aheadMs = 2 * day + minute;
  await use(w);
  const order = await w.order(1);
  assert.is(await w.t.vault.recordUses(), 0);
  await w.deliver(order, refreshedTo('new', 3 * day));
  assert.is(await use(w), 'new-access-token-clear');
});

test.run();
