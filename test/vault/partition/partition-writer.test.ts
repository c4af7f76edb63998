import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VaultError } from '../../../vault/errors.ts';
import type { Append, EventLog } from '../../../vault/log/event-log.ts';
import { createPartitionWriter, type PartitionWriter } from '../../../vault/partition/partition-writer.ts';
import { openProjection, type Projection } from '../../../vault/projection/projection.ts';
import { grantIdOf, openTestLog, refreshStarted, type TestLog, tokensGranted } from '../log/test-log.ts';

const test = suite('partition-writer');
const partition = 3;

interface TestWriter extends AsyncDisposable {
  readonly t: TestLog;
  readonly projection: Projection;
  readonly appends: (readonly Append[])[];
  readonly losses: VaultError[];
  /** Stands between the writer and the log. */
  readonly log: { -readonly [Key in keyof EventLog]: EventLog[Key] };
  open(worker: string): Promise<PartitionWriter>;
}

async function openTestWriter(): Promise<TestWriter> {
  const t = await openTestLog();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-writer-'));
  const projection = openProjection(join(folder, 'projection.sqlite'), [], 0);
  const appends: (readonly Append[])[] = [];
  const losses: VaultError[] = [];
  const stop = new AbortController();
  const log: TestWriter['log'] = {
    ...t.log,
    append(ownership, batch) {
      appends.push(batch);
      return t.log.append(ownership, batch);
    },
  };
  return {
    ...{ t, projection, appends, losses, log },
    async open(worker) {
      const ownership = await t.log.takePartition(partition, worker);
      const onLost = (error: VaultError) => losses.push(error);
      // What a test puts in the place of a part of the log is used from then on.
      const current = new Proxy(log, { get: (_, key: keyof EventLog) => log[key] });
      return createPartitionWriter({
        ownership,
        worker,
        log: current,
        projection,
        onLost,
        signal: stop.signal,
      });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      projection[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
      await t[Symbol.asyncDispose]();
    },
  };
}

/** A command that grants tokens at the next version, as its projection says. */
function grant(projection: Projection, name: string) {
  return {
    aggregates: [grantIdOf(name)],
    decide: () => {
      const version = (projection.findGrant(grantIdOf(name))?.version ?? 0) + 1;
      return { changes: [tokensGranted(name, version)], result: version };
    },
  };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  throw new Error('it was done');
}

test('what is done is in the log and in the projection', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  assert.is(await writer.execute(grant(w.projection, 'a')), 1);
  const [entry] = await w.t.entries();
  const row = w.projection.findGrant(grantIdOf('a'))!;
  assert.is(row.sequence, entry!.sequence);
  assert.is(row.partition, partition);
});

test('a command without a change needs no append', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  const nothing = { aggregates: [grantIdOf('a')], decide: () => ({ changes: [], result: 'nothing to do' }) };
  assert.is(await writer.execute(nothing), 'nothing to do');
  assert.equal(w.appends, []);
});

test('commands on one aggregate see each other in order, however many wait', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  const versions = await Promise.all(
    Array.from({ length: 20 }, () => writer.execute(grant(w.projection, 'a'))),
  );
  assert.equal(
    versions,
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
  assert.is(w.projection.findGrant(grantIdOf('a'))!.version, 20);
});

test('what waits meanwhile on other aggregates goes into one batch', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  await Promise.all(Array.from({ length: 100 }, (_, n) => writer.execute(grant(w.projection, `${n}`))));
  assert.ok(w.appends.length <= 3, `${w.appends.length} appends`);
  assert.is(w.appends.flat().length, 100);
  assert.is((await w.t.entries()).length, 100);
});

test('more than a batch can hold is split', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  await Promise.all(Array.from({ length: 900 }, (_, n) => writer.execute(grant(w.projection, `${n}`))));
  assert.ok(w.appends.every(({ length }) => length <= 450));
  assert.is(w.appends.flat().length, 900);
});

test('a command whose rules throw fails alone', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  const broken = {
    aggregates: [grantIdOf('b')],
    decide: (): never => {
      throw new VaultError('key-unknown', 'broken rules');
    },
  };
  const [a, b, c] = await Promise.allSettled([
    writer.execute(grant(w.projection, 'a')),
    writer.execute(broken),
    writer.execute(grant(w.projection, 'c')),
  ]);
  assert.equal([a!.status, b!.status, c!.status], ['fulfilled', 'rejected', 'fulfilled']);
});

test('an append whose answer was lost is found to be stored', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  w.log.append = async (ownership, batch) => {
    w.log.append = w.t.log.append;
    await w.t.log.append(ownership, batch);
    throw new VaultError('append-unknown', 'the answer was lost', { retryable: true });
  };
  const versions = await Promise.all([
    writer.execute(grant(w.projection, 'a')),
    writer.execute(grant(w.projection, 'b')),
  ]);
  assert.equal(versions, [1, 1]);
  assert.is(w.projection.findGrant(grantIdOf('b'))!.version, 1);
  assert.is((await w.t.entries()).length, 2);
  assert.is(await writer.execute(grant(w.projection, 'a')), 2);
});

