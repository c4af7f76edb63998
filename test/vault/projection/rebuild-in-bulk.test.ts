/** Files that are filled as a whole are the same as those that followed the streams message by message. */
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId, createEventId, createInstanceId, sessionIdOf } from '../../../schemas/ids.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { logSubject, ownerSubject, streamNames, streamSubjects } from '../../../schemas/subjects.ts';
import type { VaultError } from '../../../vault/errors.ts';
import { logEntryOf } from '../../../vault/log/log-entry.ts';
import { type EventMetadata, encodeStoredEvent } from '../../../vault/log/stored-event.ts';
import { followStream } from '../../../vault/log/stream-follower.ts';
import { openProjection } from '../../../vault/projection/projection.ts';
import { rebuildFiles } from '../../../vault/projection/rebuild.ts';
import { openDataKeyTable } from '../../../vault/sealing/data-key-table.ts';
import { createKeyRingFile, openKeyRing } from '../../../vault/sealing/key-ring.ts';
import { personOf, publishManyGrants } from '../../bench/many-grants.ts';
import { openUnsyncedNats } from '../../bench/unsynced-nats.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { claim } from '../grant/commands.ts';

const test = suite('rebuild in bulk');
/** More messages than one part holds, of each stream. */
const people = 1200;
const linkedIdleMs = 90 * 24 * 3_600_000;

async function openFilled() {
  const folder = openTemporaryFolder();
  const nats = await openUnsyncedNats(folder.file('nats'));
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'vault', bootId });
  const keyRing = openKeyRing(createKeyRingFile(createInstanceId()));
  await publishManyGrants(connection, keyRing, people);
  const manager = await connection.jetstreamManager();
  const last = async (stream: string, subject: string) =>
    (await manager.streams.getMessage(stream, { last_by_subj: subject })).seq;
  const log = { stream: streamNames.vault, incarnation: 'log', lastSequence: 1_000_000 };
  const keys = { incarnation: 'keys', lastSequence: 1_000_000 };
  const files = { log: folder.file('projection.sqlite'), keys: folder.file('keys.sqlite') };
  return {
    ...{ connection, folder, files, log, keys },
    personOf: (n: number) => personOf(keyRing, n),
    append: (partition: number, aggregate: string, metadata: EventMetadata) =>
      connection
        .jetstream()
        .publish(
          logSubject(partition, aggregate),
          encodeStoredEvent({ metadata, sealed: Buffer.from('sealed') }),
        ),
    rebuild: async () =>
      rebuildFiles(connection, [
        {
          ...{ stream: 'log', file: files.log, log, linkedIdleMs },
          until: await last(streamNames.vault, streamSubjects.log),
        },
        { stream: 'keys', file: files.keys, keys, until: await last(streamNames.keys, streamSubjects.keys) },
      ]),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nats[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

type Filled = Awaited<ReturnType<typeof openFilled>>;

function rowsIn(file: string, tables: Readonly<Record<string, string>>) {
  const database = new Database(file, { readonly: true });
  try {
    return Object.entries(tables).map(([table, key]) =>
      database.prepare(`SELECT * FROM ${table} ORDER BY ${key}`).all(),
    );
  } finally {
    database.close();
  }
}
const ofProjection = {
  ...{ grants: 'grant_id', sessions: 'session_id', upstream_sessions: 'session_id', positions: 'stream' },
  forgotten: 'principal_key',
};
const ofKeys = { data_keys: 'principal_key', key_position: 'sequence' };

/** What a worker does that is there all the time. */
async function followOneByOne({ connection, folder, log, keys }: Filled) {
  const [projectionFile, keyFile] = [folder.file('followed.sqlite'), folder.file('followed-keys.sqlite')];
  using projection = openProjection(projectionFile, [log], 0, linkedIdleMs);
  using table = openDataKeyTable(keyFile, keys);
  const manager = await connection.jetstreamManager();
  const follow = async (
    stream: string,
    filterSubject: string,
    onMessage: Parameters<typeof followStream>[2],
  ) => {
    const { seq } = await manager.streams.getMessage(stream, { last_by_subj: filterSubject });
    const end = new AbortController();
    await followStream(
      connection,
      { stream, filterSubject, afterSequence: 0 },
      (message) => {
        onMessage(message);
        if (message.seq === seq) end.abort();
      },
      end.signal,
    );
  };
  await follow(streamNames.vault, streamSubjects.log, (message) => {
    const entry = logEntryOf(message);
    if (entry) projection.transaction(() => projection.apply(entry));
    projection.setPosition(streamNames.vault, message.seq, entry?.event.metadata.at);
  });
  await follow(streamNames.keys, streamSubjects.keys, ({ subject, data, seq }) => {
    table.apply(subject.split('.')[2]!, data, seq);
    table.setPosition(seq);
  });
  return [...rowsIn(projectionFile, ofProjection), ...rowsIn(keyFile, ofKeys)];
}

test('whatever the streams hold, both ways lead to the same rows', async () => {
  await using filled = await openFilled();
  const { append } = filled;
  const head = () => ({ id: createEventId(), at: Date.now() });
  const [claimed, ended, evicted, forgotten, returned] = [3, 700, 1100, 800, 900].map(filled.personOf);
  await append(claimed!.partition, claimed!.grantIds[0]!, {
    ...{ type: 'RefreshStarted', ...head(), grantId: claimed!.grantIds[0]!, claimId: claim(1) },
    ...{ deadlineAt: 9, reason: 'expiring', startedClaims: [claim(1)] },
  });
  await filled.connection.jetstream().publish(ownerSubject(claimed!.partition), Buffer.from('boot_w'));
  await append(ended!.partition, ended!.sessionId, {
    ...{ type: 'SessionEnded', ...head(), sessionId: ended!.sessionId, reason: 'revoked' },
  });
  await append(evicted!.partition, evicted!.grantIds[1]!, {
    ...{ type: 'GrantEvicted', ...head(), grantId: evicted!.grantIds[1]! },
  });
  for (const { partition, principalKey } of [forgotten!, returned!])
    await append(partition, principalKey, { type: 'UserForgotten', ...head(), principalKey });
  const again = { sessionId: sessionIdOf('grant-after-it'), endsAt: Date.now() + linkedIdleMs };
  await append(returned!.partition, again.sessionId, {
    ...{ type: 'SessionOpened', ...head(), ...again, principalKey: returned!.principalKey },
    clientId: 'client-1',
  });
  await filled.rebuild();
  const rebuilt = [...rowsIn(filled.files.log, ofProjection), ...rowsIn(filled.files.keys, ofKeys)];
  assert.equal(
    rebuilt.map(({ length }) => length),
    [2 * people - 1 - 4, people - 1 - 1, 0, 1, 2, people, 1],
  );
  assert.equal(rebuilt, await followOneByOne(filled));
});

test('one message that cannot be read stops the rebuild, is named, and leaves the file empty', async () => {
  await using filled = await openFilled();
  const { partition, grantIds } = filled.personOf(5);
  await filled.connection
    .jetstream()
    .publish(logSubject(partition, grantIds[0]!), Buffer.from([2, 0, 0, 0, 2, 0x7b, 0x7d]));
  try {
    await filled.rebuild();
    assert.unreachable('it was read');
  } catch (error) {
    assert.is((error as VaultError).code, 'projection-failed');
    assert.match(String((error as VaultError).cause), /format is unknown/);
  }
  using projection = openProjection(filled.files.log, [filled.log], 0, linkedIdleMs);
  assert.is(projection.position(streamNames.vault), 0);
  assert.is(projection.findGrant(grantIds[1]!), null);
});

test.run();
