/**
 * Progress, cancellation, the level of logging, watched resources and unasked-for questions, between clients and backends
 * of either protocol version.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openConformanceBackend } from '../../world/backends/conformance.ts';
import { openEverythingBackend } from '../../world/backends/everything.ts';
import { newerRequest } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, type TestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp between versions');
const versions = ['2025-11-25', '2026-07-28'] as const;
const info = { name: 'test-client', version: '1' };

for (const kind of clientKinds) {
  for (const version of versions)
    test(`${kind}, backend ${version}: progress comes under the token of the client`, async () => {
      await using backend = await openConformanceBackend(version);
      await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
      await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
      const steps = [0, 1].map((): number[] => []);
      const calls = steps.map((own) =>
        client.callTool({ name: 'b_test_tool_with_progress' }, ({ progress }) => own.push(progress)),
      );
      await Promise.all(calls);
      assert.equal(steps, [
        [0, 50, 100],
        [0, 50, 100],
      ]);
    });

  for (const backendKind of ['sessions', '2026-07-28'] as const)
    test(`${kind}, backend ${backendKind}: what the client cancels is cancelled at the backend`, async () => {
      await using backend = await startTestBackend(backendKind);
      const called = Promise.withResolvers<unknown>();
      const cancelled = Promise.withResolvers<unknown>();
      backend.intercept = (_req, res, body) => {
        const { id, method, params } = body === '' ? ({} as never) : JSON.parse(body);
        if (method === 'notifications/cancelled') cancelled.resolve(params.requestId);
        if (method !== 'tools/call') return false;
        // Closing the stream cancels in the newer protocol, and nothing else does.
        if (backendKind === '2026-07-28') res.once('close', () => cancelled.resolve(id));
        called.resolve(id);
        return true;
      };
      await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
      await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
      const abort = new AbortController();
      const call = client.callTool({ name: 'b_whoami' }, undefined, abort.signal).then(
        () => 'answered',
        () => 'given up',
      );
      const id = await called.promise;
      abort.abort();
      assert.is(await cancelled.promise, id);
      assert.is(await call, 'given up');
    });
}

/** One request, in the session if one is given. */
async function ask(
  gateway: TestGateway,
  method: string,
  params: Record<string, unknown>,
  session: string | null,
): Promise<{ text: string; session: string | null }> {
  const newer = newerRequest(method, params, await gateway.signer.sign());
  const { authorization, accept } = newer.headers;
  const older = {
    method: 'POST',
    headers: {
      ...{ authorization, accept, 'content-type': 'application/json' },
      ...(session === null ? {} : { 'mcp-session-id': session }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 5, method, params }),
  };
  const response = await fetch(gateway.url, session !== null || method === 'initialize' ? older : newer);
  return { text: await response.text(), session: response.headers.get('mcp-session-id') };
}

/** @returns calls a tool that logs, and counts the messages of the log that come before its result */
async function loggingClient(clientVersion: (typeof versions)[number], gateway: TestGateway, level: string) {
  const name = 'b_test_tool_with_logging';
  const count = ({ text }: { text: string }) => {
    assert.match(text, '"text":"logged"');
    return text.split('notifications/message').length - 1;
  };
  if (clientVersion === '2026-07-28') {
    const _meta = { 'io.modelcontextprotocol/logLevel': level };
    return async () => count(await ask(gateway, 'tools/call', { name, _meta }, null));
  }
  const params = { protocolVersion: clientVersion, capabilities: {}, clientInfo: info };
  const { session } = await ask(gateway, 'initialize', params, null);
  await ask(gateway, 'logging/setLevel', { level }, session);
  return async () => count(await ask(gateway, 'tools/call', { name }, session));
}

for (const clientVersion of versions) {
  for (const version of versions)
    test(`client ${clientVersion}, backend ${version}: each client hears of the log what it has asked for`, async () => {
      await using backend = await openConformanceBackend(version);
      await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
      // What the backend says is of the level `info`.
      const all = await loggingClient(clientVersion, gateway, 'debug');
      const some = await loggingClient(clientVersion, gateway, 'info');
      const none = await loggingClient(clientVersion, gateway, 'error');
      for (let round = 0; round < 3; round += 1) {
        const heard = await Promise.all([none(), all(), some()]);
        assert.equal(heard, [0, 3, 3]);
      }
    });

  test(`client ${clientVersion}: a backend that refuses the level works all the same`, async () => {
    await using backend = await startTestBackend('sessions');
    const levels: string[] = [];
    backend.intercept = (_req, res, body) => {
      const { id, method, params } = body === '' ? ({} as never) : JSON.parse(body);
      const answer = (message: object) => {
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end(JSON.stringify({ jsonrpc: '2.0', id, ...message }));
        return true;
      };
      if (method === 'initialize')
        return answer({
          result: {
            protocolVersion: '2025-11-25',
            capabilities: { tools: {}, logging: {} },
            serverInfo: info,
          },
        });
      if (method === 'logging/setLevel') {
        levels.push(params.level);
        return answer({ error: { code: -32_603, message: 'no such level' } });
      }
      if (method === 'tools/call') return answer({ result: { content: [{ type: 'text', text: 'logged' }] } });
      return method?.startsWith('notifications/') ? res.writeHead(202).end() !== null : false;
    };
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    const call = await loggingClient(clientVersion, gateway, 'notice');
    assert.equal([await call(), await call()], [0, 0]);
    for (const level of ['error', 'debug']) await (await loggingClient(clientVersion, gateway, level))();
    // Requests of 2026-07-28 share a session at the backend, which is told the lowest level that one of them wants.
    assert.equal(levels, clientVersion === '2026-07-28' ? ['notice', 'debug'] : ['notice', 'error', 'debug']);
  });
}

