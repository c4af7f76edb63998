/** What a backend of the older protocol withdraws is withdrawn at the client, and what a client tells reaches backends. */
import { setTimeout as pause } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp both ways');
const info = { name: 'test-client', version: '1' };
const capabilities = { elicitation: { form: {} }, roots: { listChanged: true } };
const question = { message: 'Really?', requestedSchema: { type: 'object', properties: {} } };

/** Its tool asks, withdraws the question when it is told to, and answers. */
async function startWithdrawingBackend() {
  const backend = await startTestBackend('sessions');
  const withdraw = Promise.withResolvers<void>();
  const answers: string[] = [];
  backend.intercept = (_req, res, body) => {
    const message = body === '' ? {} : JSON.parse(body);
    if (message.id === 'q1') answers.push(body);
    if (message.method !== 'tools/call') return false;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (said: object) => res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...said })}\n\n`);
    say({ id: 'q1', method: 'elicitation/create', params: question });
    withdraw.promise.then(() => {
      say({ method: 'notifications/cancelled', params: { requestId: 'q1', reason: 'too late' } });
      say({ id: message.id, result: { content: [{ type: 'text', text: 'without you' }] } });
      res.end();
    });
    return true;
  };
  return Object.assign(backend, { withdraw: withdraw.resolve, answers });
}

const headersFor = async (gateway: TestGateway) => ({
  authorization: `Bearer ${await gateway.signer.sign()}`,
});

async function connectOlder(gateway: TestGateway): Promise<OlderClient> {
  const client = new OlderClient(info, { capabilities });
  const transport = new OlderTransport(new URL(gateway.url), {
    requestInit: { headers: await headersFor(gateway) },
  });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return client;
}

test('client 2025-11-25: a question that the backend withdraws is cancelled, and its call goes on', async () => {
  await using backend = await startWithdrawingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const client = await connectOlder(gateway);
  const cancelled = Promise.withResolvers<void>();
  client.setRequestHandler(ElicitRequestSchema, async (_request, { signal }) => {
    signal.addEventListener('abort', () => cancelled.resolve());
    backend.withdraw();
    await cancelled.promise;
    return { action: 'accept' as const, content: {} };
  });
  const result = await client.callTool({ name: 'b_whoami', arguments: {} });
  assert.equal(result.content, [{ type: 'text', text: 'without you' }]);
  await cancelled.promise;
  assert.equal(backend.answers, []);
  await client.close();
});

test('client 2026-07-28: an answer that nobody waits for any more brings the result', async () => {
  await using backend = await startWithdrawingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const client = new Client(info, {
    capabilities,
    versionNegotiation: { mode: { pin: '2026-07-28' } },
  });
  client.setRequestHandler('elicitation/create', async () => {
    backend.withdraw();
    return { action: 'accept' as const, content: {} };
  });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(gateway.url), {
      requestInit: { headers: await headersFor(gateway) },
    }),
  );
  const result = await client.callTool({ name: 'b_whoami', arguments: {} });
  assert.equal(result.content, [{ type: 'text', text: 'without you' }]);
  await client.close();
});

test('that the roots of a client have changed is told to the backends that it uses', async () => {
  await using used = await startTestBackend('sessions');
  await using unused = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [
      { name: 'used', url: used.url },
      { name: 'unused', url: unused.url },
    ],
  });
  const client = await connectOlder(gateway);
  await client.callTool({ name: 'used_whoami', arguments: {} });
  await client.sendRootsListChanged();
  const isTold = ({ body }: { body: string }) => body.includes('notifications/roots/list_changed');
  while (!used.requests.some(isTold)) await pause(20);
  assert.equal(unused.requests, []);
  await client.close();
});

test.run();
