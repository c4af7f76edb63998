/** A sealed value opens only where it belongs: in the SQLite file, in the log and in KEYS. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { headers } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { streamNames } from '../../../schemas/subjects.ts';
import type { VaultError } from '../../../vault/errors.ts';
import { decodeStoredEvent, encodeStoredEvent, type StoredEvent } from '../../../vault/log/stored-event.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { openTestVault, type SignedIn, signIn, type TestVault, tokenSet } from '../../world/vault.ts';

const test = suite('swapped values');

/** The providers for which a look-up finds tokens, or the code of the error. */
async function lookUp({ vault }: TestVault, { partition, accessToken }: SignedIn, provider: string) {
  try {
    const request = { accessToken, providers: [provider], minValidSeconds: 30 };
    const { answers } = await vault.findUpstreamTokens(partition, request);
    const answer = answers[provider]!;
    return answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
  } catch (error) {
    return (error as VaultError).code;
  }
}

async function openPeople(url: string) {
  const opened = await openTestVault({ url });
  const { providers } = opened;
  providers.subject = 'ada';
  providers.tokens.set('gitlab', tokenSet('adas', Date.now() + 3_600_000));
  const ada = await signIn(opened, 'interaction-of-ada');
  providers.subject = 'bob';
  providers.tokens.set('gitlab', tokenSet('bobs', Date.now() + 3_600_000));
  const bob = await signIn(opened, 'interaction-of-bob');
  return { opened, ada, bob };
}

/** Changes the file of a vault that is stopped, and opens it again. */
async function afterwards(opened: TestVault, sql: string): Promise<TestVault> {
  return opened.reopen(() => {
    for (const name of ['projection.sqlite', 'keys.sqlite']) {
      if (!sql.includes(name === 'keys.sqlite' ? 'data_keys' : 'grants')) continue;
      const database = new Database(join(opened.folder, name));
      database.exec(sql);
      database.close();
    }
  });
}

const swapOf = (table: string, column: string, a: string, b: string) => `
  CREATE TEMP TABLE kept AS SELECT ${column} AS value FROM ${table} WHERE ${a};
  UPDATE ${table} SET ${column} = (SELECT ${column} FROM ${table} WHERE ${b}) WHERE ${a};
  UPDATE ${table} SET ${column} = (SELECT value FROM kept) WHERE ${b};
`;

test('in the SQLite file: between people, providers and versions', async () => {
  await using nats = await openNatsServer();
  const { opened, ada, bob } = await openPeople(nats.url);
  assert.is(await lookUp(opened, ada, 'gitlab'), 'adas-access-token-clear');
  const rowOf = (person: SignedIn, provider: string) =>
    `session_id = x'${Buffer.from(person.sessionId.slice(4), 'base64url').toString('hex')}' AND provider = '${provider}'`;

  // Unchanged it opens: what is refused below is refused for the swap.
  let vault = await opened.reopen();
  assert.is(await lookUp(vault, ada, 'gitlab'), 'adas-access-token-clear');
  const changes: [string, SignedIn][] = [
    [swapOf('grants', 'sealed', rowOf(ada, 'gitlab'), rowOf(bob, 'gitlab')), ada],
    [swapOf('grants', 'sealed', rowOf(ada, 'gitlab'), rowOf(ada, 'corporate')), ada],
    [`UPDATE grants SET version = version + 1 WHERE ${rowOf(bob, 'gitlab')};`, bob],
  ];
  for (const [sql, person] of changes) {
    vault = await afterwards(vault, sql);
    assert.is(await lookUp(vault, person, 'gitlab'), 'sealed-value-invalid', sql);
    // What was done is undone by doing it again; a version by taking it back.
    vault = await afterwards(vault, sql.replace('version + 1', 'version - 1'));
    assert.match(await lookUp(vault, person, 'gitlab'), 'access-token-clear');
  }
  const [first, second] = [0, 1].map(
    (offset) =>
      `principal_key = (SELECT principal_key FROM data_keys ORDER BY sequence LIMIT 1 OFFSET ${offset})`,
  );
  vault = await afterwards(vault, swapOf('data_keys', 'wrapped', first!, second!));
  for (const person of [ada, bob]) assert.is(await lookUp(vault, person, 'gitlab'), 'sealed-value-invalid');
  await vault[Symbol.asyncDispose]();
});

test('in the log: between people, providers and versions', async () => {
  await using nats = await openNatsServer();
  const { opened, ada, bob } = await openPeople(nats.url);
  await using vault = opened;
  const manager = await vault.connection.jetstreamManager();
  const { state } = await manager.streams.info(streamNames.vault, { subjects_filter: 'latchkey.log.>' });
  const subjects = Object.keys(state.subjects!).filter((subject) => subject.includes('.grt_'));
  const events = await Promise.all(
    subjects.map(async (subject) => {
      const { data } = await manager.streams.getMessage(streamNames.vault, { last_by_subj: subject });
      return { subject, event: decodeStoredEvent(data) };
    }),
  );
  const of = (person: SignedIn, provider = 'gitlab') =>
    events.find(
      ({ event: { metadata } }) =>
        metadata.type === 'TokensGranted' &&
        metadata.provider === provider &&
        metadata.sessionId === person.sessionId,
    )!;
  const { subject, event } = of(ada);
  if (event.metadata.type !== 'TokensGranted') return assert.unreachable();
  const write = async (written: StoredEvent, expected: string) => {
    const head = headers();
    head.set('Nats-Rollup', 'sub');
    await vault.connection.jetstream().publish(subject, encodeStoredEvent(written), { headers: head });
    for (let wait = 0; wait < 100 && (await lookUp(vault, ada, 'gitlab')) !== expected; wait++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.is(await lookUp(vault, ada, 'gitlab'), expected);
  };
  const { metadata, sealed } = event;
  for (const forged of [
    { metadata, sealed: of(bob).event.sealed },
    { metadata, sealed: of(ada, 'corporate').event.sealed },
    { metadata: { ...metadata, version: metadata.version + 1 }, sealed },
  ]) {
    await write(forged, 'sealed-value-invalid');
    // What was there before opens again: it is refused for the swap.
    await write(event, 'adas-access-token-clear');
  }
  assert.is(await lookUp(vault, bob, 'gitlab'), 'bobs-access-token-clear');
});

test.run();