/** A stream of changes at a backend of 2026-07-28 that says at once that the watched resources have changed. */
function tellUpdates(backend: TestBackend): void {
  backend.intercept = (_req, res, body) => {
    const { id, method, params } = body === '' ? ({} as never) : JSON.parse(body);
    const uris: string[] = params?.notifications?.resourceSubscriptions ?? [];
    if (method === 'resources/list') {
      const resources = [{ uri: 'test://watched', name: 'watched' }];
      const result = { resultType: 'complete', resources, ttlMs: 60_000, cacheScope: 'private' };
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      return true;
    }
    if (method === 'server/discover') {
      const capabilities = { tools: {}, resources: { subscribe: true } };
      const result = { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities };
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      return true;
    }
    if (method !== 'subscriptions/listen') return false;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (told: string, about: object) =>
      res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: told, params: about })}\n\n`);
    say('notifications/subscriptions/acknowledged', { notifications: params.notifications });
    for (const uri of uris) say('notifications/resources/updated', { uri });
    return true;
  };
}

async function watchingClient(version: (typeof versions)[number], gateway: TestGateway, uri: string) {
  const headers = { authorization: `Bearer ${await gateway.signer.sign()}` };
  const updated = Promise.withResolvers<string>();
  const call = (client: { callTool(params: object): Promise<unknown> }) => (name: string) =>
    client.callTool({ name, arguments: {} });
  if (version === '2025-11-25') {
    const client = new OlderClient(info);
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
      updated.resolve(params.uri),
    );
    const transport = new OlderTransport(new URL(gateway.url), { requestInit: { headers } });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    await client.subscribeResource({ uri });
    const callTool = call(client as never);
    return { updated: updated.promise, callTool, [Symbol.asyncDispose]: () => client.close() };
  }
  const client = new Client(info, { versionNegotiation: { mode: { pin: version } } });
  client.setNotificationHandler('notifications/resources/updated', ({ params }) =>
    updated.resolve(params.uri),
  );
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url), { requestInit: { headers } }));
  await client.listen({ resourceSubscriptions: [uri] });
  const callTool = call(client as never);
  return { updated: updated.promise, callTool, [Symbol.asyncDispose]: () => client.close() };
}

for (const version of versions) {
  test(`client ${version}: resources are watched at a backend of 2026-07-28, and at no other`, async () => {
    await using other = await startTestBackend();
    await using backend = await startTestBackend();
    tellUpdates(backend);
    await using gateway = await startTestGateway({
      backends: [
        { name: 'a', url: other.url },
        { name: 'b', url: backend.url },
      ],
    });
    await using client = await watchingClient(version, gateway, 'test://watched');
    assert.is(await client.updated, 'test://watched');
    assert.ok(other.requests.every(({ body }) => !body.includes('test://watched')));
  });

  test(`client ${version}: resources are watched at a backend of 2025-11-25`, async () => {
    await using backend = await openEverythingBackend();
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    const uri = 'demo://resource/dynamic/text/1';
    await using client = await watchingClient(version, gateway, uri);
    await client.callTool('b_toggle-subscriber-updates');
    assert.is(await client.updated, uri);
  });
}

for (const kind of clientKinds)
  test(`${kind}: a client that has announced nothing is asked nothing, and the call goes on`, async () => {
    await using backend = await startTestBackend('sessions');
    const asked = ['sampling/createMessage', 'elicitation/create', 'roots/list'];
    const refused = new Map<string, number>();
    const all = Promise.withResolvers<void>();
    backend.intercept = (_req, res, body) => {
      const { id, method, error } = body === '' ? ({} as never) : JSON.parse(body);
      if (method === undefined && error !== undefined) {
        refused.set(id, error.code);
        if (refused.size === asked.length) all.resolve();
        res.writeHead(202).end();
        return true;
      }
      if (method !== 'tools/call') return false;
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const say = (message: object) =>
        res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
      for (const question of asked) say({ id: question, method: question, params: {} });
      all.promise.then(() => {
        say({ id, result: { content: [{ type: 'text', text: 'went on' }] } });
        res.end();
      });
      return true;
    };
    await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    assert.is(textOf(await client.callTool({ name: 'b_whoami' })), 'went on');
    assert.equal(Object.fromEntries(refused), Object.fromEntries(asked.map((method) => [method, -32_601])));
  });

test.run();
