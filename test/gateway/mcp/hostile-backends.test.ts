/** Backends that hang, reset, babble, send too much or change: the caller is told, and nothing else suffers. */
import type { ServerResponse } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerToolCall } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp hostile backends');

/** Answers tool calls, and nothing else. */
function onCall(backend: TestBackend, answer: (res: ServerResponse, id: unknown) => void): void {
  backend.intercept = (_req, res, body) => {
    if (!body.includes('"tools/call"')) return false;
    answer(res, JSON.parse(body).id);
    return true;
  };
}

const json = (res: ServerResponse, body: string) =>
  res.writeHead(200, { 'content-type': 'application/json' }).end(body);
const events = (res: ServerResponse) => res.writeHead(200, { 'content-type': 'text/event-stream' });

for (const kind of clientKinds)
  test(`${kind}: what is no answer is an error result, and the next call works`, async () => {
    await using backend = await startTestBackend();
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const answers: [string, (res: ServerResponse, id: unknown) => void][] = [
      ['nothing', (res) => res.writeHead(200).end()],
      ['no content', (res) => res.writeHead(204).end()],
      ['no JSON', (res) => json(res, 'secret words')],
      ['half a JSON', (res, id) => json(res, `{"jsonrpc":"2.0","id":${id},"result":{"content"`)],
      ['a number', (res) => json(res, '7')],
      ['a list of numbers', (res) => json(res, '[1,2]')],
      ['null', (res) => json(res, 'null')],
      ['a result that is no object', (res, id) => json(res, `{"jsonrpc":"2.0","id":${id},"result":[]}`)],
      ['the result of another', (res) => json(res, '{"jsonrpc":"2.0","id":"x","result":{}}')],
      ['a page', (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<p>secret words')],
      ['a stream without a result', (res) => events(res).end(': nothing\n\n')],
      ['a stream of rubbish', (res) => events(res).end('data: {secret words\n\n')],
      ['a stream that ends in an event', (res, id) => events(res).end(`data: {"id":${id}`)],
      ['a status of its own', (res) => res.writeHead(599).end('secret words')],
      ['too many requests', (res) => res.writeHead(429, { 'retry-after': '1' }).end()],
      ['a reset', (res) => res.socket?.resetAndDestroy()],
      [
        'a reset in the middle',
        (res) => {
          events(res).write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n');
          setImmediate(() => res.socket?.resetAndDestroy());
        },
      ],
    ];
    for (const [what, answer] of answers) {
      onCall(backend, answer);
      const result = await client.callTool({ name: 'b_whoami' });
      assert.is(result.isError, true, what);
      assert.match(textOf(result), /^The backend "b"/, what);
      backend.intercept = () => false;
      assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'nothing', what);
    }
    assert.not.match(gateway.logged(), /secret words/);
  });

for (const kind of clientKinds)
  test(`${kind}: a result that is nested too deeply to be written again is an error, and the next call works`, async () => {
    await using backend = await startTestBackend();
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    onCall(backend, (res, id) =>
      json(res, `{"jsonrpc":"2.0","id":${id},"result":{"content":[],"a":${deep}}}`),
    );
    const error = await client.callTool({ name: 'b_whoami' }).then(
      () => null,
      (reason) => reason,
    );
    assert.is(error?.code, -32_603);
    assert.match(error.message, 'nested too deeply');
    backend.intercept = () => false;
    assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'nothing');
  });

for (const kind of ['sessions', '2026-07-28'] as const)
  test(`backend ${kind}: a tool that is nested too deeply is not listed, and all others are`, async () => {
    await using hostile = await startTestBackend(kind);
    await using open = await startTestBackend();
    hostile.intercept = (_req, res, body) => {
      if (!body.includes('"tools/list"')) return false;
      const deep = `${'{"not":'.repeat(20_000)}{}${'}'.repeat(20_000)}`;
      const tools = `[{"name":"deep","inputSchema":${deep}},{"name":"flat","inputSchema":{"type":"object"}}]`;
      json(res, `{"jsonrpc":"2.0","id":${JSON.parse(body).id},"result":{"tools":${tools}}}`);
      return true;
    };
    await using gateway = await startTestGateway({
      backends: [
        { name: 'hostile', url: hostile.url },
        { name: 'open', url: open.url },
      ],
    });
    for (const client of clientKinds) {
      await using connected = await connectClient(client, gateway.url, await gateway.signer.sign());
      const { tools } = await connected.listTools();
      assert.equal(tools.map(({ name }) => name).sort(), [
        'hostile_flat',
        'open_count',
        'open_fail',
        'open_whoami',
      ]);
    }
  });

test('a backend that asks without end and takes no answer has a limited number of connections', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url, timeoutMs: 60_000 }],
  });
  await using client = await connectClient(clientKinds[1], gateway.url, await gateway.signer.sign());
  const answers: ServerResponse[] = [];
  const all = Promise.withResolvers<void>();
  backend.intercept = (_req, res, body) => {
    const { id, method } = body === '' ? {} : JSON.parse(body);
    if (id !== undefined && method === undefined) {
      answers.push(res);
      if (answers.length === 100) all.resolve();
      return true;
    }
    if (method !== 'tools/call') return false;
    events(res);
    for (let asked = 0; asked < 1_000; asked += 1)
      res.write(`data: {"jsonrpc":"2.0","id":${asked},"method":"ping"}\n\n`);
    all.promise.then(() => {
      // Whatever is answered beyond these has been begun before the result is read.
      const result = { content: [{ type: 'text', text: 'done' }] };
      res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
    });
    return true;
  };
  assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'done');
  assert.is(answers.length, 100);
  for (const answer of answers) answer.writeHead(202).end();
  answers.length = 0;
  assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'done');
});

