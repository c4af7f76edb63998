/**
 * Backends whose answers are wrong in some way: each request gets one answer that is well-formed, whatever comes of it,
 * and a backend that is itself again is served again.
 */
import { createParser } from 'eventsource-parser';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRandom } from '../../world/random.ts';
import { type FuzzedKind, fuzzedKinds, startFuzzedBackend } from '../fuzzed-backend.ts';
import { newerRequest } from '../newer-call.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp fuzzed backends');
const rounds = 600;

interface Asked {
  readonly method: string;
  readonly params: Record<string, unknown>;
}

function askedOf(kind: FuzzedKind, pick: <T>(list: readonly T[]) => T): Asked {
  const prompt = { name: `${kind}_p` };
  return pick<Asked>([
    { method: 'tools/list', params: {} },
    { method: 'prompts/list', params: {} },
    { method: 'resources/list', params: {} },
    { method: 'resources/templates/list', params: {} },
    ...[1, 2, 3, 4].map(() => ({ method: 'tools/call', params: { name: `${kind}_t` } })),
    { method: 'tools/call', params: { name: `${kind}_t`, arguments: { a: 1 } } },
    { method: 'prompts/get', params: prompt },
    { method: 'resources/read', params: { uri: 'x://1' } },
    {
      method: 'completion/complete',
      params: { ref: { type: 'ref/prompt', ...prompt }, argument: { name: 'a', value: '' } },
    },
  ]);
}

async function olderSession(gateway: TestGateway, token: string) {
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers,
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  await response.text();
  return { ...headers, 'mcp-session-id': response.headers.get('mcp-session-id')! };
}

/** Errors have a status of their own (2026-07-28, streamable HTTP). */
const statusesOf = (newer: boolean) => (newer ? [200, 400, 404] : [200]);

/**
 * The one answer that came. Everything beside it is well-formed, too. null: it broke off, as the backend's did, which only
 * a large result does; of what was on the way then not even the head may have come.
 */
async function answerIn(
  answering: Promise<Response>,
  what: Asked & { readonly newer: boolean },
): Promise<Record<string, unknown> | null> {
  let response: Response;
  let body = '';
  try {
    response = await answering;
    body = await response.text();
  } catch (error) {
    assert.is(what.method, 'tools/call', String(error));
    assert.match((error as Error).message, /^(terminated|fetch failed)$/);
    return null;
  }
  const told = `${JSON.stringify(what)} -> ${response.status} ${body.slice(0, 500)}`;
  assert.ok(statusesOf(what.newer).includes(response.status), told);
  const messages: Record<string, unknown>[] = [];
  if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
    const parser = createParser({
      onEvent: ({ data }) => {
        if (data !== '') messages.push(JSON.parse(data));
      },
      onError: (error) => assert.unreachable(`${told}: ${error}`),
    });
    parser.feed(body);
  } else messages.push(JSON.parse(body));
  const answers = messages.filter((message) => !('method' in message));
  assert.is(answers.length, 1, told);
  const [answer] = answers as [Record<string, unknown>];
  assert.is(answer.id, 5, told);
  assert.is('result' in answer, !('error' in answer), told);
  if ('result' in answer) assert.type(answer.result, 'object', told);
  return answer;
}

test('each request has one well-formed answer, and a backend that is itself again is served', async () => {
  const random = createRandom(20_261_126);
  await using stack = new AsyncDisposableStack();
  const backends = await Promise.all(
    fuzzedKinds.map(async (kind) => ({ kind, server: stack.use(await startFuzzedBackend(kind, random)) })),
  );
  await using gateway = await startTestGateway({
    backends: backends.map(({ kind, server }) => ({
      ...{ name: kind, url: server.url, timeoutMs: 300 },
      transport: kind === 'sse' ? 'sse' : 'streamable-http',
    })),
    limits: { messageBytes: 500_000 },
  });
  const token = await gateway.signer.sign();
  const session = await olderSession(gateway, token);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

  async function ask({ method, params }: Asked, newer: boolean) {
    const request = newer
      ? newerRequest(method, params, token)
      : { method: 'POST', headers: session, body: JSON.stringify({ jsonrpc: '2.0', id: 5, method, params }) };
    const answering = fetch(gateway.url, { ...request, signal: AbortSignal.timeout(20_000) });
    return await answerIn(answering, { newer, method, params });
  }

  const outcomes = new Map<string, number>();
  for (let round = 0; round < rounds; round += 8) {
    const batch = Array.from({ length: 8 }, () => ask(askedOf(pick(fuzzedKinds), pick), random() < 0.5));
    for (const answer of await Promise.all(batch)) {
      const result = answer?.result as { isError?: unknown } | undefined;
      const outcome =
        answer === null
          ? 'broken off'
          : result === undefined
            ? 'error'
            : result.isError === true
              ? 'isError'
              : 'result';
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }
  assert.ok(
    Math.min(...['result', 'isError', 'error'].map((outcome) => outcomes.get(outcome) ?? 0)) >= 5,
    String([...outcomes]),
  );
  assert.ok((outcomes.get('broken off') ?? 0) < rounds / 10, String([...outcomes]));
  assert.not.match(gateway.logged(), /failed inside|TypeError|RangeError/);
  for (const { server } of backends) server.recover();
  for (const { kind } of backends)
    for (const newer of [true, false]) {
      const call = { method: 'tools/call', params: { name: `${kind}_t` } };
      let last: unknown;
      for (let tries = 0; tries < 3; tries += 1) {
        last = await ask(call, newer);
        if (JSON.stringify(last).includes('right')) break;
      }
      assert.match(JSON.stringify(last), 'right', `${kind} ${newer}`);
    }
});

test.run();
