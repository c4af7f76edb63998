/** Whose inboxes are whose, and that a reply goes only to an inbox: it is published with the rights of whoever answers. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { createBus } from '../../schemas/bus.ts';
import { createBootId, createCommandId, createInstanceId } from '../../schemas/ids.ts';
import { defineOperation } from '../../schemas/messages/operation.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { type Role, roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { authSubject, inboxPrefix, isInbox, keySubject } from '../../schemas/subjects.ts';
import { openNatsServer } from '../world/nats-server.ts';

const test = suite('inbox');
const greet = defineOperation('greet', z.object({}), z.object({ hello: z.string() }));

test('inboxes are apart by NATS user and by process', () => {
  assert.is(inboxPrefix('gateway', 'b1', 'gateway-2'), '_INBOX_gateway-2.b1');
  assert.is(inboxPrefix('gateway', 'b1'), '_INBOX_gateway.b1');
  assert.is(inboxPrefix('gateway', 'b1', 'someone@example.com'), '_INBOX_gateway.b1');
});

test('only inboxes are taken for inboxes', () => {
  for (const subject of [`${inboxPrefix('vault', 'b1')}.x.y`, '_INBOX.x.y', '_R_.abc.def'])
    assert.ok(isInbox(subject), subject);
  const others = [
    '',
    'latchkey.log.1.owner',
    'latchkey.key.a',
    '$KV.AUTH.x',
    '$JS.API.INFO',
    'x_INBOX.a',
    '_INBOXES.a',
  ];
  for (const subject of [undefined, ...others]) assert.not.ok(isInbox(subject), subject);
});

test('a request whose reply would go to a stream is neither handled nor answered', async () => {
  await using nats = await openNatsServer();
  const rootKey = randomBytes(32);
  const instanceId = createInstanceId();
  const open = async (role: Role & ('vault' | 'gateway'), problems: string[] = []) => {
    const bootId = createBootId();
    const keys = roleKeysSchema.parse(deriveRoleKeyFile({ rootKey, instanceId, role, providers: [] }));
    const envelopes = createSealedEnvelopes({ keys, bootId, now: Date.now });
    const connection = await openNatsConnection({ servers: [nats.url], role, bootId });
    const onProblem = ({ error }: { error: unknown }) => void problems.push((error as Error).message);
    return { connection, envelopes, bus: createBus({ connection, envelopes, onProblem }) };
  };
  const problems: string[] = [];
  const vault = await open('vault', problems);
  const gateway = await open('gateway');
  try {
    const manager = await vault.connection.jetstreamManager();
    await manager.streams.add({ name: 'KEYS', subjects: ['latchkey.key.*'], max_msgs_per_subject: 1 });
    await vault.connection.jetstream().publish(keySubject('alice'), 'the key');

    const target = { subject: authSubject('greet'), pair: 'gateway-vault' } as const;
    let handled = 0;
    vault.bus.serve(greet, { ...target, queue: 'vault' }, () => ({ hello: `${++handled}` }));
    await vault.connection.flush();
    assert.equal(await gateway.bus.request(greet, target, {}, { timeoutMs: 2000 }), { hello: '1' });

    const frame = { id: createCommandId(), left: 1000, body: {} };
    for (const reply of [keySubject('alice'), '$JS.API.STREAM.DELETE.KEYS', undefined]) {
      const sealed = gateway.envelopes.sealRequest(
        target.pair,
        target.subject,
        Buffer.from(JSON.stringify(frame)),
      );
      gateway.connection.publish(target.subject, sealed.bytes, reply === undefined ? {} : { reply });
    }
    for (let wait = 0; problems.length < 3 && wait < 100; wait++) await sleep(20);
    assert.equal(problems, Array(3).fill('the subject of the reply is no inbox'));
    assert.is(handled, 1);
    const key = await manager.streams.getMessage('KEYS', { last_by_subj: keySubject('alice') });
    assert.is(key.string(), 'the key');
  } finally {
    await Promise.all([vault.connection.close(), gateway.connection.close()]);
  }
});

test.run();
