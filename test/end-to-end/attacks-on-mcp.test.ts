/**
 * Attacks on the MCP endpoint of a whole installation: forged access tokens (RFC 8725), another person's session, headers
 * that should reach a backend, hostile JSON-RPC and hostile HTTP. What a backend was sent is read at the backend.
 */
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { sendBytes } from '../world/raw-http.ts';

const test = suite('attacks on mcp');
const installation = await openInstallation();
const { issuer, mcpUrl } = installation;
const [gatewayPort = 0] = installation.gatewayPorts;
const { host } = new URL(issuer);
const ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
const ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
const sessionOf = ({ client }: typeof ofAlice) =>
  (client.transport as unknown as { sessionId: string }).sessionId;
const token = ofAlice.accessToken();
const session = sessionOf(ofAlice);

type Answer = { status: number; headers: Headers; text: string };

async function post(
  body: unknown,
  {
    headers = {},
    authorization = `Bearer ${token}`,
  }: { headers?: Record<string, string>; authorization?: string | null } = {},
): Promise<Answer> {
  const response = await fetch(mcpUrl, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-session-id': session,
      ...(authorization === null ? {} : { authorization }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
const call = (params: unknown, id: unknown = 1) => ({ jsonrpc: '2.0', id, method: 'tools/call', params });
const whoami = (more: object = {}) => call({ name: 'gitlab-tools_whoami', arguments: {}, ...more });

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part = ''): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString());

test('forged, changed and foreign tokens are invalid_token', async () => {
  const [encodedHead = '', encodedClaims = '', signature = ''] = token.split('.');
  const [head, claims] = [decode(encodedHead), decode(encodedClaims)];
  const bobs = decode(ofBob.accessToken().split('.')[1]);
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = own.publicKey.export({ format: 'jwk' });
  const { keys } = (await (await fetch(`${issuer}/.well-known/jwks.json`)).json()) as {
    keys: [Record<string, string>];
  };
  const published = createPublicKey({ key: keys[0], format: 'jwk' });
  const ecdsa = (header: object, payload: object, key: KeyObject = own.privateKey) => {
    const input = `${encode(header)}.${encode(payload)}`;
    const bytes = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
    return `${input}.${bytes.toString('base64url')}`;
  };
  const hmac = (key: string | Buffer) => {
    const input = `${encode({ ...head, alg: 'HS256' })}.${encodedClaims}`;
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
  };
  const forged: Record<string, string> = {
    'alg none': `${encode({ ...head, alg: 'none' })}.${encodedClaims}.`,
    'alg None with the signature': `${encode({ ...head, alg: 'None' })}.${encodedClaims}.${signature}`,
    'no signature': `${encodedHead}.${encodedClaims}.`,
    'two parts': `${encodedHead}.${encodedClaims}`,
    'HS256 with the public key as PEM': hmac(published.export({ type: 'spki', format: 'pem' })),
    'HS256 with the public key as DER': hmac(published.export({ type: 'spki', format: 'der' })),
    'HS256 with the public key as JWK': hmac(JSON.stringify(keys[0])),
    'another key under our kid': ecdsa(head, claims),
    'a foreign kid': ecdsa({ ...head, kid: 'foreign' }, claims),
    'a kid that is a path': ecdsa({ ...head, kid: '../../../dev/null' }, claims),
    'no kid': ecdsa({ alg: 'ES256', typ: 'at+jwt' }, claims),
    'its own key inside': ecdsa({ ...head, jwk }, claims),
    'its own key elsewhere': ecdsa({ ...head, jku: `${issuer}/keys`, x5u: `${issuer}/keys` }, claims),
    'a critical header': ecdsa({ ...head, crit: ['b64'], b64: false }, claims),
    'claims of another person': `${encodedHead}.${encode({ ...claims, sub: bobs.sub })}.${signature}`,
    'zeros as signature': `${encodedHead}.${encodedClaims}.${Buffer.alloc(64).toString('base64url')}`,
    'a longer signature': `${token}AAAA`,
    'a shorter signature': token.slice(0, -4),
    'four parts': `${token}.x`,
    'an encrypted token': `${token}.x.y`,
    'an ID token of a provider': [...installation.corporate.tokens].find(
      (each) => each.split('.').length === 3,
    )!,
    'an upstream token': [...installation.gitlab.tokens][0]!,
    'the refresh token': ofAlice.kept.tokens!.refresh_token!,
    'a very long token': 'a'.repeat(9000),
  };
  for (const [what, value] of Object.entries(forged)) {
    const { status, headers } = await post(ping, { authorization: `Bearer ${value}` });
    assert.is(status, 401, what);
    assert.match(headers.get('www-authenticate') ?? '', 'error="invalid_token"', what);
    assert.match(headers.get('www-authenticate') ?? '', `resource_metadata="${issuer}/`, what);
  }
  for (const authorization of [null, 'Bearer', `Basic ${token}`, token])
    assert.not.match((await post(ping, { authorization })).headers.get('www-authenticate') ?? '', 'error=');
  const inQuery = await fetch(`${mcpUrl}?access_token=${token}`, { method: 'POST' });
  assert.is(inQuery.status, 401);
  assert.is((await post(ping, { authorization: `BEARER  ${token}` })).status, 200);
});

test('a session of another person is none, and nothing of one person reaches the other', async () => {
  const authorization = `Bearer ${ofBob.accessToken()}`;
  assert.is((await post(whoami(), { authorization })).status, 404);
  const ended = await fetch(mcpUrl, {
    method: 'DELETE',
    headers: { authorization, 'mcp-session-id': session },
  });
  assert.is(ended.status, 404);
  const bobs = await post(whoami(), { authorization, headers: { 'mcp-session-id': sessionOf(ofBob) } });
  assert.match(bobs.text, 'bob@gitlab.example');
  assert.match((await post(whoami())).text, 'alice@gitlab.example');
});

test('of the headers of a client none reaches a backend', async () => {
  const before = installation.gitlabTools.requests.length;
  const evil = Object.fromEntries(
    'cookie proxy-authorization x-forwarded-for x-forwarded-host x-forwarded-user x-remote-user forwarded via mcp-evil mcp-param-evil x-api-key referer last-event-id user-agent traceparent baggage x-http-method-override private-token'
      .split(' ')
      .map((name) => [name, 'evil-value']),
  );
  const { status, text } = await post(whoami({ _meta: { authorization: 'evil-value' } }), { headers: evil });
  assert.is(status, 200);
  assert.match(text, 'alice@gitlab.example');
  const received = installation.gitlabTools.requests.slice(before);
  assert.ok(received.length > 0);
  for (const headers of received) {
    assert.not.match(JSON.stringify(headers), 'evil');
    assert.not.match(JSON.stringify(headers), token);
    assert.not.match(JSON.stringify(headers), session);
    assert.ok(installation.gitlab.tokens.has(headers.authorization?.replace('Bearer ', '') ?? ''));
  }
});

test('hostile JSON-RPC gets its specified error, whatever it holds', async () => {
  const many = 200_000;
  const deep = `${'['.repeat(many)}${']'.repeat(many)}`;
  const raw = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
  for (const [what, body, status, expected] of [
    [
      '__proto__ beside a name',
      raw('{"__proto__":{"name":"x"},"name":"gitlab-tools_whoami","arguments":{"__proto__":{"polluted":1}}}'),
      200,
      'alice@gitlab',
    ],
    ['a name in __proto__', raw('{"__proto__":{"name":"gitlab-tools_whoami"}}'), 200, '-32602'],
    ['a method in __proto__', '{"jsonrpc":"2.0","id":1,"__proto__":{"method":"tools/list"}}', 400, '-32600'],
    ['the method constructor', { ...ping, method: 'constructor' }, 200, '-32601'],
    ['the method __proto__', { ...ping, method: '__proto__' }, 200, '-32601'],
    ['the tool toString', call({ name: 'toString' }), 200, '-32602'],
    ['a prefix alone', call({ name: 'gitlab-tools_' }), 200, '-32602'],
    ['a path as name', call({ name: 'gitlab-tools_../../admin' }), 200, '-32602'],
    ['line breaks in a name', call({ name: 'gitlab-tools_x\r\nX-Evil: 1' }), 200, '-32602'],
    ['a name as number', call({ name: 1 }), 200, '-32602'],
    ['a name of a megabyte', call({ name: `gitlab-tools_${'x'.repeat(1_000_000)}` }), 200, '"isError":true'],
    ['half a character', call({ name: 'gitlab-tools_\ud800\u202e' }), 200, '"id":1'],
    ['params as list', call([1]), 400, '-32600'],
    ['params null', call(null), 400, '-32600'],
    ['an id as object', call({ name: 'x' }, {}), 400, '-32600'],
    ['an id of null', call({ name: 'x' }, null), 400, '-32600'],
    ['a batch', [whoami(), whoami()], 400, '-32600'],
    ['an empty batch', [], 400, '-32600'],
    ['null', 'null', 400, '-32600'],
    ['a number', '1', 400, '-32600'],
    ['nothing', '', 400, '-32700'],
    ['no JSON', '{', 400, '-32700'],
    ['another version', { ...ping, jsonrpc: '1.0' }, 400, '-32600'],
    ['a deep list', deep, 400, '-32700'],
    [
      'deep arguments',
      raw(`{"name":"gitlab-tools_whoami","arguments":{"a":${deep}}}`),
      400,
      'nested more than 1000 deep',
    ],
    ['a method that is not offered', { ...ping, method: 'tasks/list' }, 200, '-32601'],
    ['five megabytes', 'x'.repeat(5_000_000), 413, 'Payload Too Large'],
  ] as [string, unknown, number, string][]) {
    const answer = await post(body);
    assert.is(answer.status, status, what);
    assert.match(answer.text, expected, what);
    assert.not.match(answer.text, /node_modules|\.[jt]s:\d/, what);
  }
  assert.is(({} as { polluted?: unknown }).polluted, undefined);
});

test('headers that mislead are refused', async () => {
  for (const [what, headers, status] of [
    ['a page of another site', { origin: 'https://evil.example' }, 403],
    ['a sandboxed page', { origin: 'null' }, 403],
    ['a name that only begins like ours', { origin: 'http://localhost.evil.example' }, 403],
    ['text', { 'content-type': 'text/plain' }, 415],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['no session', { 'mcp-session-id': '' }, 400],
    ['a long session', { 'mcp-session-id': 'x'.repeat(10_000) }, 404],
    ['an unknown version', { 'mcp-protocol-version': '<script>' }, 400],
    ['one media type', { accept: 'text/event-stream' }, 406],
    ['many media types', { accept: 'a/b,'.repeat(3000) }, 406],
  ] as [string, Record<string, string>, number][])
    assert.is((await post(ping, { headers })).status, status, what);
  const method = 'tools/call';
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method };
  const other = await post(whoami({ _meta }), {
    headers: { ...headers, 'mcp-name': 'corporate-tools_whoami' },
  });
  assert.equal([other.status, other.text.includes('-32020')], [400, true], 'header and body name two tools');
  const same = await post(whoami({ _meta }), { headers: { ...headers, 'mcp-name': 'gitlab-tools_whoami' } });
  assert.is(same.status, 200);
});