test('an append that never arrived is found to be missing, and a late one can do no harm', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  let late = () => Promise.resolve<number[]>([]);
  w.log.append = async (ownership, batch) => {
    w.log.append = w.t.log.append;
    late = () => w.t.log.append(ownership, batch);
    throw new VaultError('append-unknown', 'no answer', { retryable: true });
  };
  assert.is(await codeOf(writer.execute(grant(w.projection, 'a'))), 'append-refused');
  assert.is(w.projection.findGrant(grantIdOf('a')), null);
  assert.is(await codeOf(late()), 'ownership-lost');
  assert.is(await writer.execute(grant(w.projection, 'a')), 1);
});

test('the partition stands still until it is known what became of an append', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  w.log.append = async (ownership, batch) => {
    w.log.append = w.t.log.append;
    await w.t.log.append(ownership, batch);
    throw new VaultError('append-unknown', 'no answer', { retryable: true });
  };
  let away = 2;
  w.log.takePartition = (...given) => {
    away -= 1;
    if (away > 0) return Promise.reject(new VaultError('append-unknown', 'away', { retryable: true }));
    return w.t.log.takePartition(...given);
  };
  const order: string[] = [];
  await Promise.all([
    writer.execute(grant(w.projection, 'a')).then(() => order.push('first')),
    writer.execute(grant(w.projection, 'a')).then((version) => order.push(`second ${version}`)),
  ]);
  assert.equal(order, ['first', 'second 2']);
});

test('a refused append fails its commands as retryable, changes nothing, and the next one is tried', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  w.log.append = () => {
    w.log.append = w.t.log.append;
    return Promise.reject(new VaultError('append-refused', 'no', { retryable: true }));
  };
  const error = await writer.execute(grant(w.projection, 'a')).catch((caught) => caught);
  assert.is(error.code, 'append-refused');
  assert.is(error.retryable, true);
  assert.is(w.projection.findGrant(grantIdOf('a')), null);
  assert.is((await w.t.entries()).length, 0);
  assert.is(await writer.execute(grant(w.projection, 'a')), 1);
  assert.equal(w.losses, []);
});

test('after another worker took the partition every command fails, and it is told once', async () => {
  await using w = await openTestWriter();
  const former = await w.open('worker-a');
  const owner = await w.open('worker-b');
  const codes = await Promise.all(
    ['a', 'b', 'c'].map((name) => codeOf(former.execute(grant(w.projection, name)))),
  );
  assert.equal(codes, ['ownership-lost', 'ownership-lost', 'ownership-lost']);
  assert.is(await codeOf(former.execute(grant(w.projection, 'd'))), 'ownership-lost');
  assert.equal(
    w.losses.map(({ code }) => code),
    ['ownership-lost'],
  );
  assert.is(await owner.execute(grant(w.projection, 'a')), 1);
});

test('a worker that lost the partition while an append was unknown finds out', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  w.log.append = async () => {
    w.log.append = w.t.log.append;
    await w.t.log.takePartition(partition, 'worker-b');
    throw new VaultError('append-unknown', 'no answer', { retryable: true });
  };
  assert.is(await codeOf(writer.execute(grant(w.projection, 'a'))), 'ownership-lost');
  assert.is(w.losses.length, 1);
});

test('a projection that cannot be written ends the partition: nothing is decided on an old state', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  await writer.execute(grant(w.projection, 'a'));
  const { applyAppended } = w.projection;
  w.projection.applyAppended = () => {
    throw new Error('disk full');
  };
  assert.is(await codeOf(writer.execute(grant(w.projection, 'a'))), 'projection-failed');
  w.projection.applyAppended = applyAppended;
  assert.is(await codeOf(writer.execute(grant(w.projection, 'a'))), 'projection-failed');
  assert.equal(
    w.losses.map(({ code }) => code),
    ['projection-failed'],
  );
});

test('reaffirmed it goes on under the new marker, and is lost if another worker has one', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  await writer.execute(grant(w.projection, 'a'));
  await writer.reaffirm();
  assert.is(await writer.execute(grant(w.projection, 'a')), 2);
  await w.t.log.takePartition(partition, 'worker-b');
  assert.is(await codeOf(writer.reaffirm()), 'ownership-lost');
});

test('closed it ends what is under way and refuses the rest', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  let begun = () => {};
  const started = new Promise<void>((resolve) => {
    begun = resolve;
  });
  w.log.append = async (ownership, batch) => {
    begun();
    await sleep(50);
    return w.t.log.append(ownership, batch);
  };
  const first = writer.execute(grant(w.projection, 'a'));
  await started;
  const waiting = codeOf(writer.execute(grant(w.projection, 'a')));
  let closed = false;
  const closing = writer.close().then(() => {
    closed = true;
  });
  assert.is(await first, 1);
  await closing;
  assert.ok(closed);
  assert.is(await waiting, 'ownership-lost');
  assert.is(await codeOf(writer.execute(grant(w.projection, 'b'))), 'ownership-lost');
  assert.is((await w.t.entries()).length, 1);
});

test('a claim after tokens, and tokens after the claim, in one partition', async () => {
  await using w = await openTestWriter();
  const writer = await w.open('worker-a');
  await writer.execute(grant(w.projection, 'a'));
  const claimed = {
    aggregates: [grantIdOf('a')],
    decide: () => ({ changes: [refreshStarted('a')], result: null }),
  };
  await writer.execute(claimed);
  assert.is(w.projection.findGrant(grantIdOf('a'))!.refreshStatus, 'claimed');
  await writer.execute(grant(w.projection, 'a'));
  const row = w.projection.findGrant(grantIdOf('a'))!;
  assert.equal([row.refreshStatus, row.version, row.startedClaims], ['idle', 2, []]);
});

test.run();
