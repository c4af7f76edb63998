/** What is sent again where it is not known whether it arrived: lists are, and nothing that may do something. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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
        assert.match(textOf(result), /"b" could not be reached/);
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

test.run();
