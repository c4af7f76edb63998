/** The schedule on a real projection file: which grants it lets refresh, and when. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId, derivedId } from '../../../schemas/ids.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { createLastUses } from '../../../vault/refresh/last-uses.ts';
import { startRefreshSchedule } from '../../../vault/refresh/refresh-schedule.ts';

const test = suite('refresh-schedule');

const second = 1000;
const hour = 3600 * second;
const principalKey = derivedId('pri', Buffer.alloc(24, 1));
const sessionId = derivedId('ses', Buffer.alloc(24, 1));

function grantId(index: number): string {
  const digest = Buffer.alloc(24);
  digest.writeUInt32BE(index);
  return derivedId('grt', digest);
}

function openWorld(limit = 200) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-schedule-'));
  const projection = openProjection(join(folder, 'projection.sqlite'), [], 0);
  const clock = { at: 10 * hour };
  const lastUses = createLastUses();
  const refreshed: { partition: number; grantId: string; at: number }[] = [];
  const owned = new Set([0]);
  const problems: unknown[] = [];
  const schedule = startRefreshSchedule({
    ...{ projection, lastUses, limit },
    refresher: {
      async refresh(partition, id, { neededUntil, rejectedVersion }, urgency) {
        assert.equal([rejectedVersion, urgency], [null, 'background']);
        assert.ok(neededUntil > clock.at, 'ahead of the expiry');
        refreshed.push({ partition, grantId: id, at: clock.at });
      },
    },
    partitions: () => [...owned],
    aheadMs: 60 * second,
    usedWithinMs: 900 * second,
    now: () => clock.at,
    random: Math.random,
    onProblem: (error) => problems.push(error),
    everyMs: hour,
  });
  return {
    ...{ projection, clock, lastUses, refreshed, owned, problems },
    passSeconds(seconds: number) {
      for (let passed = 0; passed < seconds; passed++) {
        clock.at += second;
        schedule.round();
      }
    },
    [Symbol.dispose]() {
      schedule[Symbol.dispose]();
      projection[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let sequence = 1;
function grant(
  projection: Projection,
  id: string,
  {
    at,
    expiresAt,
    partition = 0,
    refreshable = true,
  }: { at: number; expiresAt: number | null; partition?: number; refreshable?: boolean },
) {
  const metadata = {
    ...{
      type: 'TokensGranted' as const,
      id: createEventId(),
      at,
      grantId: id,
      principalKey,
      provider: 'gitlab',
      sessionId,
    },
    ...{
      registration: { clientId: 'latchkey', generation: 0 },
      version: 1,
      expiresAt,
      refreshExpiresAt: null,
    },
    refreshable,
  } as const;
  projection.apply({ sequence: sequence++, partition, event: { metadata, sealed: Buffer.alloc(10) } });
}

test('a grant in use is refreshed once, between two minutes and one before its end', () => {
  using world = openWorld();
  const { projection, clock, lastUses, refreshed } = world;
  const expiresAt = clock.at + 600 * second;
  grant(projection, grantId(1), { at: clock.at, expiresAt });
  lastUses.note(grantId(1), clock.at);
  world.passSeconds(610);
  assert.is(refreshed.length, 1);
  const left = expiresAt - refreshed[0]!.at;
  assert.ok(left <= 121 * second && left >= 59 * second, `${left} ms before its end`);
});

test('what nobody used lately, cannot be refreshed, does not expire or belongs to another worker is let alone', () => {
  using world = openWorld();
  const { projection, clock, lastUses, refreshed } = world;
  const at = clock.at;
  const expiresAt = at + 1800 * second;
  grant(projection, grantId(1), { at, expiresAt });
  grant(projection, grantId(2), { at, expiresAt, refreshable: false });
  grant(projection, grantId(3), { at, expiresAt: null });
  grant(projection, grantId(4), { at, expiresAt, partition: 5 });
  grant(projection, grantId(5), { at, expiresAt });
  for (const index of [2, 3, 4]) lastUses.note(grantId(index), expiresAt - 200 * second);
  lastUses.note(grantId(1), at);
  world.passSeconds(1810);
  assert.equal(refreshed, []);
});

test('a thousand grants that expire in the same millisecond are spread, and none is left out', () => {
  using world = openWorld(200);
  const { projection, clock, lastUses, refreshed } = world;
  const expiresAt = clock.at + 600 * second;
  for (let index = 0; index < 1000; index++) {
    grant(projection, grantId(index), { at: clock.at, expiresAt });
    lastUses.note(grantId(index), clock.at);
  }
  world.passSeconds(610);
  assert.is(new Set(refreshed.map((each) => each.grantId)).size, 1000);
  assert.is(refreshed.length, 1000);
  const perSecond = new Map<number, number>();
  for (const { at } of refreshed) perSecond.set(at, (perSecond.get(at) ?? 0) + 1);
  const most = Math.max(...perSecond.values());
  assert.ok(most < 150, `${most} of 1,000 in one second`);
});

test('a token of a short life is not refreshed in its first half', () => {
  using world = openWorld();
  const { projection, clock, lastUses, refreshed } = world;
  const at = clock.at;
  for (let index = 0; index < 50; index++) {
    grant(projection, grantId(index), { at, expiresAt: at + 60 * second });
    lastUses.note(grantId(index), at);
  }
  world.passSeconds(29);
  assert.equal(refreshed, []);
  world.passSeconds(31);
  assert.is(refreshed.length, 50);
});

test('what was scheduled for a partition that has gone is not refreshed here', () => {
  using world = openWorld();
  const { projection, clock, lastUses, refreshed, owned } = world;
  grant(projection, grantId(1), { at: clock.at - hour, expiresAt: clock.at + 130 * second });
  lastUses.note(grantId(1), clock.at);
  world.passSeconds(11);
  const whileOwned = refreshed.length;
  owned.delete(0);
  world.passSeconds(60);
  assert.is(refreshed.length, whileOwned);
  owned.add(0);
  world.passSeconds(70);
  assert.ok(refreshed.length <= 1);
  assert.equal(world.problems, []);
});

test.run();
