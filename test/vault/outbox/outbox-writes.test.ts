import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Outbox, type OutboxEntry, openOutbox } from '../../../vault/outbox/outbox.ts';
import { createOutboxWrites } from '../../../vault/outbox/outbox-writes.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';

const test = suite('outbox-writes');
const claim = (n: number) => `clm_${String(n).padStart(22, '0')}`;
const entry = (n: number): OutboxEntry => ({
  ...{ claimId: claim(n), partition: 1, grantId: 'grt_x', sealed: Buffer.from('sealed') },
  ...{ receivedAt: n, place: null },
});

/** Counts the transactions, and refuses them when told to. */
function watched(outbox: Outbox) {
  const seen = { transactions: 0, refuse: false };
  const transaction: Outbox['transaction'] = (work) => {
    seen.transactions += 1;
    outbox.transaction(() => {
      work();
      if (seen.refuse) throw new Error('database or disk is full');
    });
  };
  return { seen, outbox: { ...outbox, transaction } };
}

function entriesIn(file: string): number {
  const other = new Database(file, { readonly: true });
  const { n } = other.prepare('SELECT count(*) AS n FROM entries').get() as { n: number };
  other.close();
  return n;
}

test('what comes in one moment is one transaction, and is on disk when it resolves', async () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  using opened = openOutbox(file);
  const { seen, outbox } = watched(opened);
  const problems: unknown[] = [];
  using writes = createOutboxWrites(outbox, (error) => problems.push(error));
  const puts = Array.from({ length: 300 }, (_, n) => writes.put(entry(n)));
  writes.markAppended(claim(7), 5000, null);
  assert.is(entriesIn(file), 0);
  await Promise.all(puts);
  assert.is(entriesIn(file), 300);
  assert.is(seen.transactions, 1);
  assert.is(outbox.pending().length, 299);
  await writes.put(entry(300));
  assert.is(seen.transactions, 2);
  writes.markAppended(claim(8), 5000, null);
  assert.is(outbox.pending().length, 300);
  assert.is(writes.pending().length, 299, 'who reads sees what was marked');
  assert.is(outbox.pending().length, 299);
  assert.equal(problems, []);
});

test('an entry resolves when the disk has it; what comes meanwhile shares the next turn of the disk', async () => {
  using folder = openTemporaryFolder();
  using opened = openOutbox(folder.file('outbox.sqlite'));
  const turns: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const sync = () => new Promise<void>((resolve, reject) => turns.push({ resolve, reject }));
  using writes = createOutboxWrites({ ...opened, sync }, () => {});
  const told: string[] = [];
  const put = async (n: number) => {
    await writes.put(entry(n)).then(
      () => told.push(`${n} is kept`),
      (error) => told.push(`${n}: ${error.message}`),
    );
  };
  const turn = () => new Promise((resolve) => setTimeout(resolve, 30));
  const first = put(1);
  await turn();
  const others = [put(2), put(3)];
  await turn();
  assert.is(opened.pending().length, 3, 'they are written');
  assert.equal([told, turns.length], [[], 1]);
  turns[0]!.resolve();
  await first;
  await turn();
  assert.equal([told, turns.length], [['1 is kept'], 2]);
  turns[1]!.reject(new Error('the disk is gone'));
  await Promise.all(others);
  assert.equal(told.slice(1), ['2: the disk is gone', '3: the disk is gone']);
  const last = put(4);
  await turn();
  turns[2]!.resolve();
  await last;
  assert.equal(told.at(-1), '4 is kept');
});

test('what could not be written is told to each who wrote it, and nothing of it is there', async () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  using opened = openOutbox(file);
  const { seen, outbox } = watched(opened);
  const problems: string[] = [];
  using writes = createOutboxWrites(outbox, (error) => problems.push((error as Error).message));
  seen.refuse = true;
  const puts = [1, 2].map((n) =>
    writes.put(entry(n)).then(
      () => 'kept',
      (error) => error.message,
    ),
  );
  writes.markAppended(claim(1), 5000, null);
  assert.equal(await Promise.all(puts), Array(2).fill('database or disk is full'));
  assert.equal(problems, ['database or disk is full']);
  assert.is(entriesIn(file), 0);
  seen.refuse = false;
  await writes.put(entry(1));
  assert.is(entriesIn(file), 1);
});

test('what waits is written at the end', () => {
  using folder = openTemporaryFolder();
  const file = folder.file('outbox.sqlite');
  using outbox = openOutbox(file);
  {
    using writes = createOutboxWrites(outbox, () => {});
    void writes.put(entry(1));
    writes.markAppended(claim(1), 5000, null);
  }
  assert.is(entriesIn(file), 1);
  assert.equal(outbox.pending(), []);
});

test('a mark that nothing follows is written too', async () => {
  using folder = openTemporaryFolder();
  using outbox = openOutbox(folder.file('outbox.sqlite'));
  using writes = createOutboxWrites(outbox, () => {});
  await writes.put(entry(1));
  writes.markAppended(claim(1), 5000, null);
  while (outbox.pending().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test.run();