test('hostile HTTP is refused and costs one connection', async () => {
  const post11 = `POST /mcp HTTP/1.1\r\nHost: ${host}\r\n`;
  const json = 'Content-Type: application/json\r\n';
  for (const [what, text, status] of [
    [
      'another origin in the target',
      `GET http://evil.example/oauth/authorize HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      400,
    ],
    ['a target *', `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two lengths', `${post11}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, 400],
    ['length and chunks', `${post11}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['an unknown coding', `${post11}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
    ['a folded header', `GET / HTTP/1.1\r\nHost: ${host}\r\nX: a\r\n b\r\n\r\n`, 400],
    ['a NUL', `GET / HTTP/1.1\r\nHost: ${host}\r\nX: a\0b\r\n\r\n`, 400],
    ['bare line feeds', `GET / HTTP/1.1\nHost: ${host}\n\n`, 400],
    ['a space before the colon', `GET / HTTP/1.1\r\nHost : ${host}\r\n\r\n`, 400],
    ['TLS', '\x16\x03\x01\x02\x00', 400],
    ['a huge header', `GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['two thousand headers', `GET / HTTP/1.1\r\nHost: ${host}\r\n${'a: b\r\n'.repeat(3000)}\r\n`, 431],
    [
      'two tokens',
      `${post11}${json}Connection: close\r\nAuthorization: Bearer ${token}\r\nAuthorization: Bearer ${ofBob.accessToken()}\r\nContent-Length: 2\r\n\r\n{}`,
      401,
    ],
    [
      'a body of ten gigabytes that is only announced',
      `POST /oauth/register HTTP/1.1\r\nHost: ${host}\r\n${json}Content-Length: 10000000000\r\n\r\n{`,
      413,
    ],
  ] as [string, string, number][]) {
    const answer = await sendBytes(gatewayPort, text);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), what);
  }
});

test('after all this the gateway has not failed inside, and calls go on', async () => {
  assert.match((await post(whoami())).text, 'alice@gitlab.example');
  await Promise.all([ofAlice.close(), ofBob.close()]);
  const output = installation.output();
  await installation[Symbol.asyncDispose]();
  assert.not.match(output, '"level":"error"');
  assert.not.match(output, token);
  assert.not.match(output, 'evil-value');
});

test.run();
