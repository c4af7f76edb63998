/** What backends say of tools, resources and prompts, and what they answer, reaches clients member for member. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp passes unchanged');

const icons = [
  { src: 'https://example.com/icon.png', mimeType: 'image/png', sizes: ['48x48'], theme: 'dark' },
];
/** On each level also what no version of the protocol knows. */
const more = {
  title: 'Title',
  icons,
  _meta: { 'example.com/a': { b: [null, 1.5, 'ü'] } },
  'x-unknown': { y: [] },
};
const schema = {
  type: 'object',
  properties: { n: { type: 'integer', 'x-unknown': 1 } },
  required: ['n'],
  $defs: {},
};
const annotations = {
  readOnlyHint: true,
  audience: ['user'],
  priority: 0.5,
  lastModified: '2026-01-01T00:00:00Z',
};
const blocks = [
  { type: 'text', text: 'two\nlines', annotations },
  { type: 'image', data: 'aGk=', mimeType: 'image/png', ...more },
  { type: 'resource_link', uri: 'x://1', name: 'one', ...more },
  { type: 'resource', resource: { uri: 'x://2', blob: 'aGk=', mimeType: 'a/b', _meta: {} } },
  { type: 'of-another-time', z: 1 },
];
const answers: Record<string, object> = {
  'tools/list': {
    tools: [{ name: 't', description: 'D', inputSchema: schema, outputSchema: schema, annotations, ...more }],
  },
  'resources/list': { resources: [{ uri: 'x://1', name: 'one', size: 7, annotations, ...more }] },
  'resources/templates/list': {
    resourceTemplates: [{ uriTemplate: 'x://{id}', name: 'all', annotations, ...more }],
  },
  'prompts/list': {
    prompts: [{ name: 'p', arguments: [{ name: 'a', required: true, title: 'A' }], ...more }],
  },
  'tools/call': { content: blocks, structuredContent: { n: 1, deep: [[{}]] }, isError: false, ...more },
  'resources/read': {
    contents: [{ uri: 'x://1', text: '', ...more }],
    ttlMs: 5,
    cacheScope: 'public',
    ...more,
  },
  'prompts/get': { description: 'D', messages: [{ role: 'user', content: blocks[0] }], ...more },
  'completion/complete': { completion: { values: ['a'], total: 3, hasMore: true, ...more } },
};

/** Answers everything by itself, in the newer protocol or with the handshake of the version. */
function answerAll(backend: TestBackend, version: string): void {
  const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {} };
  const isNewer = version === '2026-07-28';
  backend.intercept = (_req, res, body) => {
    const { id, method } = body === '' ? { id: null, method: null } : JSON.parse(body);
    const send = (message: object) =>
      res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, ...message }));
    if (method === null || method === 'subscriptions/listen') res.writeHead(405).end();
    else if (id === undefined) res.writeHead(202).end();
    else if (method === 'server/discover' && isNewer)
      send({ result: { supportedVersions: [version], capabilities } });
    else if (method === 'initialize' && !isNewer)
      send({ result: { protocolVersion: version, capabilities, serverInfo: { name: 's', version: '1' } } });
    else if (Object.hasOwn(answers, method))
      send({ result: { ...(isNewer ? { resultType: 'complete' } : {}), ...answers[method] } });
    else send({ error: { code: -32_601, message: 'Method not found' } });
    return true;
  };
}

type Ask = (method: string, params: object) => Promise<Record<string, unknown>>;

/** Asks as a client of the version, and gives the result as it came. */
async function askAs(version: string, gateway: TestGateway): Promise<Ask> {
  const common: Record<string, string> = {
    authorization: `Bearer ${await gateway.signer.sign()}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': version,
  };
  const clientInfo = { name: 'c', version: '1' };
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const isNewer = version === '2026-07-28';
  const post = async (method: string, params: object, headers: Record<string, string>) => {
    const message = { jsonrpc: '2.0', id: 1, method, params: isNewer ? { ...params, _meta } : params };
    return await fetch(gateway.url, { method: 'POST', headers, body: JSON.stringify(message) });
  };
  const opened = isNewer
    ? null
    : await post('initialize', { protocolVersion: version, capabilities: {}, clientInfo }, common);
  const session = opened?.headers.get('mcp-session-id');
  if (opened !== null) {
    const { result } = JSON.parse((await opened.text()).replace(/^event: message\ndata: /, ''));
    assert.is(result.protocolVersion, version);
  }
  return async (method, params) => {
    const name = (params as { name?: string; uri?: string }).name ?? (params as { uri?: string }).uri;
    const response = await post(method, params, {
      ...common,
      ...(session
        ? { 'mcp-session-id': session }
        : { 'mcp-method': method, ...(name && { 'mcp-name': name }) }),
    });
    const { result } = JSON.parse((await response.text()).replace(/^event: message\ndata: /, ''));
    return result;
  };
}

for (const clientVersion of ['2026-07-28', '2025-11-25', '2025-06-18'])
  for (const backendVersion of ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'])
    test(`from a backend of ${backendVersion} to a client of ${clientVersion}`, async () => {
      await using backend = await startTestBackend();
      answerAll(backend, backendVersion);
      await using gateway = await startTestGateway({ backends: [{ name: 'b', url: backend.url }] });
      const ask = await askAs(clientVersion, gateway);
      for (const [method, params] of Object.entries({
        'tools/list': {},
        'resources/list': {},
        'resources/templates/list': {},
        'prompts/list': {},
        'tools/call': { name: 'b_t', arguments: { n: 1 } },
        'resources/read': { uri: 'x://1' },
        'prompts/get': { name: 'b_p', arguments: {} },
        'completion/complete': {
          ref: { type: 'ref/prompt', name: 'b_p' },
          argument: { name: 'a', value: '' },
        },
      })) {
        const { resultType, ...result } = await ask(method, params);
        assert.is(resultType, clientVersion === '2026-07-28' ? 'complete' : undefined);
        const expected = JSON.parse(
          JSON.stringify(answers[method]).replace(/"name":"([tp])"/, '"name":"b_$1"'),
        );
        // A list is the gateway's own, and so is what it says of it as a whole.
        const known = Object.fromEntries(Object.keys(expected).map((key) => [key, result[key]]));
        assert.equal(known, expected, method);
        if (!method.endsWith('/list')) assert.equal(result, expected, method);
      }
      const versions = new Set(
        backend.requests.slice(3).map(({ headers }) => headers['mcp-protocol-version']),
      );
      assert.equal([...versions], [backendVersion]);
    });

test.run();
