/** Damage of a file is found when it is opened; a file that is damaged later answers nothing from then on. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId } from '../../../schemas/ids.ts';
import type { VaultError } from '../../../vault/errors.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { noticeDamage } from '../../../vault/sqlite/damage.ts';
import { throwAway } from '../../../vault/sqlite/disposable-database.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { owner } from '../grant/commands.ts';

const test = suite('damage of the projection');
const streams = [{ stream: 'VAULT', incarnation: 'first', lastSequence: 1000 }];
const count = 300;
const idOf = (prefix: string, n: number) => `${prefix}_${String(n).padStart(32, 'x')}`;
const linkedIdleMs = 90 * 24 * 3_600_000;

function fill(file: string, sealedBytes: number, incarnation = 'first'): void {
  using projection = openProjection(file, [{ ...streams[0]!, incarnation }], 0);
  projection.transaction(() => {
    for (let n = 0; n < count; n++) {
      const metadata = {
        ...{ type: 'TokensGranted' as const, id: createEventId(), at: 1, ...owner, version: 1 },
        ...{ grantId: idOf('grt', n), principalKey: idOf('pri', n) },
        ...{ expiresAt: 5, refreshExpiresAt: null, refreshable: true },
      };
      const sealed = Buffer.alloc(sealedBytes, n);
      projection.apply({ sequence: n + 1, partition: 7, event: { metadata, sealed } });
    }
    projection.setPosition('VAULT', count);
  });
}

/** What is done to the rows meanwhile is not done to the index. */
function withoutIndex(file: string, name: string, work: (database: Database.Database) => void): void {
  const change = (sql: string, ...values: unknown[]) => {
    const database = new Database(file);
    database.unsafeMode(true);
    database.pragma('writable_schema = ON');
    const found = database.prepare('SELECT * FROM sqlite_schema WHERE name = ?').get(name);
    database.prepare(sql).run(...values);
    database.close();
    return found as { rootpage: number; sql: string; tbl_name: string };
  };
  const { rootpage, sql, tbl_name } = change('DELETE FROM sqlite_schema WHERE name = ?', name);
  const database = new Database(file);
  work(database);
  database.close();
  change(`INSERT INTO sqlite_schema VALUES ('index', ?, ?, ?, ?)`, name, tbl_name, rootpage, sql);
}

const small = 500;
/** 300 of them are more than what is looked through in full. */
const large = 256 * 1024;

const damages: readonly [string, number, (file: string) => void][] = [
  ['has another header', small, (file) => overwrite(file, 0, 'another format '.repeat(4))],
  ['has a page of rubbish in its middle', small, (file) => overwrite(file, 3 * 16_384, '?'.repeat(16_384))],
  [
    'has a page of rubbish in the middle of a large one',
    large,
    (file) => overwrite(file, 900 * 16_384, '?'.repeat(999)),
  ],
  ['ends early', small, (file) => writeFileSync(file, readFileSync(file).subarray(0, -16_384))],
  [
    'has an index with entries of rows that are gone',
    small,
    (file) => withoutIndex(file, 'grants_by_eviction', (db) => db.exec('DELETE FROM grants WHERE rowid = 7')),
  ],
  [
    'has an index with an entry under another key',
    small,
    (file) => withoutIndex(file, 'grants_by_eviction', (db) => db.exec('UPDATE grants SET evictable_at = 9')),
  ],
  [
    'is large and has an index with entries of rows that are gone',
    large,
    (file) => withoutIndex(file, 'grants_by_expiry', (db) => db.exec('DELETE FROM grants WHERE rowid = 7')),
  ],
];

function overwrite(file: string, at: number, text: string): void {
  const bytes = readFileSync(file);
  bytes.write(text, at);
  writeFileSync(file, bytes);
}

for (const [what, sealedBytes, damage] of damages) {
  test(`a file that ${what} is made anew`, () => {
    using folder = openTemporaryFolder();
    const file = folder.file('p.sqlite');
    fill(file, sealedBytes);
    {
      using whole = openProjection(file, streams, 0);
      assert.is(whole.position('VAULT'), count, 'before that it is used');
    }
    damage(file);
    using projection = openProjection(file, streams, 0);
    assert.is(projection.position('VAULT'), 0);
    assert.is(projection.findGrant(idOf('grt', 9)), null);
  });
}

test('the write-ahead log of another file is not taken for its own', () => {
  using folder = openTemporaryFolder();
  const [file, other] = [folder.file('p.sqlite'), folder.file('q.sqlite')];
  fill(file, small);
  // As it lies there after a kill.
  const foreign = new Database(other);
  foreign.pragma('page_size = 16384');
  foreign.pragma('journal_mode = WAL');
  foreign.exec('CREATE TABLE other (a); INSERT INTO other VALUES (randomblob(90000))');
  copyFileSync(`${other}-wal`, `${file}-wal`);
  foreign.close();
  using projection = openProjection(file, streams, 0);
  assert.is(projection.position('VAULT'), 0);
  assert.is(projection.findGrant(idOf('grt', 9)), null);
});

/** Opens it unseen, as a file is that was damaged after it was opened. */
function openWatched(file: string): { projection: Projection; damages: VaultError[] } {
  const seen: VaultError[] = [];
  const projection = noticeDamage(
    openProjection(file, streams, 0, linkedIdleMs, true),
    'projection.sqlite',
    (error) => {
      throwAway(file);
      seen.push(error);
    },
  );
  return { projection, damages: seen };
}

function assertStopped(file: string, { projection, damages: seen }: ReturnType<typeof openWatched>): void {
  assert.is(seen.length, 1, 'told once');
  assert.is(seen[0]!.code, 'projection-failed');
  assert.match(seen[0]!.message, 'projection.sqlite is damaged');
  assert.throws(() => projection.findGrant(idOf('grt', 1)), /is damaged/);
  assert.throws(() => projection.endings.list(7, { ...question }, null, 1), /is damaged/);
  assert.is(seen.length, 1);
  projection[Symbol.dispose]();
  assert.not.ok(existsSync(file));
  using anew = openProjection(file, streams, 0);
  assert.is(anew.position('VAULT'), 0);
}
const question = { at: 0, from: 0, until: 9, provider: null, keptAliveMs: 0 };

test('a page that turns out to be damaged while it is read stops every answer', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('p.sqlite');
  fill(file, small);
  const bytes = readFileSync(file);
  const page = Math.floor(bytes.indexOf(Buffer.alloc(small, 9)) / 16_384);
  bytes.fill('?', page * 16_384, page * 16_384 + 4000);
  writeFileSync(file, bytes);
  const opened = openWatched(file);
  assert.throws(() => {
    for (let n = 0; n < count; n++) opened.projection.findGrant(idOf('grt', n));
  }, /is damaged/);
  assertStopped(file, opened);
});

test.run();
