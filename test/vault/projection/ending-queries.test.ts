/** What a forecast says of grants: each counts once, on the day it ends, as what then becomes of it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId, derivedId } from '../../../schemas/ids.ts';
import type { EventMetadata } from '../../../vault/log/stored-event.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { linkId, owner } from '../grant/commands.ts';

const test = suite('ending queries');

const day = 24 * 3_600_000;
const linkedIdleMs = 30 * day;
const at = 100 * day + 1000;

let sequence = 1;
function apply(projection: Projection, metadata: object, partition = 0) {
  const event = { id: createEventId(), at, ...metadata } as EventMetadata;
  projection.apply({ sequence: sequence++, partition, event: { metadata: event, sealed: Buffer.alloc(0) } });
}

function grantId(index: number): string {
  const digest = Buffer.alloc(24);
  digest.writeUInt32BE(index);
  return derivedId('grt', digest);
}

interface Times {
  readonly expiresAt?: number | null;
  readonly refreshExpiresAt?: number | null;
  readonly refreshable?: boolean;
}

function openWorld() {
  const folder = openTemporaryFolder();
  const projection = openProjection(folder.file('p.sqlite'), [], 0, linkedIdleMs);
  const { sessionId, principalKey } = owner;
  apply(projection, { type: 'SessionOpened', sessionId, principalKey, clientId: 'c', endsAt: at + 20 * day });
  const bearing = (id: string, provider: string, times: Times) => ({
    ...{ ...owner, grantId: id, provider, version: 1 },
    ...{ expiresAt: null, refreshExpiresAt: null, refreshable: false, ...times },
  });
  return {
    projection,
    ofSession: (id: string, provider: string, times: Times, partition = 0) =>
      apply(projection, { type: 'TokensGranted', ...bearing(id, provider, times) }, partition),
    linked: (id: string, provider: string, times: Times, linkedAt = at) =>
      apply(projection, {
        ...{ type: 'GrantLinked', ...bearing(id, provider, times), sessionId: null },
        ...{ at: linkedAt, linkId: linkId('one') },
      }),
    failForGood: (id: string) =>
      apply(projection, { type: 'ReauthRequired', grantId: id, claimId: null, reason: 'invalid-grant' }),
    [Symbol.dispose]() {
      projection[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

const whole = { at, from: 0, until: 200 * day, provider: null, keptAliveMs: linkedIdleMs };

test('each grant counts once: what ends, what needs the person, and what is kept alive', () => {
  using w = openWorld();
  const kept = { expiresAt: at, refreshable: true, refreshExpiresAt: at + 20 * day };
  w.ofSession(grantId(1), 'gitlab', { expiresAt: at + 2 * day });
  w.ofSession(grantId(2), 'gitlab', { expiresAt: at + 2 * day + 5 });
  w.ofSession(grantId(3), 'github', {});
  w.linked(grantId(4), 'github', {});
  w.linked(grantId(5), 'github', kept);
  w.linked(grantId(6), 'github', kept);
  w.failForGood(grantId(6));
  // Nobody used it for too long to keep it alive until then.
  w.linked(grantId(7), 'github', kept, at - 30 * day);
  w.ofSession(grantId(8), 'gitlab', { expiresAt: at }, 1);
  assert.equal(w.projection.endings.count(0, whole), [
    { day: 102, provider: 'gitlab', linked: false, kind: 'ends', count: 2 },
    { day: 120, provider: 'github', linked: false, kind: 'ends', count: 1 },
    { day: 120, provider: 'github', linked: true, kind: 'ends', count: 1 },
    { day: 120, provider: 'github', linked: true, kind: 'kept-alive', count: 1 },
    { day: 120, provider: 'github', linked: true, kind: 'reauth-required', count: 1 },
    { day: 130, provider: 'github', linked: true, kind: 'ends', count: 1 },
  ]);
  const off = w.projection.endings.count(0, { ...whole, keptAliveMs: 0 });
  assert.equal(new Set(off.map(({ kind }) => kind)), new Set(['ends', 'reauth-required']));
});

test('a period, a provider, and what should be gone already', () => {
  using w = openWorld();
  w.ofSession(grantId(1), 'gitlab', { expiresAt: at - 5 * day });
  w.ofSession(grantId(2), 'github', { expiresAt: at + day });
  w.ofSession(grantId(3), 'gitlab', { expiresAt: at + 2 * day });
  const days = (change: object) =>
    w.projection.endings.count(0, { ...whole, ...change }).map((count) => `${count.day} ${count.provider}`);
  assert.equal(days({}), ['100 gitlab', '101 github', '102 gitlab']);
  assert.equal(days({ until: 102 * day }), ['100 gitlab', '101 github']);
  assert.equal(days({ from: 101 * day }), ['101 github', '102 gitlab']);
  assert.equal(days({ provider: 'gitlab' }), ['100 gitlab', '102 gitlab']);
});

test('a list in pages has every grant once, also those that end in the same millisecond', () => {
  using w = openWorld();
  for (let index = 0; index < 25; index++)
    w.ofSession(grantId(index), 'gitlab', { expiresAt: at + (index % 3) * day });
  const seen: string[] = [];
  for (let after: { endsAt: number; row: number } | null = null; ; ) {
    const page = w.projection.endings.list(0, whole, after, 4);
    seen.push(...page.map((grant) => grant.grantId));
    if (page.length < 4) break;
    after = page.at(-1)!;
  }
  assert.is(seen.length, 25);
  assert.is(new Set(seen).size, 25);
});

test.run();
