/** What is sent again where it is not known whether it arrived: lists are, and nothing that may do something. */
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { startTestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp repeated requests');

for (const kind of clientKinds)
  for (const backendKind of ['2026-07-28', 'sessions'] as const)
    test(`${kind}, backend ${backendKind}: a call that was cut off is not made twice, a list is`, async () => {
      await using backend = await startTestBackend(backendKind);
      await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
      await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
      const seen = (method: string) =>
        backend.requests.filter(({ body }) => body.includes(`"${method}"`)).length;
      // The connection ends once the request has arrived, be it the first one or one that was kept alive.
      const cutOff = (method: string, times: number) => {
        let left = times;
        backend.intercept = (_req, res, body) => {
          if (!body.includes(`"${method}"`) || left === 0) return false;
          left -= 1;
          res.socket?.destroy();
          return true;
        };
      };
      cutOff('tools/list', 1);
      assert.ok((await client.listTools()).tools.some(({ name }) => name === 'b_whoami'));
      assert.is(seen('tools/list'), 2);
      for (let calls = 1; calls <= 2; calls += 1) {
        cutOff('tools/call', 1);
        const result = await client.callTool({ name: 'b_whoami' });
        assert.is(result.isError, true);
        assert.match(textOf(result), /"b" could not be reached.*Whether it did something is not known/);
        assert.is(seen('tools/call'), 2 * calls - 1);
        assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'nothing');
      }
    });

test('a list that is cut off again and again is given up after the second time', async () => {
  await using backend = await startTestBackend();
  let lists = 0;
  backend.intercept = (_req, res, body) => {
    if (!body.includes('"tools/list"')) return false;
    lists += 1;
    res.socket?.destroy();
    return true;
  };
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  await using client = await connectClient(clientKinds[2], gateway.url, await gateway.signer.sign());
  assert.equal((await client.listTools()).tools, []);
  assert.is(lists, 2);
});

const gitlab = { type: 'upstream_inject', providerName: 'gitlab' } as const;

for (const status of [401, 403, 404, 400, 503])
  test(`a call whose answer broke off is not made again where the backend answers ${status} to the question for the rest`, async () => {
    await using backend = await startTestBackend('sessions');
    await using gateway = await startTestGateway({
      backends: [{ name: 'b', url: backend.url, strategy: gitlab }],
    });
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token', 1));
    await using client = await connectClient(clientKinds[1], gateway.url, await gateway.signer.sign());
    // By a session that the backend knows, so that one that it has lost would be opened anew.
    assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'token');
    gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token', 1), okAnswer('renewed', 2));
    let [calls, resumes] = [0, 0];
    backend.intercept = (req, res, body) => {
      if (req.headers['last-event-id'] === 'e1') {
        resumes += 1;
        res.writeHead(status).end();
        return true;
      }
      if (!body.includes('"tools/call"')) return false;
      calls += 1;
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end('retry: 10\nid: e1\ndata: \n\n');
      return true;
    };
    const result = await client.callTool({ name: 'b_whoami' });
    assert.equal([calls, resumes], [1, 1]);
    assert.is(result.isError, true);
    assert.match(textOf(result), /"b" broke off in the middle.*Whether it did something is not known/);
  });

for (const code of [-32_602, -32_601, -32_002, 7])
  test(`a call that is answered with HTTP 400 and the error ${code} is not made again, and its session goes on`, async () => {
    await using backend = await startTestBackend('sessions');
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    await using client = await connectClient(clientKinds[1], gateway.url, await gateway.signer.sign());
    await client.callTool({ name: 'b_whoami' });
    let calls = 0;
    backend.intercept = (_req, res, body) => {
      if (!body.includes('"tools/call"')) return false;
      calls += 1;
      const error = { code, message: 'not like that' };
      res.writeHead(400, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, error }));
      return true;
    };
    const refused = await client.callTool({ name: 'b_whoami' }).then(
      () => null,
      (error) => error,
    );
    assert.is(refused?.code, code);
    assert.is(calls, 1);
    backend.intercept = () => false;
    await client.callTool({ name: 'b_whoami' });
    assert.is(backend.sessionsOpened, 1);
  });

test('a token that is rejected after the client was asked is renewed, and the client not asked again', async () => {
  await using backend = await startTestBackend();
  backend.intercept = (req, res, body) => {
    const { id, method, params } = body === '' ? {} : JSON.parse(body);
    if (method !== 'tools/call') return false;
    const isAnswer = params.inputResponses !== undefined;
    if (isAnswer && req.headers.authorization === 'Bearer old') {
      res.writeHead(401).end();
      return true;
    }
    const inputRequests = {
      q: {
        method: 'elicitation/create',
        params: { mode: 'form', message: 'Really?', requestedSchema: { type: 'object', properties: {} } },
      },
    };
    const result = isAnswer
      ? { resultType: 'complete', content: [{ type: 'text', text: params.inputResponses.q.action }] }
      : { resultType: 'input_required', inputRequests, requestState: 's' };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [{ name: 'b', url: backend.url, strategy: gitlab }],
  });
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('old', 1), okAnswer('new', 2));
  const client = new OlderClient(
    { name: 'c', version: '1' },
    { capabilities: { elicitation: { form: {} } } },
  );
  let asked = 0;
  client.setRequestHandler(ElicitRequestSchema, async () => {
    asked += 1;
    return { action: 'accept' as const, content: {} };
  });
  const transport = new OlderTransport(new URL(gateway.url), {
    requestInit: { headers: { authorization: `Bearer ${await gateway.signer.sign()}` } },
  });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  const { content } = await client.callTool({ name: 'b_whoami', arguments: {} });
  assert.equal([asked, content], [1, [{ type: 'text', text: 'accept' }]]);
  await client.close();
});

test.run();
