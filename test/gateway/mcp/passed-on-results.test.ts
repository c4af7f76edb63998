/**
 * A large result in one message goes on while it comes: the client has its beginning before the backend has sent its
 * end, and where that end never comes the client sees that it does not.
 */
import { once } from 'node:events';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerToolCall } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import {
  clientKinds,
  connectClient,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../test-gateway.ts';

const test = suite('gateway/mcp results that are passed on');
const large = 'é "quoted" \n'.repeat(40_000);
const content = [{ type: 'text', text: large, id: 99, _meta: { result: {}, id: 'x' } }];
const clients = ['2026-07-28', '2025-11-25'] as const;
const answers = ['one document', 'an event', 'an event after another'] as const;
type Answer = (typeof answers)[number];

/** Where the message begins and ends in an answer of the kind. */
function around(answer: Answer): [string, string] {
  if (answer === 'one document') return ['', ''];
  const progress = {
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: 'p', progress: 1 },
  };
  return [
    `${answer === 'an event' ? '' : `data: ${JSON.stringify(progress)}\n\n`}event: message\ndata: `,
    '\n\n',
  ];
}

function onCall(
  backend: TestBackend,
  answer: Answer,
  write: (res: ServerResponse, id: number) => Promise<void>,
): void {
  backend.intercept = async (_req, res, body) => {
    if (!body.includes('"tools/call"')) return false;
    res.writeHead(200, {
      'content-type': answer === 'one document' ? 'application/json' : 'text/event-stream',
    });
    const [before, after] = around(answer);
    res.write(before);
    await write(res, JSON.parse(body).id);
    if (!res.destroyed) res.end(after);
    return true;
  };
}

/** Its id is 5. Resolves with the head of the answer. */
async function call(gateway: TestGateway, version: (typeof clients)[number]): Promise<IncomingMessage> {
  const token = await gateway.signer.sign();
  const newer = newerToolCall('b_whoami', token);
  if (version === '2026-07-28') return await send(gateway.url, newer.headers, newer.body);
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const clientInfo = { name: 'c', version: '1' };
  const initialize = { protocolVersion: version, capabilities: {}, clientInfo };
  const opened = await send(
    gateway.url,
    headers,
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }),
  );
  await text(opened);
  const session = { ...headers, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  const params = { name: 'b_whoami', _meta: { progressToken: 'p' } };
  return await send(
    gateway.url,
    session,
    JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'tools/call', params }),
  );
}

