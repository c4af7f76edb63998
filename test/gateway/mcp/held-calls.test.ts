/** Calls that wait for what their client answers: whose they are, how long they wait, and how many one person has. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CallHooks,
  createHeldCalls,
  type FirstRound,
  type Outcome,
} from '../../../gateway/mcp/held-calls.ts';
import { openConformanceBackend } from '../../world/backends/conformance.ts';
import { newerRequest } from '../newer-call.ts';
import { startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp held calls');

const roundOf = (owner: string, tsid: string | null = null): FirstRound => ({
  ...{ owner, person: owner.slice(0, 4), tsid, signal: new AbortController().signal },
  onNotification: () => {},
  room: () => null,
  openResult: () => null,
});
const askOnce = async ({ onRequest }: CallHooks) => ({
  told: await onRequest('elicitation/create', {}, new AbortController().signal),
});
const idOf = (outcome: Outcome) => (outcome.kind === 'held' ? outcome.id : 'not held');
const reasonOf = (outcome: Promise<Outcome>) =>
  outcome.then(
    () => 'went on',
    (error) => error.error?.data?.reason ?? error.message,
  );

test('a call goes on with the answer of the one who made it, once', async () => {
  const held = createHeldCalls({ bootId: 'boot_a' });
  const outcome = await held.begin(roundOf('anna 1'), askOnce);
  assert.equal(outcome.kind === 'held' && outcome.inputRequests, {
    input_1: { method: 'elicitation/create', params: {} },
  });
  const id = idOf(outcome);
  const answers = { input_1: { action: 'accept' } };
  for (const owner of ['ben 1', 'anna 2'])
    assert.is(await reasonOf(held.goOn(id, roundOf(owner), answers)), 'invalid_request_state');
  const end = await held.goOn(id, roundOf('anna 1'), answers);
  assert.equal(end, { kind: 'result', result: { told: { action: 'accept' } } });
  assert.is(await reasonOf(held.goOn(id, roundOf('anna 1'), answers)), 'invalid_request_state');
});

test('one that nobody answers is let go after its time, or when the gateway stops, and ends at the backend', async () => {
  const held = createHeldCalls({ bootId: 'boot_a', holdMs: 20 });
  const ended: Promise<void>[] = [];
  const waitForEnd = (hooks: CallHooks) => {
    ended.push(new Promise((resolve) => hooks.signal.addEventListener('abort', () => resolve())));
    return askOnce(hooks);
  };
  const id = idOf(await held.begin(roundOf('anna 1'), waitForEnd));
  // What is held keeps no process alive.
  const awake = setInterval(() => {}, 1_000);
  await ended[0];
  clearInterval(awake);
  assert.is(await reasonOf(held.goOn(id, roundOf('anna 1'), {})), 'invalid_request_state');

  const patient = createHeldCalls({ bootId: 'boot_a' });
  await patient.begin(roundOf('anna 1'), waitForEnd);
  patient.close();
  await ended[1];
});

test('a sign-in that is over takes the calls with it that wait for it, and no other', async () => {
  const held = createHeldCalls({ bootId: 'boot_a' });
  const ended = Promise.withResolvers<void>();
  const theirs = await held.begin(roundOf('anna 1', 'ses_over'), (hooks) => {
    hooks.signal.addEventListener('abort', () => ended.resolve());
    return askOnce(hooks);
  });
  const others = await held.begin(roundOf('anna 1', 'ses_other'), askOnce);
  held.endSignIn('ses_over');
  await ended.promise;
  assert.is(await reasonOf(held.goOn(idOf(theirs), roundOf('anna 1'), {})), 'invalid_request_state');
  const end = await held.goOn(idOf(others), roundOf('anna 1'), { input_1: { action: 'accept' } });
  assert.is(end.kind, 'result');
});

test('one person has a limited number of them, whatever is called, and others theirs', async () => {
  await using backend = await openConformanceBackend('2025-11-25');
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const _meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, sampling: {} } };
  const [first, second] = ['f', 's'].map((letter) => `ses_${letter.repeat(32)}`);
  const call = async (sub: string, tool: string, args: object, tsid = first) => {
    const params = { name: `b_${tool}`, arguments: args, _meta };
    const token = await gateway.signer.sign({ sub, tsid });
    const { body, ...request } = newerRequest('tools/call', params, token);
    const answer = (await (await fetch(gateway.url, { ...request, body })).json()) as {
      result?: { resultType: string };
      error?: { message: string };
    };
    return answer.result?.resultType ?? answer.error!.message;
  };
  for (let count = 0; count < 10; count += 1) {
    assert.is(await call('usr_anna', 'test_elicitation', { message: 'Really?' }), 'input_required');
    assert.is(await call('usr_anna', 'test_sampling', { prompt: 'Capital?' }), 'input_required');
  }
  for (const [tool, args] of [
    ['test_elicitation', { message: 'Really?' }],
    ['test_sampling', { prompt: 'Capital?' }],
  ] as const)
    assert.is(await call('usr_anna', tool, args), 'Too many calls wait for an answer of yours');
  assert.is(await call('usr_ben', 'test_elicitation', { message: 'Really?' }), 'input_required');
  // Those of a sign-in that is over make room.
  gateway.endSession(first!);
  assert.is(await call('usr_anna', 'test_elicitation', { message: 'Really?' }, second), 'input_required');
});

test.run();
