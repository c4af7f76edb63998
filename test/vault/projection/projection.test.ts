import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId } from '../../../schemas/ids.ts';
import type { EventMetadata, StoredEvent } from '../../../vault/log/stored-event.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { claim, owner } from '../grant/commands.ts';

const test = suite('projection');
const { grantId, sessionId, principalKey } = owner;
const streams = [{ stream: 'VAULT', incarnation: 'first', lastSequence: 100 }];

const event = (metadata: object, sealed = ''): StoredEvent => ({
  metadata: { id: createEventId(), at: 1, ...metadata } as EventMetadata,
  sealed: Buffer.from(sealed),
});
const tokens = (type: 'TokensGranted' | 'TokensRefreshed', version: number) =>
  event(
    {
      ...{ type, ...owner, version, expiresAt: version * 1000, refreshExpiresAt: null },
      refreshable: true,
      ...(type === 'TokensRefreshed'
        ? { claimId: claim(version), startedClaims: [claim(99)], forcedAt: null }
        : {}),
    },
    `sealed-${version}`,
  );
const started = (n: number) =>
  event({
    type: 'RefreshStarted',
    grantId,
    claimId: claim(n),
    deadlineAt: n,
    reason: 'expiring',
    startedClaims: [claim(n)],
  });
const failed = (n: number) =>
  event({
    ...{ type: 'RefreshFailed', grantId, claimId: claim(n), reason: 'provider-unavailable' },
    ...{ failures: n, retryAt: n * 10 },
  });
const ended = () => event({ type: 'ReauthRequired', grantId, claimId: null, reason: 'invalid-grant' });
const opened = () =>
  event({ type: 'SessionOpened', sessionId, principalKey, clientId: 'client-1', endsAt: 9 });

const apply = (projection: Projection, events: readonly StoredEvent[], from = 1) => {
  events.forEach((one, index) => {
    projection.apply({ sequence: from + index, partition: 7, event: one });
  });
};

test('a grant as its events leave it', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), streams, 0);
  assert.is(projection.findGrant(grantId), null);
  apply(projection, [tokens('TokensGranted', 1)]);
  const row = projection.findGrant(grantId)!;
  assert.equal(
    [row.version, row.expiresAt, row.refreshStatus, row.sealed.toString()],
    [1, 1000, 'idle', 'sealed-1'],
  );
  assert.equal(
    [row.partition, row.principalKey, row.sessionId, row.clientId],
    [7, principalKey, sessionId, 'latchkey'],
  );
  apply(projection, [started(1)], 2);
  assert.equal(
    [projection.findGrant(grantId)!.refreshStatus, projection.findGrant(grantId)!.claimId],
    ['claimed', claim(1)],
  );
  apply(projection, [failed(2)], 3);
  const waiting = projection.findGrant(grantId)!;
  assert.equal(
    [waiting.refreshStatus, waiting.failures, waiting.refreshUntil, waiting.claimId],
    ['waiting', 2, 20, null],
  );
  assert.equal(waiting.startedClaims, [claim(1)]);
  apply(projection, [ended()], 4);
  assert.is(projection.findGrant(grantId)!.reason, 'invalid-grant');
  apply(projection, [tokens('TokensRefreshed', 2)], 5);
  const fresh = projection.findGrant(grantId)!;
  assert.equal([fresh.version, fresh.refreshStatus, fresh.failures, fresh.reason], [2, 'idle', 0, null]);
  assert.equal(fresh.startedClaims, [claim(99)]);
  assert.is(fresh.sealed.toString(), 'sealed-2');
});

test('a session is opened once', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), streams, 0);
  apply(projection, [opened()]);
  assert.equal(
    [projection.findSession(sessionId)!.endsAt, projection.findSession(sessionId)!.sequence],
    [9, 1],
  );
  apply(
    projection,
    [event({ type: 'SessionOpened', sessionId, principalKey, clientId: 'x', endsAt: 99 })],
    2,
  );
  assert.is(projection.findSession(sessionId)!.endsAt, 9);
});

test('a grant goes with the session as it stands when its tokens come', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), streams, 0);
  const goesAt = () => projection.findGrant(grantId)!.evictableAt;
  const reopened = event({ type: 'SessionOpened', sessionId, principalKey, clientId: 'x', endsAt: 99 });
  const over = event({ type: 'SessionEnded', sessionId, reason: 'revoked' });
  const broken = () =>
    projection.transaction(() => {
      apply(projection, [opened()], 6);
      throw new Error('broken');
    });
  apply(projection, [opened(), reopened, tokens('TokensGranted', 1)]);
  assert.is(goesAt(), 9, 'as it was opened first');
  apply(projection, [over, tokens('TokensRefreshed', 2)], 4);
  assert.is(goesAt(), 0, 'it is over');
  assert.throws(broken);
  apply(projection, [tokens('TokensRefreshed', 3)], 6);
  assert.is(goesAt(), 0, 'it was not opened');
  apply(projection, [reopened, tokens('TokensRefreshed', 4)], 7);
  assert.is(goesAt(), 99);
});

