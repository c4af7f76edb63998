import fs, { readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VaultError } from '../../../vault/errors.ts';
import { type Outbox, openOutbox } from '../../../vault/outbox/outbox.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { claim, grantId } from '../grant/commands.ts';

const test = suite('outbox');
const outboxModule = new URL('../../../vault/outbox/outbox.ts', import.meta.url).href;
const hourMs = 60 * 60_000;
const entry = (n: number, sealed = `sealed-${n}`) => ({
  claimId: claim(n),
  partition: 7,
  grantId,
  sealed: Buffer.from(sealed),
  receivedAt: 1000 + n,
  place: null,
});
const event = (n: number) => ({
  mark: { sequence: n, eventId: `evt_${n}` },
  place: Buffer.from(`place-${n}`),
});

test('an entry is pending, also after a restart, until it is marked as appended', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  {
    using outbox = openOutbox(file);
    outbox.put(entry(2));
    outbox.put(entry(1));
  }
  using outbox = openOutbox(file);
  assert.equal(
    outbox.pending().map(({ claimId, sealed }) => [claimId, sealed.toString()]),
    [
      [claim(1), 'sealed-1'],
      [claim(2), 'sealed-2'],
    ],
  );
  outbox.markAppended(claim(1), 5000, null);
  assert.equal(
    outbox.pending().map(({ claimId }) => claimId),
    [claim(2)],
  );
});

test('what is put is written when put returns: another connection reads it at once', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  using outbox = openOutbox(file);
  outbox.put(entry(1));
  const other = new Database(file, { readonly: true });
  assert.is((other.prepare('SELECT count(*) AS n FROM entries').get() as { n: number }).n, 1);
  other.close();
});

test('sync takes the write-ahead log to the disk, and so does the end', async () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  const synced: string[] = [];
  const { fdatasync, fdatasyncSync } = fs;
  const pathOf = (fd: number) => readlinkSync(`/proc/self/fd/${fd}`);
  fs.fdatasync = ((fd: number, done: (error: Error | null) => void) => {
    synced.push(pathOf(fd));
    fdatasync(fd, done);
  }) as typeof fs.fdatasync;
  fs.fdatasyncSync = (fd) => {
    synced.push(`${pathOf(fd)} at the end`);
    fdatasyncSync(fd);
  };
  syncBuiltinESMExports();
  try {
    const { openOutbox: openWatched } = await import(`${outboxModule}?watched`);
    const outbox: Outbox = openWatched(file);
    outbox.put(entry(1));
    assert.equal(synced, []);
    await outbox.sync();
    const log = `${realpathSync(file)}-wal`;
    assert.equal(synced, [log]);
    outbox.put(entry(2));
    outbox[Symbol.dispose]();
    assert.equal(synced, [log, `${log} at the end`]);
  } finally {
    Object.assign(fs, { fdatasync, fdatasyncSync });
    syncBuiltinESMExports();
  }
});

test('SQLite syncs what it must before a checkpoint, to the disk itself on macOS', () => {
  using folder = openTemporaryFolder();
  const pragmas: unknown[] = [];
  const pragma = Database.prototype.pragma;
  Database.prototype.pragma = function (this: Database.Database, source: string, options?: never) {
    pragmas.push(source);
    return pragma.call(this, source, options);
  } as typeof pragma;
  try {
    openOutbox(folder.file('outbox.sqlite'))[Symbol.dispose]();
  } finally {
    Database.prototype.pragma = pragma;
  }
  assert.ok(pragmas.includes('synchronous = NORMAL'));
  assert.ok(pragmas.includes('fullfsync = ON'));
});

test('the same claim again changes nothing, not even what was appended', () => {
  using folder = openTemporaryFolder();
  using outbox = openOutbox(folder.file('outbox.sqlite'));
  outbox.put(entry(1));
  outbox.put(entry(1, 'another outcome'));
  assert.is(outbox.pending()[0]!.sealed.toString(), 'sealed-1');
  outbox.markAppended(claim(1), 5000, null);
  outbox.put(entry(1));
  assert.equal(outbox.pending(), []);
});

