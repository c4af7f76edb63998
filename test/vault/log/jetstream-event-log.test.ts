import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId } from '../../../schemas/ids.ts';
import { VaultError } from '../../../vault/errors.ts';
import type { PartitionOwnership } from '../../../vault/log/event-log.ts';
import { openJetStreamEventLog } from '../../../vault/log/jetstream-event-log.ts';
import { grantIdOf, openTestLog, refreshStarted, tokensGranted } from './test-log.ts';

const test = suite('jetstream-event-log');

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  throw new Error('it was accepted');
}

test('events come back in order with the sequences that the append gave', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  const first = await t.log.append(own, [tokensGranted('a'), tokensGranted('b')]);
  const second = await t.log.append(own, [refreshStarted('a')]);
  const entries = await t.entries();
  assert.equal(
    entries.map(({ sequence, aggregate, partition, event }) => [
      sequence,
      aggregate,
      partition,
      event.metadata.type,
    ]),
    [
      [first[0], grantIdOf('a'), 3, 'TokensGranted'],
      [first[1], grantIdOf('b'), 3, 'TokensGranted'],
      [second[0], grantIdOf('a'), 3, 'RefreshStarted'],
    ],
  );
  const last = await t.log.findLast(3, grantIdOf('a'));
  assert.equal(last, { sequence: second[0]!, metadata: entries[2]!.event.metadata });
  assert.is(await t.log.findLast(3, grantIdOf('c')), null);
});

test('facts beside the first are stored with their event, and the sequences are those of the events', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  const { fact } = refreshStarted('a');
  const furtherFacts = ['gitlab', 'github'].map((provider) => ({
    ...fact,
    ...{ id: createEventId(), fact: 'provider-skipped' as const, provider, reason: 'linked' },
  }));
  const given = await t.log.append(own, [{ ...tokensGranted('a'), furtherFacts }, tokensGranted('b')]);
  const entries = await t.entries();
  assert.equal(
    entries.map(({ sequence, aggregate }) => [sequence, aggregate]),
    [
      [given[0], grantIdOf('a')],
      [given[1], grantIdOf('b')],
    ],
  );
  assert.is(given[1]! - given[0]!, 4);
});

test('fence: the former owner is refused everywhere, also where the new one has not written yet', async () => {
  await using t = await openTestLog();
  const former = await t.log.takePartition(3, 'worker-a');
  await t.log.append(former, [tokensGranted('touched')]);
  const owner = await t.log.takePartition(3, 'worker-b');
  for (const append of [refreshStarted('touched'), tokensGranted('touched', 2), tokensGranted('never-seen')])
    assert.is(await codeOf(t.log.append(former, [append])), 'ownership-lost');
  assert.is((await t.entries()).length, 1);
  await t.log.append(owner, [tokensGranted('never-seen')]);
  assert.is((await t.entries()).length, 2);
});

test('fence: another partition is not touched by it', async () => {
  await using t = await openTestLog();
  const three = await t.log.takePartition(3, 'worker-a');
  const four = await t.log.takePartition(4, 'worker-a');
  await t.log.takePartition(4, 'worker-b');
  await t.log.append(three, [tokensGranted('a')]);
  assert.is(await codeOf(t.log.append(four, [tokensGranted('a')])), 'ownership-lost');
});

