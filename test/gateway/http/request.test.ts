import type { IncomingMessage } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isRequestFor, parseRequestTarget, readCookie } from '../../../gateway/http/request.ts';

const withHeaders = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;

test('a request target is a path; forms that carry a host are none', () => {
  assert.equal(parseRequestTarget('/oauth/authorize?a=1?b'), {
    pathname: '/oauth/authorize',
    search: 'a=1?b',
  });
  assert.equal(parseRequestTarget('/mcp'), { pathname: '/mcp', search: '' });
  for (const target of [undefined, '', '*', '//evil.example/oauth', 'http://evil.example/oauth/authorize'])
    assert.is(parseRequestTarget(target), null);
});

test('the Host is compared as a host: case and default port do not matter, all else does', () => {
  const issuer = new URL('https://mcp.example');
  for (const host of ['mcp.example', 'MCP.example', 'mcp.example:443'])
    assert.ok(isRequestFor(issuer, withHeaders({ host })));
  for (const host of [
    '',
    'mcp.example:80',
    'evil.example',
    'mcp.example/x',
    'x@mcp.example',
    'mcp.example#',
    ' ',
  ])
    assert.not.ok(isRequestFor(issuer, withHeaders({ host })), host);
  assert.not.ok(isRequestFor(issuer, withHeaders({})));
});

test('a cookie is found by its whole name', () => {
  const request = withHeaders({ cookie: 'ab=1; a=x=y; b=2' });
  assert.is(readCookie(request, 'a'), 'x=y');
  assert.is(readCookie(request, 'c'), null);
  assert.is(readCookie(withHeaders({}), 'a'), null);
});

test.run();
