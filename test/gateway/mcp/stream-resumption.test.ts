/**
 * A stream that breaks is not gone on with: the gateway's events have no ids, which is what tells a client so
 * (MCP 2025-11-25, streamable HTTP, resumability). One that asks all the same gets a stream, and nothing of another.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend } from '../test-backend.ts';
import { startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp stream resumption');

test('events have no ids, and a Last-Event-ID of whatever origin brings nothing back', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const headers: Record<string, string> = {
    authorization: `Bearer ${await gateway.signer.sign()}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const post = (body: object) =>
    fetch(gateway.url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...body }) });
  const clientInfo = { name: 'c', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const initialized = await post({ id: 1, method: 'initialize', params });
  headers['mcp-session-id'] = initialized.headers.get('mcp-session-id')!;
  assert.not.match(await initialized.text(), /^id:/m);
  const counted = await post({
    ...{ id: 2, method: 'tools/call' },
    params: { name: 'b_count', arguments: {}, _meta: { progressToken: 'p' } },
  });
  const text = await counted.text();
  assert.match(text, 'step 1');
  assert.not.match(text, /^id:/m);

  const abort = new AbortController();
  const stream = await fetch(gateway.url, {
    headers: { ...headers, 'last-event-id': '1' },
    signal: abort.signal,
  });
  assert.is(stream.status, 200);
  const reader = stream.body!.getReader();
  const first = reader.read().then(
    ({ value }) => Buffer.from(value ?? []).toString(),
    () => 'nothing',
  );
  assert.is((await post({ id: 3, method: 'ping' })).status, 200);
  abort.abort();
  assert.is(await first, 'nothing');
});

test.run();