test('of two workers that take a partition at once, the log obeys one', async () => {
  await using t = await openTestLog();
  const taken = await Promise.allSettled(
    ['worker-a', 'worker-b'].map((worker) => t.log.takePartition(3, worker)),
  );
  const own = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const appended = await Promise.allSettled(own.map((one) => t.log.append(one, [tokensGranted('a')])));
  assert.is(appended.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('taken again by the same worker it goes on; after somebody else it does not', async () => {
  await using t = await openTestLog();
  const first = await t.log.takePartition(3, 'worker-a');
  const second = await t.log.takePartition(3, 'worker-a', { previous: first });
  await t.log.append(second, [tokensGranted('a')]);
  assert.is(await codeOf(t.log.append(first, [tokensGranted('b')])), 'ownership-lost');
  // An answer that was lost: the worker knows the marker before its last one.
  const third = await t.log.takePartition(3, 'worker-a', { previous: first });
  await t.log.append(third, [tokensGranted('c')]);
  await t.log.takePartition(3, 'worker-b');
  assert.is(await codeOf(t.log.takePartition(3, 'worker-a', { previous: third })), 'ownership-lost');
});

test('two attempts of one worker to take a partition at once are no loss', async () => {
  await using t = await openTestLog();
  const first = await t.log.takePartition(3, 'worker-a');
  const both = await Promise.all(
    [1, 2, 3, 4].map(() => t.log.takePartition(3, 'worker-a', { previous: first })),
  );
  const last = both.reduce((one, other) => (one.epoch > other.epoch ? one : other));
  await t.log.append(last, [tokensGranted('a')]);
});

test('one marker is kept for a partition', async () => {
  await using t = await openTestLog();
  for (let n = 0; n < 5; n++) await t.log.takePartition(3, `worker-${n}`);
  const markers = await t.read('VAULT', 'latchkey.log.3.owner');
  assert.equal(
    markers.map(({ data }) => data.toString()),
    ['worker-4'],
  );
});

test('an event that replaces takes everything before it on its aggregate with it, and nothing else', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  await t.log.append(own, [tokensGranted('a'), tokensGranted('b')]);
  for (let n = 0; n < 5; n++) await t.log.append(own, [refreshStarted('a', n)]);
  assert.is((await t.entries()).length, 7);
  const [sequence] = await t.log.append(own, [tokensGranted('a', 2)]);
  const entries = await t.entries();
  assert.equal(
    entries.map(({ aggregate }) => aggregate),
    [grantIdOf('b'), grantIdOf('a')],
  );
  assert.is(entries[1]!.sequence, sequence);
});

test('event and fact are stored together, the fact with a time to live', async () => {
  await using t = await openTestLog({ factLifetimeSeconds: 77 });
  const own = await t.log.takePartition(3, 'worker-a');
  const append = tokensGranted('a');
  const [sequence] = await t.log.append(own, [append]);
  const [stored] = await t.read('VAULT', 'latchkey.fact.>');
  assert.is(stored!.seq, sequence! + 1);
  assert.equal(JSON.parse(stored!.data.toString()), append.fact);
  assert.match(stored!.header, /Nats-TTL: 77s/);
  const [event] = await t.read('VAULT', `latchkey.log.3.${grantIdOf('a')}`);
  assert.not.match(event!.header, /Nats-TTL/);
});

test('a refused batch leaves neither an event nor a fact', async () => {
  await using t = await openTestLog();
  const former = await t.log.takePartition(3, 'worker-a');
  await t.log.takePartition(3, 'worker-b');
  const many = [tokensGranted('a'), tokensGranted('b'), refreshStarted('c')];
  assert.is(await codeOf(t.log.append(former, many)), 'ownership-lost');
  assert.is((await t.read('VAULT', 'latchkey.fact.>')).length, 0);
  assert.is((await t.entries()).length, 0);
});

test('a batch whose beginning did not arrive is not stored by its end', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  // The connection drops the first message of the batch, as an interruption between two writes would.
  const publish = t.connection.publish.bind(t.connection);
  let dropped = 0;
  t.connection.publish = (subject, data, options) => {
    if (dropped === 0 && subject.startsWith('latchkey.log.')) {
      dropped += 1;
      return;
    }
    publish(subject, data, options);
  };
  try {
    assert.is(await codeOf(t.log.append(own, [tokensGranted('a'), tokensGranted('b')])), 'append-refused');
  } finally {
    t.connection.publish = publish;
  }
  assert.is(dropped, 1);
  assert.is((await t.read('VAULT', 'latchkey.fact.>')).length, 0);
  assert.is((await t.entries()).length, 0);
});

test('facts are in AUDIT, and stay there when they have expired in the log', async () => {
  await using t = await openTestLog({ factLifetimeSeconds: 1 });
  const own = await t.log.takePartition(3, 'worker-a');
  await t.log.append(own, [tokensGranted('a'), tokensGranted('b')]);
  for (let attempt = 0; (await t.read('VAULT', 'latchkey.fact.>')).length > 0; attempt++) {
    assert.ok(attempt < 60, 'the facts did not expire');
    await sleep(100);
  }
  const kept = await t.read('AUDIT', 'latchkey.fact.>');
  assert.equal(
    kept.map(({ data }) => JSON.parse(data.toString()).grant),
    [grantIdOf('a'), grantIdOf('b')],
  );
  assert.is((await t.entries()).length, 2);
});

test('all partitions can append at once, many times', async () => {
  await using t = await openTestLog();
  const own = await Promise.all(
    Array.from({ length: 64 }, (_, partition) => t.log.takePartition(partition, 'worker-a')),
  );
  for (let round = 0; round < 3; round++)
    await Promise.all(own.map((one) => t.log.append(one, [tokensGranted(`${one.partition}`, round + 1)])));
  const entries = await t.entries();
  assert.is(entries.length, 64);
  assert.equal(
    new Set(entries.map(({ partition, aggregate }) => aggregate === grantIdOf(`${partition}`))),
    new Set([true]),
  );
});

test('partitions that append at once share batches; one that is lost takes none of the others with it', async () => {
  await using t = await openTestLog();
  const lost = await t.log.takePartition(0, 'worker-a');
  const held = [];
  for (let partition = 1; partition <= 8; partition++)
    held.push(await t.log.takePartition(partition, 'worker-a'));
  await t.log.takePartition(0, 'worker-b');
  // The first one is under way by itself; what comes meanwhile goes into one batch.
  const first = t.log.append(held[0]!, [tokensGranted('first')]);
  const refused = codeOf(t.log.append(lost, [tokensGranted('refused')]));
  const others = held.map((own, index) =>
    t.log.append(own, [tokensGranted(`${index}`), tokensGranted(`${index}-b`)]),
  );
  assert.is(await refused, 'ownership-lost');
  const sequences = new Map<string, number>([[grantIdOf('first'), (await first)[0]!]]);
  for (const [index, appended] of (await Promise.all(others)).entries()) {
    sequences.set(grantIdOf(`${index}`), appended[0]!);
    sequences.set(grantIdOf(`${index}-b`), appended[1]!);
  }
  const entries = await t.entries();
  assert.equal(new Map(entries.map(({ aggregate, sequence }) => [aggregate, sequence])), sequences);
  assert.is(entries.length, 17);
});

test('a batch of 400 events is taken', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  const appends = Array.from({ length: 400 }, (_, n) => tokensGranted(`${n}`, 1, 2000));
  const sequences = await t.log.append(own, appends);
  const last = await t.log.findLast(3, grantIdOf('399'));
  assert.equal(last, { sequence: sequences[399]!, metadata: appends[399]!.event.metadata });
});

