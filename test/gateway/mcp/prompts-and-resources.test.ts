/** Prompts, resources, templates and completions of several backends as one: whose a name is, and that no other is asked. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GatewaySettings } from '../../../schemas/config/gateway-config.ts';
import { newerRequest } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../test-gateway.ts';

const test = suite('gateway/mcp prompts and resources');

/** Both have the prompt `p` and the resource `x://1`, and each has one of its own, and a template. */
function serve(backend: TestBackend, own: string): string[] {
  const asked: string[] = [];
  const lists: Record<string, object> = {
    'prompts/list': { prompts: [{ name: 'p' }, { name: own }] },
    'resources/list': {
      resources: [
        { uri: 'x://1', name: 'one' },
        { uri: `x://${own}`, name: own },
      ],
    },
    'tools/list': { tools: [] },
    'resources/templates/list': { resourceTemplates: [{ uriTemplate: `x://${own}/{id}`, name: own }] },
    'server/discover': {
      supportedVersions: ['2026-07-28'],
      capabilities: { prompts: {}, resources: {}, completions: {}, tools: {} },
    },
  };
  backend.intercept = (_req, res, body) => {
    const { id, method, params } = JSON.parse(body);
    if (lists[method] === undefined)
      asked.push(`${method} ${params.name ?? params.uri ?? params.ref.name ?? params.ref.uri}`);
    const result = lists[method] ?? { messages: [], contents: [], completion: { values: [own] } };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }));
    return true;
  };
  return asked;
}

interface World extends AsyncDisposable {
  readonly gateway: TestGateway;
  /** What was asked of the backends `a` and `b` beside lists. */
  readonly asked: { a: string[]; b: string[] };
  readonly backends: { readonly a: TestBackend; readonly b: TestBackend };
  /** The result, or the code of the error. */
  ask(method: string, params?: Record<string, unknown>): Promise<Record<string, unknown> | number>;
}

type Rules = Partial<Pick<TestGatewayOptions['backends'][number], 'prompts' | 'resources'>>;

