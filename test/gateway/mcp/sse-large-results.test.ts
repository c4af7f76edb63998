/**
 * Large results of backends with HTTP+SSE (MCP 2024-11-05), where one stream brings the answers to all calls of a client:
 * they go on while they come, to the one whose they are, and a client that reads one slowly gets the others all the same.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerToolCall } from '../newer-call.ts';
import { type SteeredSseBackend, sseEvent, startSteeredSseBackend } from '../steered-sse-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp large results of backends with HTTP+SSE');
const large = 'é "quoted" \n'.repeat(40_000);
const mebibyte = 1024 * 1024;

/** Servers differ in where they write the id. */
const resultEvent = (id: number, idAt: 'first' | 'last', content: string) => {
  const result = { content: [{ type: 'text', text: content }] };
  const message = idAt === 'first' ? { jsonrpc: '2.0', id, result } : { result, jsonrpc: '2.0', id };
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
};

const start = (backend: SteeredSseBackend, limits: { messageBytes?: number; holdUpMs?: number } = {}) =>
  startTestGateway({
    backends: [{ name: 'b', url: backend.url, transport: 'sse', timeoutMs: 20_000 }],
    limits,
  });

/** As the same client each time, whose calls share a stream. */
async function createCaller(gateway: TestGateway) {
  const token = await gateway.signer.sign();
  return () => {
    const { body, ...options } = newerToolCall('b_tool', token);
    const outgoing = request(gateway.url, { ...options, agent: false });
    outgoing.on('error', () => {});
    outgoing.end(body);
    const response = once(outgoing, 'response').then(([answer]) => answer as IncomingMessage);
    return { outgoing, response };
  };
}

/** Of an answer as a document or as events. */
async function resultOf(response: IncomingMessage) {
  const body = await text(response);
  const message = body.startsWith('{') ? body : body.split('data: ').at(-1)!;
  const { result, error } = JSON.parse(message);
  return { text: result?.content[0].text as string | undefined, isError: result?.isError, error };
}

for (const idAt of ['first', 'last'] as const)
  test(`the beginning is there before the end (id ${idAt})`, async () => {
    await using backend = await startSteeredSseBackend();
    await using gateway = await start(backend);
    const call = await createCaller(gateway);
    for (let count = 0; count < 2; count += 1) {
      const { response } = call();
      const whole = resultEvent(await backend.nextCall(), idAt, large);
      await backend.write(whole.slice(0, 200_000));
      const answer = await response;
      let begun = '';
      answer.setEncoding('utf8').on('data', (piece) => {
        begun += piece;
      });
      while (begun.length < 100_000) await once(answer, 'data');
      await backend.write(whole.slice(200_000));
      await once(answer, 'end');
      assert.is(JSON.parse(begun).id, 5);
      assert.is(JSON.parse(begun).result.content[0].text, large);
    }
    assert.is(backend.streams.length, 1);
  });

for (const idAt of ['first', 'last'] as const)
  test(`each of several calls gets its own result (id ${idAt})`, async () => {
    await using backend = await startSteeredSseBackend();
    await using gateway = await start(backend);
    const call = await createCaller(gateway);
    const one = call();
    const first = await backend.nextCall();
    const other = call();
    const second = await backend.nextCall();
    await backend.write(resultEvent(second, idAt, `second ${large}`));
    await backend.write(resultEvent(first, idAt, `first ${large}`));
    assert.is((await resultOf(await other.response)).text, `second ${large}`);
    assert.is((await resultOf(await one.response)).text, `first ${large}`);
  });

test('a late result that nobody waits for any more is not taken for that of the next call', async () => {
  await using backend = await startSteeredSseBackend();
  await using gateway = await start(backend);
  const call = await createCaller(gateway);
  const left = call();
  left.response.catch(() => {});
  const first = await backend.nextCall();
  left.outgoing.destroy();
  const { response } = call();
  const second = await backend.nextCall();
  await backend.write(resultEvent(first, 'last', `late ${large}`));
  await backend.write(resultEvent(second, 'last', `own ${large}`));
  assert.is((await resultOf(await response)).text, `own ${large}`);
  assert.is(backend.streams.length, 1);
});

const unread = 24;
const large24 = 'x'.repeat(unread * mebibyte);
for (const [what, send] of [
  ['a result', (id: number) => resultEvent(id, 'first', large24)],
  [
    'messages before the result',
    (id: number) =>
      sseEvent({
        method: 'notifications/progress',
        params: { progressToken: 'p', progress: 1, message: 'x'.repeat(mebibyte) },
      }).repeat(unread) + resultEvent(id, 'first', large24),
  ],
] as const)
  test(`${what} that its client does not read holds up another call for a while only`, async () => {
    await using backend = await startSteeredSseBackend();
    await using gateway = await start(backend, { holdUpMs: 500 });
    const call = await createCaller(gateway);
    const other = call();
    const second = await backend.nextCall();
    const slow = call();
    const first = await backend.nextCall();
    const written = backend.write(send(first));
    const unreadAnswer = await slow.response;
    const small = backend.write(resultEvent(second, 'first', 'small'));
    assert.is((await resultOf(await other.response)).text, 'small');
    await Promise.all([written, small]);
    assert.is((await resultOf(unreadAnswer)).text, large24);

    const next = call();
    await backend.write(resultEvent(await backend.nextCall(), 'first', large));
    assert.is((await resultOf(await next.response)).text, large);
    assert.is(backend.streams.length, 1);
  });

test('a call that is made while the stream stands for another one is not held up longer', async () => {
  await using backend = await startSteeredSseBackend();
  await using gateway = await start(backend, { holdUpMs: 500 });
  const call = await createCaller(gateway);
  const slow = call();
  const written = backend.write(resultEvent(await backend.nextCall(), 'first', large24));
  const unreadAnswer = await slow.response;
  const { response } = call();
  const small = backend.write(resultEvent(await backend.nextCall(), 'first', 'small'));
  assert.is((await resultOf(await response)).text, 'small');
  await Promise.all([written, small]);
  assert.is((await resultOf(unreadAnswer)).text, large24);
});

test('a message over the limit ends the stream and the calls on it, whatever it is; the next call works', async () => {
  await using backend = await startSteeredSseBackend();
  await using gateway = await start(backend, { messageBytes: 200_000 });
  const call = await createCaller(gateway);
  const message = 'x'.repeat(300_000);
  for (const [what, send] of [
    ['a notification', () => sseEvent({ method: 'notifications/message', params: { data: message } })],
    ['a question', () => sseEvent({ id: 1, method: 'sampling/createMessage', params: { message } })],
    ['an error', (id: number) => sseEvent({ id, error: { code: -32_050, message } })],
  ] as const) {
    const { response } = call();
    await backend.write(send(await backend.nextCall()));
    const failed = await resultOf(await response);
    assert.is(failed.isError, true, what);
    assert.match(failed.text!, 'larger than this gateway passes on', what);
    const next = call();
    await backend.write(resultEvent(await backend.nextCall(), 'first', what));
    assert.is((await resultOf(await next.response)).text, what);
  }
  const passed = call();
  await backend.write(resultEvent(await backend.nextCall(), 'first', message));
  assert.is(await text(await passed.response).catch((error) => error.code), 'ECONNRESET');
});

test.run();