test('by what its providers know a session goes with the session', () => {
  const keys = { subjectKey: `sbj_${'s'.repeat(32)}`, sessionKey: `ssn_${'n'.repeat(32)}` };
  const upstreams = [{ provider: 'corporate', ...keys }];
  const openedThere = event({
    ...{ type: 'SessionOpened', sessionId, principalKey, clientId: 'client-1', endsAt: 9, upstreams },
  });
  for (const end of [
    event({ type: 'SessionEnded', sessionId, reason: 'revoked' }),
    event({ type: 'SessionForgotten', sessionId, principalKey }),
    event({ type: 'UserForgotten', principalKey }),
  ]) {
    using folder = openTemporaryFolder();
    const file = folder.file('p.sqlite');
    {
      using projection = openProjection(file, streams, 0);
      apply(projection, [openedThere, openedThere]);
      const found = (partition: number) =>
        projection.upstreamSessions({ partition, ...keys }).map((row) => row.sessionId);
      assert.equal([found(7), found(8)], [[sessionId], []]);
      apply(projection, [end], 3);
      assert.equal(found(7), []);
    }
    const database = new Database(file);
    assert.is(database.prepare('SELECT count(*) FROM upstream_sessions').pluck().get(), 0, end.metadata.type);
    database.close();
  }
});

test('applied again, in whole or in part, nothing changes', () => {
  const steps = fc.array(
    fc.oneof(
      fc.constant(() => tokens('TokensGranted', 1)),
      fc.integer({ min: 2, max: 9 }).map((n) => () => tokens('TokensRefreshed', n)),
      fc.integer({ min: 1, max: 9 }).map((n) => () => started(n)),
      fc.integer({ min: 1, max: 9 }).map((n) => () => failed(n)),
      fc.constant(ended),
      fc.constant(opened),
    ),
    { minLength: 1, maxLength: 20 },
  );
  using folder = openTemporaryFolder();
  let n = 0;
  fc.assert(
    fc.property(steps, fc.nat(), fc.nat(), (makers, from, to) => {
      const events = makers.map((make) => make());
      using projection = openProjection(folder.file(`${n++}.sqlite`), streams, 0);
      apply(projection, events);
      const once = [projection.findGrant(grantId), projection.findSession(sessionId)];
      const begin = from % events.length;
      apply(projection, events.slice(begin, begin + 1 + (to % events.length)), 1 + begin);
      assert.equal([projection.findGrant(grantId), projection.findSession(sessionId)], once);
    }),
    { numRuns: 40 },
  );
});

test('a transaction that breaks leaves nothing behind, also in memory', () => {
  using folder = openTemporaryFolder();
  using projection = openProjection(folder.file('p.sqlite'), streams, 0);
  apply(projection, [tokens('TokensGranted', 1)]);
  projection.findGrant(grantId);
  assert.throws(() =>
    projection.transaction(() => {
      apply(projection, [tokens('TokensRefreshed', 2)], 2);
      projection.setPosition('VAULT', 2);
      throw new Error('broken');
    }),
  );
  assert.is(projection.findGrant(grantId)!.version, 1);
  assert.is(projection.position('VAULT'), 0);
});

/** Writes one grant and a position, closes, and lets the test change the file. */
function prepared(file: string): void {
  using projection = openProjection(file, streams, 0);
  projection.transaction(() => {
    apply(projection, [tokens('TokensGranted', 1)]);
    projection.setPosition('VAULT', 42);
  });
}

test('opened again it goes on where it was', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('p.sqlite');
  prepared(file);
  using projection = openProjection(file, streams, 0);
  assert.is(projection.position('VAULT'), 42);
  assert.is(projection.findGrant(grantId)!.version, 1);
});

const unusable: readonly [string, (file: string) => void, typeof streams?][] = [
  ['missing', (file) => rmSync(file)],
  [
    'no database at all',
    (file) => writeFileSync(file, 'this is not a database, and never was one. '.repeat(99)),
  ],
  ['empty', (file) => writeFileSync(file, '')],
  ['cut off', (file) => truncateSync(file, readFileSync(file).length - 8192)],
  [
    'damaged in its middle',
    (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xff, 4096, bytes.length - 4096);
      writeFileSync(file, bytes);
    },
  ],
  [
    'of another schema',
    (file) => {
      const database = new Database(file);
      database.pragma('user_version = 1');
      database.close();
    },
  ],
  ['of another incarnation of the log', () => {}, [{ ...streams[0]!, incarnation: 'second' }]],
  ['ahead of the log', () => {}, [{ ...streams[0]!, lastSequence: 41 }]],
];

for (const [what, change, now = streams] of unusable) {
  test(`a file that is ${what} is made anew`, () => {
    using folder = openTemporaryFolder();
    const file = folder.file('p.sqlite');
    prepared(file);
    change(file);
    using projection = openProjection(file, now, 0);
    assert.is(projection.position('VAULT'), 0);
    assert.is(projection.findGrant(grantId), null);
    apply(projection, [tokens('TokensGranted', 1)]);
    assert.is(projection.findGrant(grantId)!.version, 1);
  });
}

test('a file that was reckoned with another idle time of linked accounts is made anew', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('p.sqlite');
  prepared(file);
  const positionWith = (linkedIdleMs?: number) => {
    using projection = openProjection(file, streams, 0, linkedIdleMs);
    return projection.position('VAULT');
  };
  assert.is(positionWith(), 42);
  assert.is(positionWith(1000), 0);
});

test('a log that ends just where the file does is the same log', () => {
  using folder = openTemporaryFolder();
  prepared(folder.file('p.sqlite'));
  using projection = openProjection(folder.file('p.sqlite'), [{ ...streams[0]!, lastSequence: 42 }], 0);
  assert.is(projection.position('VAULT'), 42);
});

test('what was overwritten does not stay readable in the file', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('p.sqlite');
  {
    using projection = openProjection(file, streams, 0);
    const old = tokens('TokensGranted', 1);
    apply(projection, [{ ...old, sealed: Buffer.from('bytes-of-the-old-token-set-'.repeat(9)) }]);
    apply(projection, [tokens('TokensRefreshed', 2)], 2);
  }
  assert.ok(existsSync(file));
  assert.not.ok(readFileSync(file).includes('bytes-of-the-old-token-set'));
});

test.run();
