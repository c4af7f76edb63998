import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createGatewayFacts, createJetStreamPublish } from '../../gateway/facts.ts';
import { gatewayFactSchema } from '../../schemas/events/facts.ts';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { streamSubjects } from '../../schemas/subjects.ts';
import { openNatsServer } from '../world/nats-server.ts';

const test = suite('gateway/facts');
const about = {
  fact: 'token-needed',
  session: null,
  backend: 'git',
  provider: 'gitlab',
  version: null,
  reason: 'missing',
} as const;

function aLog() {
  const errors: unknown[] = [];
  return { errors, error: (problem: unknown) => errors.push(problem) };
}

test('a fact is published once it is acknowledged, on its subject, under its id', async () => {
  const published: [string, string, string][] = [];
  const log = aLog();
  const bootId = createBootId();
  const facts = createGatewayFacts({
    publish: async (subject, body, id) => published.push([subject, Buffer.from(body).toString(), id]),
    bootId,
    now: () => 42,
    log: log as never,
  });
  assert.is(facts.report(about), undefined);
  await facts.close();
  const [[subject, body, id]] = published as [[string, string, string]];
  assert.is(subject, 'latchkey.fact.gateway.token-needed');
  const fact = gatewayFactSchema.parse(JSON.parse(body));
  assert.equal(fact, { ...about, id, at: 42, gateway: bootId });
  assert.equal(log.errors, []);
});

test('a publish that was not acknowledged is repeated under the same id', async () => {
  const ids: string[] = [];
  const done = Promise.withResolvers<void>();
  const facts = createGatewayFacts({
    publish: async (_subject, _body, id) => {
      ids.push(id);
      if (ids.length === 1) throw new Error('503');
      done.resolve();
    },
    bootId: createBootId(),
    now: () => 1,
    log: aLog() as never,
  });
  facts.report(about);
  await done.promise;
  assert.is(ids.length, 2);
  assert.is(ids[0], ids[1]);
});

test('JetStream stores a fact, and a repeated one once', async () => {
  await using nats = await openNatsServer();
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'gateway', bootId });
  try {
    const publish = createJetStreamPublish(connection);
    const [subject, body] = ['latchkey.fact.gateway.token-needed', Buffer.from('{}')];
    await publish(subject, body, 'evt_1').then(
      () => assert.unreachable('acknowledged without a stream'),
      () => {},
    );
    const manager = await connection.jetstreamManager();
    await manager.streams.add({ name: 'AUDIT', subjects: [streamSubjects.gatewayFacts] });
    for (const id of ['evt_1', 'evt_1', 'evt_2']) await publish(subject, body, id);
    assert.is((await manager.streams.info('AUDIT')).state.messages, 2);
  } finally {
    await connection.close();
  }
});

test('what could not be stored is logged without holding up the end', async () => {
  const log = aLog();
  const facts = createGatewayFacts({
    publish: () => Promise.reject(new Error('no stream')),
    bootId: createBootId(),
    now: () => 1,
    log: log as never,
  });
  facts.report(about);
  await facts.close();
  assert.is(log.errors.length, 1);
});

test.run();
