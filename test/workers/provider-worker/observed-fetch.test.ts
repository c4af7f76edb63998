import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { observeFetch } from '../../../workers/provider-worker/observed-fetch.ts';
import { OutboundRequestError } from '../../../workers/providers/guarded-fetch.ts';

const test = suite('provider-worker observed fetch');

test('a provider is as its last request found it', async () => {
  let answer: () => Promise<Response> = async () => new Response();
  const observed = observeFetch(() => answer());
  const ask = () => observed.fetch('https://id.example').catch(() => null);
  const refuse = (code: OutboundRequestError['code']) => async () => {
    throw new OutboundRequestError(code);
  };
  assert.is(observed.status(), 'unknown');
  for (const [next, status] of [
    [async () => new Response(), 'healthy'],
    [async () => new Response(null, { status: 503 }), 'failing'],
    [async () => new Response(null, { status: 400 }), 'healthy'],
    [refuse('unreachable'), 'failing'],
    [refuse('too-late'), 'failing'],
    [async () => new Response(null, { status: 429 }), 'healthy'],
    [refuse('too-late'), 'healthy'],
    [refuse('timeout'), 'failing'],
  ] as const) {
    answer = next;
    await ask();
    assert.is(observed.status(), status);
  }
});

test.run();