test('an entry stays an hour after its append, and for ever without one', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  using outbox = openOutbox(file);
  for (const n of [1, 2, 3]) outbox.put(entry(n));
  outbox.markAppended(claim(1), 5000, null);
  const kept = () => {
    const other = new Database(file, { readonly: true });
    const rows = other.prepare('SELECT claim_id AS id FROM entries ORDER BY id').all() as { id: string }[];
    other.close();
    return rows.map(({ id }) => id);
  };
  outbox.markAppended(claim(2), 5000 + hourMs, null);
  assert.equal(kept(), [claim(1), claim(2), claim(3)]);
  outbox.markAppended(claim(2), 5001 + hourMs, null);
  assert.equal(kept(), [claim(2), claim(3)]);
});

test('what the log must have is told from its end on; what it has lost is pending again', () => {
  using folder = openTemporaryFolder();
  using outbox = openOutbox(folder.file('outbox.sqlite'));
  for (const n of [1, 2, 3, 4, 5]) outbox.put(entry(n));
  for (const n of [1, 2, 3]) outbox.markAppended(claim(n), 5000, event(n * 10));
  outbox.markAppended(claim(4), 5000, null);
  const told = (before: number, limit = 10) =>
    outbox.appended(before, limit).map(({ claimId, mark, place }) => [claimId, mark, place!.toString()]);
  const [first, second, third] = [1, 2, 3].map((n) => [claim(n), event(n * 10).mark, `place-${n * 10}`]);
  assert.equal(told(100), [third, second, first]);
  assert.equal(told(30, 1), [second]);
  // Nothing to append is said of one that has its event already.
  outbox.markAppended(claim(2), 6000, null);
  const [newest, , oldest] = outbox.appended(100, 10);
  outbox.markAppended(claim(1), 6000, event(40));
  // The oldest has another event meanwhile.
  outbox.reopen([newest!, oldest!]);
  assert.equal(told(100), [[claim(1), event(40).mark, 'place-40'], second]);
  assert.equal(
    outbox.pending().map(({ claimId, eventId }) => [claimId, eventId]),
    [
      [claim(3), 'evt_30'],
      [claim(5), null],
    ],
  );
});

test('a file of an earlier version keeps what it has', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  const old = new Database(file);
  old.exec(`CREATE TABLE entries (
    claim_id TEXT PRIMARY KEY NOT NULL, partition INTEGER NOT NULL, grant_id TEXT NOT NULL, sealed BLOB NOT NULL,
    received_at INTEGER NOT NULL, appended_at INTEGER
  ) STRICT;
  CREATE INDEX entries_by_append ON entries (appended_at);`);
  old
    .prepare('INSERT INTO entries VALUES (?, 7, ?, ?, 1, ?)')
    .run(claim(1), grantId, Buffer.from('sealed-1'), null);
  old
    .prepare('INSERT INTO entries VALUES (?, 7, ?, ?, 1, ?)')
    .run(claim(2), grantId, Buffer.from('sealed-2'), 5);
  old.close();
  for (let turn = 0; turn < 2; turn++) {
    using outbox = openOutbox(file);
    assert.equal(
      outbox.pending().map(({ claimId, sealed, place }) => [claimId, sealed.toString(), place]),
      [[claim(1), 'sealed-1', null]],
    );
    assert.equal(outbox.appended(Number.MAX_SAFE_INTEGER, 10), []);
  }
});

for (const [what, damage] of [
  ['no database', () => 'this is not a database, and never was one. '.repeat(99)],
  ['damaged in its middle', (bytes: Buffer) => bytes.fill('?', 4096, 8192)],
] as const) {
  test(`a file that is ${what} stops the start, and stays as it is`, () => {
    using folder = openTemporaryFolder();
    const file = folder.file('outbox.sqlite');
    {
      using outbox = openOutbox(file);
      for (let n = 0; n < 50; n++) outbox.put(entry(n, `sealed-${n}`.repeat(20)));
    }
    writeFileSync(file, damage(readFileSync(file)));
    const before = readFileSync(file);
    assert.throws(
      () => openOutbox(file),
      (error: unknown) =>
        error instanceof VaultError && error.code === 'outbox-damaged' && error.message.includes('.recover'),
    );
    assert.equal(readFileSync(file), before);
  });
}

test.run();