async function send(url: string, headers: Record<string, string>, body: string): Promise<IncomingMessage> {
  const outgoing = request(url, { method: 'POST', headers });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

/** Of the answer: the message that is the result. */
function messageIn(response: IncomingMessage, body: string): unknown {
  if (response.headers['content-type'] === 'application/json') return JSON.parse(body);
  const events = body.split('\n\n').filter((event) => event.startsWith('event: message'));
  return JSON.parse(events.at(-1)!.replace('event: message\ndata: ', ''));
}

const start = (
  backend: TestBackend,
  options: Omit<TestGatewayOptions, 'backends'> & { timeoutMs?: number } = {},
) => {
  const { timeoutMs = 20_000, ...others } = options;
  return startTestGateway({ ...others, backends: [{ name: 'b', url: backend.url, timeoutMs }] });
};

for (const version of clients)
  for (const answer of answers)
    for (const idAt of ['first', 'last'] as const)
      test(`${version}: the beginning is there before the end (${answer}, its id ${idAt})`, async () => {
        await using backend = await startTestBackend();
        await using gateway = await start(backend);
        const begun = Promise.withResolvers<void>();
        onCall(backend, answer, async (res, id) => {
          const result = { resultType: 'complete', content, _meta: { 'example.com/extra': [1] } };
          const body = JSON.stringify(
            idAt === 'first' ? { jsonrpc: '2.0', id, result } : { result, jsonrpc: '2.0', id },
          );
          res.write(body.slice(0, 200_000));
          await begun.promise;
          res.write(body.slice(200_000));
        });
        const response = await call(gateway, version);
        let body = '';
        response.setEncoding('utf8');
        for await (const piece of response) {
          body += piece;
          if (body.length > 100_000) begun.resolve();
        }
        assert.equal(messageIn(response, body), {
          jsonrpc: '2.0',
          id: 5,
          result: {
            ...(version === '2026-07-28' ? { resultType: 'complete' } : {}),
            content,
            _meta: { 'example.com/extra': [1] },
          },
        });
        assert.match(
          response.headers['content-type']!,
          answer === 'one document' && version === '2026-07-28' ? 'json' : /json|event/,
        );
      });

for (const kind of clientKinds)
  test(`${kind}: a large result is what the backend sent`, async () => {
    await using backend = await startTestBackend();
    await using gateway = await start(backend);
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    for (const answer of answers) {
      // As a server of before 2026-07-28 writes it, and with line ends between the members.
      onCall(backend, answer, async (res, id) => {
        const result = { content: [{ type: 'text', text: large }], isError: true };
        const message = { jsonrpc: '2.0', id, result };
        res.write(answer === 'one document' ? JSON.stringify(message, null, 2) : JSON.stringify(message));
      });
      const { content: received, isError } = await client.callTool({ name: 'b_whoami' });
      assert.equal([received, isError], [[{ type: 'text', text: large }], true]);
    }
    backend.intercept = () => false;
    assert.is((await client.callTool({ name: 'b_whoami' })).isError, undefined);
  });

for (const version of clients)
  for (const answer of ['one document', 'an event'] as const)
    test(`${version}: what does not end as it should is broken off (${answer})`, async () => {
      await using backend = await startTestBackend();
      await using gateway = await start(backend, { limits: { messageBytes: 2_000_000 } });
      const begins = (rest: string) =>
        `{"jsonrpc":"2.0",${rest}"result":{"content":[{"type":"text","text":"${'x'.repeat(200_000)}`;
      const wrongId = 'the id of another request';
      const faults: Record<string, string | null> = {
        'a reset': null,
        'an end in the middle': '',
        'an end without the last bracket': '"}]}',
        'a bracket of another kind': '"}}]}',
        rubbish: '"}]}} secret words',
        'a line end in a string': answer === 'an event' ? '\r"}]}}' : '\n"}]}}',
        [wrongId]: '"}]},"id":99999}',
        'an error besides': '"}]},"error":{"code":1,"message":"no"}}',
        'a second result': '"}]},"result":{"content":[]}}',
        'a method': '"}]},"method":"x"}',
        'what has to be answered first': '"}],"resultType":"input_required","requestState":"s"}}',
        'more than is passed on': `${'x'.repeat(2_000_000)}"}]}}`,
      };
      for (const [what, ending] of Object.entries(faults)) {
        const begun = Promise.withResolvers<void>();
        onCall(backend, answer, async (res, id) => {
          res.write(begins(what === wrongId ? '' : `"id":${id},`));
          await begun.promise;
          if (ending === null) res.socket?.resetAndDestroy();
          else res.write(ending);
        });
        const response = await call(gateway, version);
        let body = '';
        response.setEncoding('utf8').on('data', (piece) => {
          body += piece;
          if (body.includes('xxxx')) begun.resolve();
        });
        const broken = await text(response).then(
          () => null,
          (error) => error.code,
        );
        assert.is(broken, 'ECONNRESET', what);
        const last = body.slice(body.indexOf('{'));
        assert.not.match(last, /\n\n/, what);
        assert.throws(() => JSON.parse(last), undefined, what);
      }
      assert.not.match(gateway.logged(), /secret words/);
      backend.intercept = () => false;
      assert.match(await text(await call(gateway, version)), 'nothing', 'the next call works');
    });

test('a backend that falls silent in the middle is waited for as long as its limit says, and a slow one longer', async () => {
  await using backend = await startTestBackend();
  await using gateway = await start(backend, { timeoutMs: 3_000 });
  const body = (id: number) => JSON.stringify({ jsonrpc: '2.0', id, result: { content } });
  onCall(backend, 'one document', async (res, id) => {
    const whole = body(id);
    for (let from = 0; from < whole.length; from += 80_000) {
      res.write(whole.slice(from, from + 80_000));
      await pause(700);
    }
  });
  assert.is(JSON.parse(await text(await call(gateway, '2026-07-28'))).result.content[0].text, large);
  onCall(backend, 'one document', async (res, id) => {
    res.write(body(id).slice(0, 300_000));
    await once(res, 'close');
  });
  const response = await call(gateway, '2026-07-28');
  assert.is(await text(response).catch((error) => error.code), 'ECONNRESET');
});

test('one message is read as fast as the client reads it', async () => {
  await using backend = await startTestBackend();
  await using gateway = await start(backend);
  const mebibyte = 1024 * 1024;
  const total = 48;
  let sent = 0;
  onCall(backend, 'one document', async (res, id) => {
    res.write(`{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"`);
    for (; sent < total; sent += 1) if (!res.write('x'.repeat(mebibyte))) await once(res, 'drain');
    res.write('"}]}}');
  });
  const response = await call(gateway, '2026-07-28');
  for (let before = -1; before !== sent; await pause(500)) before = sent;
  assert.ok(sent < total, `${sent} MiB went on although nobody reads`);
  const { result } = JSON.parse(await text(response));
  assert.is(result.content[0].text.length, total * mebibyte);
});

test('a client that goes away in the middle ends its request at the backend', async () => {
  await using backend = await startTestBackend();
  await using gateway = await start(backend);
  const ended = Promise.withResolvers<void>();
  onCall(backend, 'one document', async (res, id) => {
    res.once('close', () => ended.resolve());
    res.write(JSON.stringify({ jsonrpc: '2.0', id, result: { content } }).slice(0, -10));
    await ended.promise;
  });
  const response = await call(gateway, '2026-07-28');
  response.on('error', () => {});
  await once(response, 'data');
  response.destroy();
  await ended.promise;
});

test('what is large and no result of a call is looked at whole: errors, and questions of the backend', async () => {
  await using backend = await startTestBackend();
  await using gateway = await start(backend);
  for (const answer of ['one document', 'an event'] as const) {
    onCall(backend, answer, async (res, id) => {
      res.write(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32_050, message: large, data: 1 } }));
    });
    const failed = await call(gateway, '2026-07-28');
    assert.equal(messageIn(failed, await text(failed)), {
      jsonrpc: '2.0',
      id: 5,
      error: { code: -32_050, message: large, data: 1 },
    });
    onCall(backend, answer, async (res, id) => {
      const result = { inputRequests: {}, requestState: large, resultType: 'input_required' };
      res.write(JSON.stringify({ jsonrpc: '2.0', id, result: result }));
    });
    const asked = await call(gateway, '2026-07-28');
    const { result } = messageIn(asked, await text(asked)) as { result: Record<string, string> };
    assert.is(result.resultType, 'input_required');
    assert.ok(
      result.requestState!.length > large.length && !result.requestState!.includes('quoted'),
      'sealed',
    );
  }
});

test.run();
