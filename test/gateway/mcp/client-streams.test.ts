/** The streams beside the calls that one session of a client of the older protocol has open at once. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend } from '../test-backend.ts';
import { connectClient, startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp client streams');

test('of more streams than one session may have the oldest end, and another session has its own', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
  const authorization = `Bearer ${await gateway.signer.sign()}`;
  const kind = 'sdk 2 (2025-11-25)';
  await using one = await connectClient(kind, gateway.url, authorization.slice('Bearer '.length));
  await using other = await connectClient(kind, gateway.url, authorization.slice('Bearer '.length));
  const leave = new AbortController();
  const open = async (sessionId: string | undefined) => {
    const headers = { authorization, accept: 'text/event-stream', 'mcp-session-id': sessionId! };
    const response = await fetch(gateway.url, { headers, signal: leave.signal });
    assert.is(response.status, 200);
    let isOver = false;
    const ended = response
      .text()
      .catch(() => {})
      .then(() => {
        isOver = true;
      });
    return { ended, isOver: () => isOver };
  };
  const ofOther = await open(other.sessionId);
  const streams = [];
  for (let opened = 0; opened < 40; opened += 1) streams.push(await open(one.sessionId));
  await Promise.all(streams.slice(0, 8).map(({ ended }) => ended));
  // The client of the SDK may have one as well.
  const still = streams.filter(({ isOver }) => !isOver()).length;
  assert.ok(still === 31 || still === 32, `${still} are open`);
  assert.not.ok(ofOther.isOver());
  leave.abort();
});

test.run();