test('without a stream an append is refused, and with a server that is gone its outcome is unknown', async () => {
  await using t = await openTestLog();
  const own = await t.log.takePartition(3, 'worker-a');
  const log = await openJetStreamEventLog({ connection: t.connection, incarnation: 'x', timeoutMs: 200 });
  await t.nats.kill();
  assert.is(await codeOf(log.append(own, [tokensGranted('a')])), 'append-unknown');
  assert.is(await codeOf(log.takePartition(3, 'worker-a', { previous: own })), 'append-unknown');
  await t.nats.start();
  while ((await t.log.takePartition(4, 'worker-a').catch(() => null)) === null) await sleep(100);
  await (await t.connection.jetstreamManager()).streams.delete('VAULT');
  assert.is(await codeOf(log.append(own, [tokensGranted('a')])), 'append-refused');
});

test('a follower goes on over a restart of the server, without a gap and without a repetition', async () => {
  await using t = await openTestLog();
  const seen: number[] = [];
  const owners: string[] = [];
  const stop = new AbortController();
  const handlers = {
    onEntry: ({ sequence }: { sequence: number }) => seen.push(sequence),
    onOwner: (partition: number, worker: string) => owners.push(`${partition} ${worker}`),
    onPosition: () => {},
  };
  const following = t.log.follow(0, handlers, stop.signal);
  let own: PartitionOwnership = await t.log.takePartition(3, 'worker-a');
  const expected = await t.log.append(own, [tokensGranted('a'), tokensGranted('b')]);
  await t.nats.kill();
  await t.nats.start();
  for (let again: PartitionOwnership | null = null; again === null; ) {
    again = await t.log.takePartition(3, 'worker-a', { previous: own }).catch(() => null);
    if (again) own = again;
    else await sleep(100);
  }
  expected.push(...(await t.log.append(own, [tokensGranted('c')])));
  for (let attempt = 0; seen.length < 3; attempt++) {
    assert.ok(attempt < 150, `it saw ${seen.length} of 3`);
    await sleep(100);
  }
  stop.abort();
  await following;
  assert.equal(seen, expected);
  assert.equal(owners, ['3 worker-a', '3 worker-a']);
});

test.run();
