import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClientSessions, createClientSessions } from '../../../gateway/mcp/client-sessions.ts';
import type { JsonObject } from '../../../gateway/mcp/json-rpc.ts';
import { createVaultSessionStore } from '../../../gateway/mcp/vault-session-store.ts';
import { createSessionStore } from '../test-gateway.ts';

const test = suite('gateway/mcp client sessions');
const client = { info: { name: 'c', version: '1' }, capabilities: {} };

const openSessions = (maxSessions: number): ClientSessions =>
  createClientSessions({ bootId: 'boot_x', store: createSessionStore(), maxSessions });

test('a session with a call that waits for an answer goes on, however many are opened meanwhile', async () => {
  const sessions = openSessions(2);
  const session = sessions.begin('of-anna', client);
  const sent: JsonObject[] = [];
  const sink = { send: (message: JsonObject) => sent.push(message) > 0, room: () => null };
  const answer = session.ask(sink, 'roots/list', {}, new AbortController().signal);
  for (let opened = 0; opened < 100; opened += 1) sessions.begin(`of-ben-${opened}`, client);
  const found = await sessions.open('of-anna', client);
  assert.is(found, session);
  assert.ok(found?.answer({ id: sent[0]!.id, result: { roots: [] } }));
  assert.equal(await answer, { roots: [] });
  for (let opened = 0; opened < 100; opened += 1) sessions.begin(`of-ben-${opened}`, client);
  assert.is(sessions.find('of-anna'), session);
  await sessions.end('of-anna');
  assert.is(await sessions.open('of-anna', client), null);
});

test('a session that was kept in a form that nobody knows is none, so that its client opens another', async () => {
  const whole = { logLevel: 'error', watched: ['test://a'], ended: false };
  for (const [payload, isKnown] of [
    [null, true],
    [whole, true],
    [{}, false],
    [{ ...whole, logLevel: 7 }, false],
    [{ ...whole, watched: undefined }, false],
  ] as const) {
    const store = createVaultSessionStore({
      findRecord: async () => payload as JsonObject | null,
      putRecord: async () => {},
    });
    const sessions = createClientSessions({ bootId: 'boot_x', store });
    assert.is((await sessions.open('id', client)) !== null, isKnown, JSON.stringify(payload));
  }
});

test.run();
