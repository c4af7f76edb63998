/** Long lists in pages, of several backends of which one goes away, comes back or changes between two pages. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { newerRequest } from '../newer-call.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp pagination');

const kinds = {
  'tools/list': { member: 'tools', key: 'name', prefix: (backend: string) => `${backend}_` },
  'prompts/list': { member: 'prompts', key: 'name', prefix: (backend: string) => `${backend}_` },
  'resources/list': { member: 'resources', key: 'uri', prefix: () => '' },
  'resources/templates/list': { member: 'resourceTemplates', key: 'uriTemplate', prefix: () => '' },
} as const;
type Method = keyof typeof kinds;

interface Listing {
  /** Names, without what the gateway puts before them. */
  names: string[];
  isAway: boolean;
}

/** Answers lists with what is given then, which is to be asked for each time. */
function serveLists(backend: TestBackend): Listing {
  const listing: Listing = { names: [], isAway: false };
  backend.intercept = (_req, res, body) => {
    const { id, method } = JSON.parse(body);
    const answer = (result: object) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }));
    };
    if (listing.isAway) res.writeHead(502).end();
    else if (method === 'server/discover')
      answer({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, prompts: {}, resources: {} } });
    else {
      const { member, key } = kinds[method as Method];
      const items = listing.names.map((name) => ({ name, inputSchema: { type: 'object' }, [key]: name }));
      answer({ [member]: items, ttlMs: 0, cacheScope: 'private' });
    }
    return true;
  };
  return listing;
}

const numbered = (start: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${start}${String(index).padStart(5, '0')}`);

/** @returns names and the next cursor */
async function pageAt(gateway: TestGateway, method: Method, cursor?: string) {
  const params = cursor === undefined ? {} : { cursor };
  const { body, ...request } = newerRequest(method, params, await gateway.signer.sign());
  const response = await fetch(gateway.url, { ...request, body });
  const { result } = (await response.json()) as { result: Record<string, unknown> & { nextCursor?: string } };
  const { member, key } = kinds[method];
  const items = result[member] as Record<string, string>[];
  return { names: items.map((item) => item[key]!), nextCursor: result.nextCursor };
}

for (const method of Object.keys(kinds) as Method[])
  test(`${method}: each page gives what comes after the one before, whatever has gone or come meanwhile`, async () => {
    await using first = await startTestBackend();
    await using second = await startTestBackend();
    await using gateway = await startTestGateway({
      backends: [
        { name: 'a', url: first.url },
        { name: 'b', url: second.url },
      ],
    });
    const [ofFirst, ofSecond] = [serveLists(first), serveLists(second)];
    ofFirst.names = numbered('u://a/', 1_200);
    ofSecond.names = numbered('u://b/', 1_100);
    const { prefix } = kinds[method];
    const shown = [
      ...ofFirst.names.map((name) => prefix('a') + name),
      ...ofSecond.names.map((name) => prefix('b') + name),
    ];

    const begin = await pageAt(gateway, method);
    assert.equal(begin.names, shown.slice(0, 1_000));
    const next = await pageAt(gateway, method, begin.nextCursor);
    assert.equal(next.names, shown.slice(1_000, 2_000));
    const end = await pageAt(gateway, method, next.nextCursor);
    assert.equal(end.names, shown.slice(2_000));
    assert.is(end.nextCursor, undefined);

    // The backend of the last entry is away: nothing of the other is left out.
    ofFirst.isAway = true;
    const without = await pageAt(gateway, method, begin.nextCursor);
    assert.equal(without.names, shown.slice(1_200, 2_200));
    ofFirst.isAway = false;

    // It is back, without the entry that the cursor names and with one before it.
    ofFirst.names = ['u://a/!', ...ofFirst.names.filter((name) => !name.endsWith('00999'))];
    const changed = await pageAt(gateway, method, begin.nextCursor);
    assert.equal(changed.names, next.names);
  });

test.run();