/** `rules`: of the backend `a`, which is the only one if `alone`. */
async function openWorld(
  aggregation: GatewaySettings['aggregation'],
  { rules = {}, alone = false }: { rules?: Rules; alone?: boolean } = {},
): Promise<World> {
  const stack = new AsyncDisposableStack();
  const a = stack.use(await startTestBackend());
  const b = stack.use(await startTestBackend());
  const asked = { a: serve(a, 'of-a'), b: serve(b, 'of-b') };
  const gateway = stack.use(
    await startTestGateway({
      backends: [{ name: 'a', url: a.url, ...rules }, ...(alone ? [] : [{ name: 'b', url: b.url }])],
      settings: { aggregation },
    }),
  );
  return {
    ...{ gateway, asked, backends: { a, b } },
    async ask(method, params = {}) {
      const { body, ...request } = newerRequest(method, params, await gateway.signer.sign());
      const response = await fetch(gateway.url, { ...request, body });
      const { result, error } = (await response.json()) as {
        result?: Record<string, unknown>;
        error?: { code: number };
      };
      return result ?? error!.code;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const promptOf = (name: string) => ({
  ref: { type: 'ref/prompt', name },
  argument: { name: 'x', value: '' },
});
const resourceOf = (uri: string) => ({
  ref: { type: 'ref/resource', uri },
  argument: { name: 'x', value: '' },
});
const namesIn = (result: Record<string, unknown> | number, member: string, key: string) =>
  ((result as Record<string, unknown>)[member] as Record<string, string>[]).map((item) => item[key]).sort();

for (const [aggregation, shown, unknown] of [
  [
    { conflictResolution: 'prefix', priorityOrder: [] },
    { a_p: ['a', 'p'], b_p: ['b', 'p'], 'a_of-a': ['a', 'of-a'], 'b_of-b': ['b', 'of-b'] },
    ['p', 'of-a'],
  ],
  [
    { conflictResolution: 'manual', priorityOrder: [] },
    { a_p: ['a', 'p'], b_p: ['b', 'p'], 'a_of-a': ['a', 'of-a'], 'b_of-b': ['b', 'of-b'] },
    ['p', 'of-a'],
  ],
  [
    { conflictResolution: 'priority', priorityOrder: ['b'] },
    { p: ['b', 'p'], a_p: ['a', 'p'], 'a_of-a': ['a', 'of-a'], 'of-b': ['b', 'of-b'] },
    ['b_p', 'of-a', 'a_of-b'],
  ],
  [
    { conflictResolution: 'priority', priorityOrder: ['b', 'a'] },
    { p: ['b', 'p'], 'of-a': ['a', 'of-a'], 'of-b': ['b', 'of-b'] },
    ['a_p', 'b_p', 'a_of-a'],
  ],
] as [GatewaySettings['aggregation'], Record<string, ['a' | 'b', string]>, string[]][])
  test(`${aggregation.conflictResolution} ${aggregation.priorityOrder}: prompts and their completions`, async () => {
    await using world = await openWorld(aggregation);
    const { ask, asked } = world;
    assert.equal(namesIn(await ask('prompts/list'), 'prompts', 'name'), Object.keys(shown).sort());
    for (const [name, [backend, original]] of Object.entries(shown)) {
      assert.type(await ask('prompts/get', { name }), 'object', name);
      assert.is(asked[backend].pop(), `prompts/get ${original}`);
      assert.type(await ask('completion/complete', promptOf(name)), 'object', name);
      assert.is(asked[backend].pop(), `completion/complete ${original}`);
    }
    for (const name of unknown) {
      assert.is(await ask('prompts/get', { name }), -32_602, name);
      assert.is(await ask('completion/complete', promptOf(name)), -32_602, name);
    }
    assert.equal(asked, { a: [], b: [] });
  });

for (const [priorityOrder, first] of [
  [[], 'a'],
  [['b'], 'b'],
] as const)
  test(`resources and templates, first in order ${first}: a URI is one backend's, and one that is not shown is nobody's`, async () => {
    await using world = await openWorld({ conflictResolution: 'prefix', priorityOrder });
    const { ask, asked } = world;
    assert.equal(namesIn(await ask('resources/list'), 'resources', 'uri'), ['x://1', 'x://of-a', 'x://of-b']);
    const templates = namesIn(
      await ask('resources/templates/list'),
      'resourceTemplates',
      'uriTemplate',
    ) as string[];
    assert.equal(templates, ['x://of-a/{id}', 'x://of-b/{id}']);
    for (const [uri, backend] of [
      ['x://1', first],
      ['x://of-a', 'a'],
      ['x://of-b', 'b'],
      ['x://of-a/7', 'a'],
      ['x://of-b/7', 'b'],
    ] as const) {
      assert.type(await ask('resources/read', { uri }), 'object', uri);
      assert.is(asked[backend].pop(), `resources/read ${uri}`);
    }
    for (const [uri, backend] of [
      [templates[0]!, 'a'],
      [templates[1]!, 'b'],
    ] as const) {
      assert.type(await ask('completion/complete', resourceOf(uri)), 'object', uri);
      assert.is(asked[backend].pop(), `completion/complete ${uri}`);
    }
    for (const uri of ['x://2', 'x://of-c/7', 'x://of-a/7/8', 'y://1']) {
      assert.is(await ask('resources/read', { uri }), -32_602, uri);
      assert.is(await ask('completion/complete', resourceOf(uri)), -32_602, uri);
    }
    assert.equal(asked, { a: [], b: [] });
  });

const byPrefix: GatewaySettings['aggregation'] = { conflictResolution: 'prefix', priorityOrder: [] };

test('prompts that are renamed or not shown are listed so, and what is not shown cannot be asked for', async () => {
  const overrides = { p: { name: 'review', description: 'Reviews' } };
  const prompts = { hidden: false, filter: ['review'], overrides };
  for (const [rules, listed, unknown] of [
    [{ prompts }, ['a_review', 'b_of-b', 'b_p'], ['a_p', 'a_of-a', 'a_connect']],
    [{ prompts: { ...prompts, hidden: true } }, ['b_of-b', 'b_p'], ['a_review', 'a_p', 'a_of-a']],
  ] as const) {
    await using world = await openWorld(byPrefix, { rules });
    const { ask, asked, backends } = world;
    assert.equal(namesIn(await ask('prompts/list'), 'prompts', 'name'), listed);
    const isAsked = backends.a.requests.some(({ body }) => body.includes('"prompts/list"'));
    assert.is(isAsked, !rules.prompts.hidden, 'nobody waits for what is not shown');
    for (const name of unknown) {
      assert.is(await ask('prompts/get', { name }), -32_602, name);
      assert.is(await ask('completion/complete', promptOf(name)), -32_602, name);
    }
    if (listed.length === 3) {
      assert.type(await ask('prompts/get', { name: 'a_review' }), 'object');
      assert.type(await ask('completion/complete', promptOf('a_review')), 'object');
      assert.equal(asked.a.splice(0), ['prompts/get p', 'completion/complete p']);
    }
    assert.equal(asked, { a: [], b: [] });
  }
});

for (const alone of [false, true])
  test(`resources and templates that are not shown cannot be read, of ${alone ? 'a lone backend' : 'several'}`, async () => {
    const overrides = { 'x://of-a': { name: 'own', annotations: { audience: ['user'] } } };
    const shown = { hidden: false, filter: ['x://of-a'], overrides };
    await using world = await openWorld(byPrefix, { rules: { resources: shown }, alone });
    const { ask, asked } = world;
    const listed = (await ask('resources/list')) as { resources: object[] };
    assert.equal(listed.resources[0], { uri: 'x://of-a', name: 'own', annotations: { audience: ['user'] } });
    // The URI that both have is the other's now.
    assert.equal(
      namesIn(listed, 'resources', 'uri'),
      alone ? ['x://of-a'] : ['x://1', 'x://of-a', 'x://of-b'],
    );
    assert.equal(
      namesIn(await ask('resources/templates/list'), 'resourceTemplates', 'uriTemplate'),
      alone ? [] : ['x://of-b/{id}'],
    );
    assert.type(await ask('resources/read', { uri: 'x://of-a' }), 'object');
    assert.is(asked.a.pop(), 'resources/read x://of-a');
    for (const uri of ['x://of-a/7', ...(alone ? ['x://1'] : [])])
      assert.is(await ask('resources/read', { uri }), -32_602, uri);
    assert.is(await ask('completion/complete', resourceOf('x://of-a/{id}')), -32_602);
    assert.equal(asked, { a: [], b: [] });

    // What is shown by its template is shown.
    const templates = { hidden: false, filter: ['x://of-a/{id}'], overrides: {} };
    await using other = await openWorld(byPrefix, { rules: { resources: templates }, alone });
    assert.type(await other.ask('resources/read', { uri: 'x://of-a/7' }), 'object');
    assert.is(await other.ask('resources/read', { uri: 'x://of-a' }), -32_602);
    assert.equal(other.asked, { a: ['resources/read x://of-a/7'], b: [] });

    await using none = await openWorld(byPrefix, { rules: { resources: { ...shown, hidden: true } }, alone });
    for (const uri of ['x://of-a', 'x://of-a/7'])
      assert.is(await none.ask('resources/read', { uri }), -32_602);
    assert.equal(none.asked.a, []);
  });

test('where a backend does not answer, what nobody else has is not said to be unknown', async () => {
  await using world = await openWorld({ conflictResolution: 'priority', priorityOrder: ['a', 'b'] });
  const { ask, asked, backends } = world;
  backends.a.intercept = (_req, res) => {
    res.writeHead(503).end();
    return true;
  };
  for (const [method, params] of [
    ['prompts/get', { name: 'of-a' }],
    ['completion/complete', promptOf('of-a')],
    ['tools/call', { name: 'of-a' }],
    ['resources/read', { uri: 'x://of-a' }],
    ['completion/complete', resourceOf('x://of-a/{id}')],
  ] as const)
    assert.is(await ask(method, params), -32_603, method);
  assert.type(await ask('resources/read', { uri: 'x://of-b/7' }), 'object');
  assert.equal(asked, { a: [], b: ['resources/read x://of-b/7'] });
});

test('templates of a backend that would hold up everybody do not, and those of others are found all the same', async () => {
  await using hostile = await startTestBackend();
  await using b = await startTestBackend();
  const asked = serve(b, 'of-b');
  serve(hostile, 'of-a');
  const answer = hostile.intercept;
  hostile.intercept = (req, res, body) => {
    if (!body.includes('"resources/templates/list"')) return answer(req, res, body);
    const resourceTemplates = ['{+a}', '{a}-', '{a*}'].map((expression) => {
      return { uriTemplate: `x://${expression.repeat(300)}!`, name: expression };
    });
    res.writeHead(200, { 'content-type': 'application/json' });
    const result = { resultType: 'complete', resourceTemplates };
    res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result }));
    return true;
  };
  await using gateway = await startTestGateway({
    backends: [
      { name: 'a', url: hostile.url },
      { name: 'b', url: b.url },
    ],
  });
  const uri = `x://of-b/${'a-'.repeat(2_000)}`;
  const { body, ...request } = newerRequest('resources/read', { uri }, await gateway.signer.sign());
  const response = await fetch(gateway.url, { ...request, body });
  assert.match(await response.text(), '"contents":[]');
  assert.equal(asked, [`resources/read ${uri}`]);
});

test.run();