test('a list that has no end is left, page by page as it is, and costs the others nothing', async () => {
  await using hostile = await startTestBackend();
  await using open = await startTestBackend();
  let pages = 0;
  hostile.intercept = (_req, res, body) => {
    if (!body.includes('"tools/list"')) return false;
    pages += 1;
    const tools = [
      { name: `t${pages}`, description: 'x'.repeat(5_000_000), inputSchema: { type: 'object' } },
    ];
    const result = { resultType: 'complete', ttlMs: 0, tools, nextCursor: `after ${pages}` };
    json(res, JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result }));
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'hostile', url: hostile.url },
      { name: 'open', url: open.url },
    ],
  });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  const { tools } = await client.listTools();
  assert.equal(tools.map(({ name }) => name).sort(), ['open_count', 'open_fail', 'open_whoami']);
  assert.is(pages, 4, 'more than 16 MiB');
});

test('a message that is too large is left in the middle, in one piece as in a stream', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url }],
    limits: { messageBytes: 1_000_000 },
  });
  const hundredMegabytes = 100_000_000;
  let sent = 0;
  const pour = (res: ServerResponse) => {
    const chunk = 'x'.repeat(64 * 1024);
    const more = () => {
      while (sent < hundredMegabytes && !res.destroyed) {
        sent += chunk.length;
        if (!res.write(chunk)) return void res.once('drain', more);
      }
      res.end();
    };
    more();
  };
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    for (const start of [
      (res: ServerResponse) => res.writeHead(200, { 'content-type': 'application/json' }).write('{"a":"'),
      (res: ServerResponse) => events(res).write('data: '),
    ]) {
      sent = 0;
      onCall(backend, (res) => {
        start(res);
        pour(res);
      });
      assert.match(textOf(await client.callTool({ name: 'b_whoami' })), /larger than this gateway passes on/);
      assert.ok(sent < hundredMegabytes / 2, `${sent} bytes were sent`);
    }
  }
});

test('what is held until it is whole has the limit too: notifications, questions, errors', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url }],
    limits: { messageBytes: 200_000 },
  });
  const message = 'x'.repeat(300_000);
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    for (const tooLarge of [
      () => ({ method: 'notifications/message', params: { level: 'info', data: message } }),
      () => ({ id: 'asked', method: 'sampling/createMessage', params: { systemPrompt: message } }),
      (id: unknown) => ({ id, error: { code: -32_050, message } }),
    ]) {
      onCall(backend, (res, id) => {
        events(res).write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...tooLarge(id) })}\n\n`);
      });
      assert.match(textOf(await client.callTool({ name: 'b_whoami' })), /larger than this gateway passes on/);
    }
    backend.intercept = () => false;
    assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'nothing');
  }
});

test('a backend may be silent for its time limit, and each message begins that anew', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url, timeoutMs: 2_000 }],
  });
  onCall(backend, (res, id) => {
    events(res);
    let count = 0;
    const timer = setInterval(() => {
      count += 1;
      const note = {
        jsonrpc: '2.0',
        method: 'notifications/message',
        params: { level: 'info', data: count },
      };
      res.write(`data: ${JSON.stringify(note)}\n\n`);
      if (count < 7) return;
      clearInterval(timer);
      const result = { resultType: 'complete', content: [{ type: 'text', text: 'slow but there' }] };
      res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
    }, 400);
  });
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'slow but there');
});

test('requests of a backend that its protocol does not have reach nobody', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  onCall(backend, (res, id) => {
    events(res).write(
      `data: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[]}}\n\n`,
    );
    const result = { resultType: 'complete', content: [{ type: 'text', text: 'done' }] };
    res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
  });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'done');
  }
});

test('the first message goes out when it has come in', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const heard = Promise.withResolvers<void>();
  onCall(backend, (res, id) => {
    const progress = { progressToken: 'p', progress: 1 };
    events(res).write(
      `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: progress })}\n\n`,
    );
    // The result comes only after the client has heard what was before it.
    heard.promise.then(() => {
      const result = { resultType: 'complete', content: [] };
      res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`);
    });
  });
  const response = await fetch(gateway.url, newerToolCall('b_whoami', await gateway.signer.sign()));
  assert.is(response.headers.get('content-type'), 'text/event-stream');
  let text = '';
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString();
    if (text.includes('notifications/progress')) heard.resolve();
  }
  assert.match(text, '"id":5');
});

test('a client of 2026-07-28 that goes away ends its request at the backend', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const ended = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  onCall(backend, (res) => {
    res.once('close', () => ended.resolve());
    begun.resolve();
  });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  client.callTool({ name: 'b_whoami' }).catch(() => {});
  await begun.promise;
  await client[Symbol.asyncDispose]();
  await ended.promise;
});

test('tools that come and go are listed as they are', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using client = await connectClient(clientKinds[0], gateway.url, await gateway.signer.sign());
  for (const names of [['x'], ['x', 'y'], [], ['z']]) {
    backend.intercept = (_req, res, body) => {
      if (!body.includes('"tools/list"')) return false;
      const tools = names.map((name) => ({ name, inputSchema: { type: 'object' } }));
      const result = { resultType: 'complete', ttlMs: 0, cacheScope: 'private', tools };
      json(res, JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result }));
      return true;
    };
    assert.equal(
      (await client.listTools()).tools.map(({ name }) => name),
      names.map((name) => `b_${name}`),
    );
  }
});

test.run();
