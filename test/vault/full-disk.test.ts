/**
 * A disk that is full: what cannot be stored is refused, to be tried again, and nothing else is; look-ups go on, and
 * with room again all goes on by itself. The refusals are those of the real server and of the real SQLite: a stream may
 * hold no more bytes than it has, a file no more pages.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../schemas/failure.ts';
import { createCommandId } from '../../schemas/ids.ts';
import { VaultError } from '../../vault/errors.ts';
import { tokenPayload, useOf } from '../world/token-use.ts';
import { signIn, type TestVault } from '../world/vault.ts';
import { openRefreshWorld, refreshedTo, tokenIn } from './refresh/refresh-world.ts';

/** A new order for a record that lives ten minutes. */
const order = () => ({ commandId: createCommandId(), expiresInSeconds: 600 });

const test = suite('full disk');
const newToken = 'new-access-token-clear';

/** The stream takes nothing more. @returns gives it room again */
async function fill({ connection }: TestVault, stream: string): Promise<() => Promise<void>> {
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(stream);
  const limit = { max_bytes: state.bytes, discard: 'new' as never };
  await manager.streams.update(stream, limit);
  return async () => {
    await manager.streams.update(stream, { max_bytes: -1 });
  };
}

async function assertRetryable(work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => null,
    (caught) => caught,
  );
  assert.ok(error instanceof VaultError || error instanceof RefusedError, String(error));
  assert.ok(error.retryable, `${error.code}: ${error.message}`);
}

test('VAULT is full: no claim, so the provider is not asked; a session is refused; then both go on', async () => {
  await using w = await openRefreshWorld();
  const uid = 'interaction-of-somebody-else';
  const makeRoom = await fill(w.t, 'VAULT');
  assert.is((await w.lookUp()).status, 'pending');
  const { partition, accessToken } = w.person;
  const request = { accessToken, providers: ['corporate'], minValidSeconds: 0 };
  const { answers } = await w.t.vault.findUpstreamTokens(partition, request);
  assert.is(answers.corporate!.status, 'ok', 'a token that lives is served');
  await assertRetryable(signIn(w.t, uid, 'somebody-else'));
  assert.is(w.t.providers.refreshes.length, 0);
  await makeRoom();
  while ((await w.lookUp()).status === 'pending' && w.t.providers.refreshes.length === 0) await sleep(20);
  await w.deliver(await w.order(1), refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
  await signIn(w.t, 'interaction-of-a-third', 'a-third');
});

test('VAULT is full: however often a token is asked for, its claim is tried once a second', async () => {
  await using w = await openRefreshWorld();
  const makeRoom = await fill(w.t, 'VAULT');
  let claims = 0;
  w.t.connection.subscribe('latchkey.fact.*.refresh-started.>', { callback: () => (claims += 1) });
  const began = performance.now();
  while (performance.now() - began < 700) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => w.lookUp({ waits: false })));
    assert.equal(new Set(answers.map(({ status }) => status)), new Set(['pending']));
  }
  assert.is(claims, 1);
  await makeRoom();
  while (w.t.providers.refreshes.length === 0) {
    await w.lookUp();
    await sleep(20);
  }
  await w.deliver(await w.order(1), refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
});

test('VAULT is full when a provider has given tokens: acknowledged from the outbox, and in the log with room again', async () => {
  await using w = await openRefreshWorld();
  await w.lookUp();
  const order = await w.order(1);
  const makeRoom = await fill(w.t, 'VAULT');
  await w.deliver(order, refreshedTo('new'));
  assert.is((await w.lookUp()).status, 'pending', 'what is not in the log is not told');
  await makeRoom();
  while (tokenIn(await w.lookUp()) !== newToken) await sleep(50);
  assert.is(w.t.providers.refreshes.length, 1);
});

test('KEYS is full: nobody new gets in, and everybody else is served and refreshed', async () => {
  await using w = await openRefreshWorld();
  const makeRoom = await fill(w.t, 'KEYS');
  await assertRetryable(signIn(w.t, 'interaction-of-somebody-new', 'somebody-new'));
  await w.lookUp();
  await w.deliver(await w.order(1), refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
  // Who is known has a key.
  await signIn(w.t, 'interaction-of-alice-again');
  await makeRoom();
  await signIn(w.t, 'interaction-of-somebody-newer', 'somebody-new');
});

test('AUTH is full: no record is written, none is taken for used up, and look-ups and refreshes go on', async () => {
  await using w = await openRefreshWorld();
  const { records, tokenUses } = w.t.vault;
  await records.put('AuthorizationCode', 'a-code', tokenPayload, order());
  const makeRoom = await fill(w.t, 'KV_AUTH');
  await assertRetryable(signIn(w.t, 'interaction-of-somebody-new', 'somebody-new'));
  await assertRetryable(records.put('RefreshToken', 'a-token', {}, order()));
  await assertRetryable(tokenUses.begin(useOf('a-code')));
  await w.lookUp();
  await w.deliver(await w.order(1), refreshedTo('new'));
  assert.is(tokenIn(await w.lookUp()), newToken);
  await makeRoom();
  assert.is((await records.findById('AuthorizationCode', 'a-code'))!.consumed, undefined);
  assert.is(await records.findById('RefreshToken', 'a-token'), null);
  assert.is((await tokenUses.begin(useOf('a-code'))).status, 'begun');
  await signIn(w.t, 'interaction-of-somebody-newer', 'somebody-new');
});

/** While it is open, a vault that opens has an outbox without room. */
function noRoomInOutboxes(): Disposable {
  const { pragma } = Database.prototype;
  Database.prototype.pragma = function (this: Database.Database, source: string, options?: never) {
    const answer = pragma.call(this, source, options);
    if (source.startsWith('user_version =') && this.name.endsWith('outbox.sqlite'))
      pragma.call(this, 'max_page_count = 1');
    return answer;
  } as typeof pragma;
  return {
    [Symbol.dispose]: () => {
      Database.prototype.pragma = pragma;
    },
  };
}

test('the outbox is full: tokens go to the log, and what neither has is not acknowledged', async () => {
  await using w = await openRefreshWorld();
  {
    using _ = noRoomInOutboxes();
    await w.restart();
  }
  await w.lookUp();
  const order = await w.order(1);
  const makeRoom = await fill(w.t, 'VAULT');
  // Larger than what is free in the pages that there are.
  const outcome = refreshedTo(`new-${'x'.repeat(20_000)}`);
  await assertRetryable(w.deliver(order, outcome));
  const isFull = (error: unknown) => (error as { code?: string }).code === 'SQLITE_FULL';
  assert.ok(w.t.problems.some(isFull), 'the disk was full');
  await makeRoom();
  await w.deliver(order, outcome);
  assert.match(tokenIn(await w.lookUp()), /^new-xxx/);
  assert.is(w.t.providers.refreshes.length, 1);
});

test.run();
