import type { IncomingMessage } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createMessageRoutes } from '../../../gateway/mcp/message-route.ts';

const test = suite('gateway/mcp message route');

const version = 'io.modelcontextprotocol/protocolVersion';
const envelope = {
  [version]: '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const newerHeaders = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' };
const call = (id: unknown, _meta: unknown, more: object = {}) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'a', _meta } },
  ...more,
});
const asked = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;
const kindOf = (route: { kind: string; httpStatus?: number }) =>
  route.httpStatus === undefined ? route.kind : `${route.kind} ${route.httpStatus}`;

test('what was said of one request is not said of another that differs in anything the verdict looks at', () => {
  const messages: [string, Record<string, string>, unknown][] = [
    ['newer', newerHeaders, call(1, envelope)],
    ['newer', newerHeaders, call('another id', envelope)],
    ['refused 400', { ...newerHeaders, 'mcp-method': 'tools/list' }, call(1, envelope)],
    ['refused 400', { ...newerHeaders, 'mcp-protocol-version': '2025-11-25' }, call(1, envelope)],
    ['refused 400', newerHeaders, call(1, { [version]: '2026-07-28' })],
    ['refused 400', newerHeaders, call(1, {})],
    ['refused 400', newerHeaders, call(1, envelope, { jsonrpc: '1.0' })],
    ['refused 400', newerHeaders, call(1, envelope, { more: true })],
    ['refused 400', newerHeaders, call(1.5, envelope)],
    ['refused 400', newerHeaders, call(true, envelope)],
    ['older', { 'mcp-protocol-version': '2025-11-25' }, call(1, {})],
    ['older', {}, { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25' } }],
    ['older', {}, { jsonrpc: '2.0', id: 1, result: {} }],
  ];
  const routeOf = createMessageRoutes();
  for (const _time of ['first', 'second', 'third'])
    for (const [expected, headers, body] of messages)
      assert.is(
        kindOf(routeOf(asked(headers), body)),
        expected,
        `${JSON.stringify(headers)} ${JSON.stringify(body)}`,
      );
});

test('a handshake is never taken for anything else of the kind', () => {
  const routeOf = createMessageRoutes();
  const initialize = (params: object) => ({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
  for (const protocolVersion of ['2025-11-25', '2025-06-18'])
    assert.equal(routeOf(asked({}), initialize({ protocolVersion })), { kind: 'older', opensSession: true });
  assert.equal(routeOf(asked({}), call(1, {})), { kind: 'older', opensSession: false });
});

test.run();
