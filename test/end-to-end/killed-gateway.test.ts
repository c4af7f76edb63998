/**
 * A gateway is killed in the middle of an answer: its client sees that the answer has broken off, the backend that
 * nobody waits any more, and the session goes on at the other gateway, as it was left.
 */
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend } from '../gateway/test-backend.ts';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice } from '../world/person.ts';

const test = suite('killed gateway');

test('in mid-stream and in mid-result: what was begun is broken off, and all else goes on', async () => {
  await using slow = await startTestBackend();
  await using installation = await openInstallation({
    gateways: 2,
    configure: async ({ text: configuration }) =>
      configuration
        .replace(
          /^backends:\n/m,
          `backends:\n  - {name: slow, url: '${slow.url}', transport: streamable-http}\n`,
        )
        .replace(/^ {2}backends:\n/m, '  backends:\n    slow: {type: unauthenticated}\n'),
  });
  const { mcpUrl, gatewayPorts } = installation;
  await using person = await connectAsPerson({ mcpUrl, person: alice });
  const host = new URL(mcpUrl).host;
  let session: Record<string, string> = {};
  /** Past the balancer. Resolves with the head of the answer. */
  const send = async (gateway: number, method: string, body?: object): Promise<http.IncomingMessage> => {
    const outgoing = http.request({
      ...{ host: '127.0.0.1', port: gatewayPorts[gateway], path: '/mcp', method },
      headers: {
        ...{ host, authorization: `Bearer ${person.accessToken()}`, 'content-type': 'application/json' },
        accept: 'application/json, text/event-stream',
        ...session,
      },
    });
    outgoing.end(body && JSON.stringify({ jsonrpc: '2.0', ...body }));
    const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
    return response;
  };
  const post = (gateway: number, body: object) => send(gateway, 'POST', body);
  const clientInfo = { name: 'c', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const opened = await post(0, { id: 1, method: 'initialize', params });
  await text(opened);
  session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  await text(await post(0, { id: 9, method: 'logging/setLevel', params: { level: 'warning' } }));
  const call = (gateway: number, id: number) =>
    post(gateway, {
      id,
      method: 'tools/call',
      params: { name: 'slow_whoami', _meta: { progressToken: id } },
    });

  const closed: Promise<unknown>[] = [];
  slow.intercept = (_req, res, body) => {
    if (!body.includes('"tools/call"')) return false;
    const { id, params: asked } = JSON.parse(body);
    closed.push(once(res, 'close'));
    if (asked._meta.progressToken === 2) {
      const progress = { progressToken: 2, progress: 1 };
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(
        `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: progress })}\n\n`,
      );
    } else {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.write(
        `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${'x'.repeat(200_000)}`,
      );
    }
    return true;
  };
  const answers = await Promise.all([call(0, 2), call(0, 3)]);
  const bodies = ['', ''];
  const broken = answers.map((answer, index) =>
    text(answer.setEncoding('utf8').on('data', (piece) => (bodies[index] += piece))).then(
      () => 'whole',
      (error) => error.code,
    ),
  );
  const [gateway] = installation.processes('gateway');
  while (!(bodies[0]!.includes('notifications/progress') && bodies[1]!.includes('xxxx')))
    await Promise.race(answers.map((answer) => once(answer, 'data')));
  gateway!.kill('SIGKILL');
  assert.equal(await Promise.all(broken), ['ECONNRESET', 'ECONNRESET']);
  await Promise.all(closed);
  assert.is(closed.length, 2);
  for (const body of bodies) assert.not.match(body, /"result":.*\n\n/);

  slow.intercept = () => false;
  const after = await text(await call(1, 4));
  assert.match(after, /"id":4.*"text":"nothing"/);
  const asked = slow.requests.findLast(({ body }) => body.includes('"tools/call"'))!;
  assert.is(JSON.parse(asked.body).params._meta['io.modelcontextprotocol/logLevel'], 'warning');
  const mine = { id: 5, method: 'tools/call', params: { name: 'gitlab-tools_whoami' } };
  assert.match(await text(await post(1, mine)), /alice/);
  assert.is((await send(1, 'DELETE')).statusCode, 204);
  assert.is((await call(1, 6)).statusCode, 404);
});

test.run();
