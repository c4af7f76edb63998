import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TokenExchangeSettings } from '../../../schemas/config/provider-config.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createBackendExchanges } from '../../../workers/providers/backend-exchanges.ts';
import { type Answer, openAnsweringServer } from './answering-server.ts';
import { clientSecret, createDependencies, exchangeDependencies } from './provider-settings.ts';

const test = suite('workers/providers/token-exchange');

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const subjectToken = 'the-access-token-of-anna';

const good = {
  access_token: 'the-token-for-orders',
  issued_token_type: accessTokenType,
  token_type: 'Bearer',
  expires_in: 120,
};

const json = (body: unknown, status = 200): Answer => ({ status, body: JSON.stringify(body) });

async function openWorld(answer: Answer | (() => Answer), change: Partial<TokenExchangeSettings> = {}) {
  const server = await openAnsweringServer(typeof answer === 'function' ? answer : () => answer);
  const dependencies = createDependencies();
  const settings: TokenExchangeSettings = {
    backend: 'orders',
    tokenUrl: `${server.origin}/token`,
    clientId: 'latchkey',
    clientSecret: { source: 'env', name: 'SECRET', path: 'clientSecretEnv' },
    tokenEndpointAuthMethod: 'client_secret_basic',
    audience: 'orders',
    resource: null,
    scopes: [],
    subjectTokenType: accessTokenType,
    actor: null,
    allowPrivateIps: true,
    ...change,
  };
  const exchanges = createBackendExchanges(
    { tokenExchanges: [settings], awsSts: [] },
    exchangeDependencies(dependencies),
  );
  return {
    ...{ server, lines: dependencies.lines },
    exchange: (backend = 'orders') => exchanges.exchange(backend, new Secret(subjectToken)),
    sent: () => new URLSearchParams(server.received.at(-1)!.body),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('the request has what RFC 8693 section 2.1 asks for, and the client proves itself', async () => {
  await using w = await openWorld(json(good));
  const before = Date.now();
  const outcome = await w.exchange();
  const { method, path, headers } = w.server.received[0]!;
  assert.equal([method, path], ['POST', '/token']);
  assert.match(headers['content-type']!, /^application\/x-www-form-urlencoded/);
  const [scheme, credentials] = headers.authorization!.split(' ');
  // Form-encoded first (RFC 6749 section 2.3.1).
  assert.equal([scheme, decodeURIComponent(atob(credentials!))], ['Basic', `latchkey:${clientSecret}`]);
  assert.equal(Object.fromEntries(w.sent()), {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subjectToken,
    subject_token_type: accessTokenType,
    requested_token_type: accessTokenType,
    audience: 'orders',
  });
  assert.ok(outcome.status === 'exchanged');
  assert.is(outcome.accessToken.reveal(), 'the-token-for-orders');
  assert.ok(outcome.expiresAt! >= before + 120_000 && outcome.expiresAt! <= Date.now() + 120_000);
});

test('resource, scopes and an actor are sent where they are configured', async () => {
  const idToken = 'urn:ietf:params:oauth:token-type:id_token';
  const jwt = 'urn:ietf:params:oauth:token-type:jwt';
  await using w = await openWorld(json({ ...good, scope: 'orders.read' }), {
    resource: 'https://orders.example/mcp',
    audience: null,
    scopes: ['orders.read', 'orders.write'],
    subjectTokenType: idToken,
    actor: { token: { source: 'file', name: '/token', path: 'actor.tokenFile' }, tokenType: jwt },
  });
  const outcome = await w.exchange();
  const sent = w.sent();
  assert.equal([sent.get('audience'), sent.get('resource')], [null, 'https://orders.example/mcp']);
  assert.equal([sent.get('scope'), sent.get('subject_token_type')], ['orders.read orders.write', idToken]);
  assert.equal([sent.get('actor_token'), sent.get('actor_token_type')], ['the-token-of-the-actor', jwt]);
  assert.is(outcome.status === 'exchanged' && outcome.scope, 'orders.read');
});

test('a client without a secret is named, one in the body is sent there, and no client is no client', async () => {
  await using open = await openWorld(json(good), { clientSecret: null });
  await open.exchange();
  assert.is(open.sent().get('client_id'), 'latchkey');
  await using post = await openWorld(json(good), { tokenEndpointAuthMethod: 'client_secret_post' });
  await post.exchange();
  assert.equal([post.sent().get('client_id'), post.sent().get('client_secret')], ['latchkey', clientSecret]);
  await using none = await openWorld(json(good), { clientId: null, clientSecret: null });
  assert.is((await none.exchange()).status, 'exchanged');
  assert.equal(
    [none.sent().get('client_id'), none.server.received[0]!.headers.authorization],
    [null, undefined],
  );
});

for (const [what, answer, error] of [
  ['the subject token is refused', json({ error: 'invalid_request' }, 400), 'invalid_request'],
  ['the grant is refused', json({ error: 'invalid_grant' }, 400), 'invalid_grant'],
  ['the target is refused', json({ error: 'invalid_target' }, 400), 'invalid_target'],
  ['the client is refused', json({ error: 'invalid_client' }, 401), 'invalid_client'],
  ['a word that is no code', json({ error: subjectToken }, 400), null],
  ['a refusal without a body', { status: 403 }, null],
] as [string, Answer, string | null][]) {
  test(`${what}: that is the answer`, async () => {
    await using w = await openWorld(answer);
    assert.equal(await w.exchange(), { status: 'refused', error });
  });
}

for (const [what, answer] of [
  ['HTML', { body: '<html>' }],
  ['nothing', { body: '' }],
  ['no token', json({ ...good, access_token: undefined })],
  ['a token for no HTTP header', json({ ...good, access_token: 'two\r\nlines' })],
  ['a token of no known kind', json({ ...good, issued_token_type: undefined })],
  ['an ID token', json({ ...good, issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' })],
  ['a token that is no bearer token', json({ ...good, token_type: 'N_A' })],
  ['a token of no type', json({ ...good, token_type: undefined })],
  ['a redirect', { status: 307, headers: { location: 'http://127.0.0.1:1/' } }],
  ['an error of its own', { status: 500, body: 'a stack trace' }],
  ['an end of the connection', 'cut'],
  ['silence', 'hang'],
  ['two megabytes', { body: 'x'.repeat(2 * 1024 * 1024) }],
] as [string, Answer][]) {
  test(`a service that answers with ${what} is one that is not usable now`, async () => {
    await using w = await openWorld(answer);
    assert.equal(await w.exchange(), { status: 'unavailable', retryAfterSeconds: null });
    assert.is(w.server.received.length, 1);
  });
}

test('Retry-After is told', async () => {
  await using w = await openWorld({ status: 503, headers: { 'retry-after': '17' } });
  assert.equal(await w.exchange(), { status: 'unavailable', retryAfterSeconds: 17 });
});

test('a service in a private network is not asked unless that is allowed', async () => {
  await using w = await openWorld(json(good), { allowPrivateIps: false });
  assert.is((await w.exchange()).status, 'unavailable');
  assert.is(w.server.received.length, 0);
  assert.match(w.lines.join(), /address-refused/);
});

test('a backend without an exchange is not known', async () => {
  await using w = await openWorld(json(good));
  const error = await w.exchange('files').catch((caught) => caught);
  assert.instance(error, RefusedError);
  assert.is(error.code, 'not-found');
});

test('no token, secret or text of the service is in the log', async () => {
  const text = 'a-text-of-the-service';
  for (const answer of [
    json({ error: 'invalid_grant', error_description: text }, 400),
    json({ ...good, token_type: text }),
    json({ ...good, issued_token_type: text }),
    { status: 500, body: text },
    { body: text },
    'cut',
  ] as Answer[]) {
    await using w = await openWorld(answer);
    await w.exchange();
    const log = w.lines.join('');
    assert.ok(log.length > 0);
    for (const secret of [text, subjectToken, clientSecret, good.access_token]) assert.not.match(log, secret);
  }
});

test.run();
