/** How a provider worker registers Latchkey: at a real provider, and at an endpoint that answers as told. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  RegisteringProviderSettings,
  RegistrationSettings,
} from '../../../schemas/config/provider-config.ts';
import type { ClientRegistration } from '../../../schemas/provider.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createClientRegistrar } from '../../../workers/providers/client-registrar.ts';
import { createRegisteredClients } from '../../../workers/providers/registered-clients.ts';
import { createRegisteredProvider } from '../../../workers/providers/registered-provider.ts';
import { openGitlabProvider } from '../../world/identity-providers/gitlab.ts';
import { type Answer, openAnsweringServer } from './answering-server.ts';
import { createDependencies, oauth2Settings, redirectUri, unhurried } from './provider-settings.ts';

const test = suite('client registrar');

const json = (status: number, body: object, headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  body: JSON.stringify(body),
});

const tokens = json(200, { access_token: 'a2', token_type: 'bearer', refresh_token: 'r2' });

function settingsAt(
  origin: string,
  from: RegisteringProviderSettings['registration']['from'],
  change: Partial<RegisteringProviderSettings> = {},
): RegisteringProviderSettings {
  return {
    ...oauth2Settings({
      authorizationEndpoint: `${origin}/authorize`,
      tokenEndpoint: `${origin}/token`,
      revocationEndpoint: `${origin}/revoke`,
      userinfoEndpoint: `${origin}/user`,
    }),
    ...{ clientId: null, clientSecret: null },
    registration: { from, initialAccessToken: null, softwareId: null, softwareStatement: null },
    ...change,
  };
}

function openRegistrar(settings: RegisteringProviderSettings, initialAccessToken: Secret | null = null) {
  const dependencies = createDependencies();
  const { registeredClients, fetch, now, log, lines } = dependencies;
  const registrar = createClientRegistrar(settings, {
    ...{ initialAccessToken, registeredClients, fetch, now, log },
  });
  return { registrar, registeredClients, dependencies, lines };
}

/** An endpoint that answers so. */
async function registerAt(answer: Answer, more: Partial<RegistrationSettings> = {}) {
  const server = await openAnsweringServer(({ path }) => (path === '/token' ? tokens : answer));
  const at = settingsAt(server.origin, { registrationEndpoint: `${server.origin}/register` });
  const settings = { ...at, registration: { ...at.registration, ...more } };
  const opened = openRegistrar(settings, new Secret('the-initial-access-token'));
  const outcome = await opened.registrar.register();
  const registered = outcome.status === 'registered' ? { ...outcome, generation: 1 } : null;
  return {
    ...{ ...opened, server, settings, outcome, registered },
    client: registered && opened.registeredClients.open(registered),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('by its metadata at a real provider, which wants a token: asked for in one of its ways, and sealed', async () => {
  await using gitlab = await openGitlabProvider({
    ...{ clientSecret: 'not-used', redirectUris: [redirectUri] },
    registration: { initialAccessToken: 'the-initial-access-token' },
  });
  const discoveryUrl = `${gitlab.issuer}/.well-known/openid-configuration`;
  const settings = settingsAt(gitlab.issuer, { discoveryUrl }, { issuer: gitlab.issuer });
  const refused = openRegistrar(settings);
  assert.equal(await refused.registrar.register(), { status: 'refused', error: 'invalid_token' });
  assert.match(refused.lines.join(''), 'does not register Latchkey: check `dcr_config`');

  const opened = openRegistrar(settings, new Secret('the-initial-access-token'));
  const outcome = await opened.registrar.register();
  assert.is(gitlab.registrations.length, 1);
  const { clientId, clientSecret, metadata } = gitlab.registrations[0]!;
  assert.ok(outcome.status === 'registered');
  assert.is(outcome.clientId, clientId);
  assert.is(outcome.secretExpiresAt, null);
  const client = opened.registeredClients.open({ ...outcome, generation: 1 });
  assert.is(client.clientSecret?.reveal(), clientSecret);
  assert.is(client.authMethod, 'client_secret_basic');
  assert.equal(
    [metadata.client_name, metadata.redirect_uris, metadata.scope, metadata.grant_types],
    ['Latchkey', [redirectUri], 'read_user', ['authorization_code', 'refresh_token']],
  );
  const told = [
    ...opened.lines,
    JSON.stringify(outcome),
    Buffer.from(outcome.sealed, 'base64url').toString('latin1'),
  ];
  for (const secret of [clientSecret, 'the-initial-access-token'])
    assert.not.match(told.join(''), secret, 'neither in the log nor in clear in what the vault keeps');
});

test('at an endpoint that is configured: one POST, with the token and with what is configured', async () => {
  const answer = { client_id: 'c1', client_secret: 's1', client_secret_expires_at: 1_900_000_000 };
  await using world = await registerAt(json(201, answer), {
    ...{ softwareId: 'latchkey', softwareStatement: 'a.jwt.here' },
  });
  assert.is(world.server.received.length, 1);
  const { path, headers, body } = world.server.received[0]!;
  assert.equal([path, headers.authorization], ['/register', 'Bearer the-initial-access-token']);
  assert.equal(JSON.parse(body), {
    client_name: 'Latchkey',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    scope: 'read_user',
    software_id: 'latchkey',
    software_statement: 'a.jwt.here',
  });
  assert.equal(
    { ...world.client, clientSecret: world.client?.clientSecret?.reveal() },
    {
      clientId: 'c1',
      clientSecret: 's1',
      authMethod: 'client_secret_basic',
      secretExpiresAt: 1_900_000_000_000,
    },
  );
});

const basic = `Basic ${btoa('c1:s1')}`;
for (const [what, told, sent] of [
  ['with a secret and no word more', { client_secret: 's1', client_secret_expires_at: 0 }, { basic }],
  ['without saying when its secret ends', { client_secret: 's1' }, { basic }],
  [
    'that sends its secret in the form',
    { client_secret: 's1', token_endpoint_auth_method: 'client_secret_post' },
    { post: 's1' },
  ],
  ['without a secret', { token_endpoint_auth_method: 'client_secret_basic' }, {}],
  ['that is public', { client_secret: 's1', token_endpoint_auth_method: 'none' }, {}],
] as const)
  test(`a client ${what} refreshes so`, async () => {
    await using world = await registerAt(json(200, { client_id: 'c1', ...told }));
    const { settings, dependencies, registered } = world;
    const provider = createRegisteredProvider(settings, () => null, dependencies);
    const outcome = await provider.refresh({
      ...{ refreshToken: new Secret('r1'), registration: registered!, client: registered },
      ...unhurried(),
    });
    assert.is(outcome.status, 'refreshed');
    const { headers, body } = world.server.received.at(-1)!;
    const form = new URLSearchParams(body);
    const { basic: inHeader, post: inForm } = sent as { basic?: string; post?: string };
    assert.equal([headers.authorization, form.get('client_secret') ?? undefined], [inHeader, inForm]);
    if (inHeader === undefined) assert.is(form.get('client_id'), 'c1');
  });

test('its grants are refreshed with it also when a client is configured again', async () => {
  await using world = await registerAt(json(201, { client_id: 'c1', client_secret: 's1' }));
  const { settings, dependencies, registered } = world;
  const { registration: _, ...configured } = settings;
  const provider = createRegisteredProvider(
    { ...configured, clientId: 'latchkey', clientSecret: null },
    () => null,
    dependencies,
  );
  const outcome = await provider.refresh({
    ...{ refreshToken: new Secret('r1'), registration: registered!, client: registered },
    ...unhurried(),
  });
  assert.is(outcome.status, 'refreshed');
  assert.is(world.server.received.at(-1)?.headers.authorization, basic);
});

test('what an operator must mend is refused, the rest is unavailable, and a text of the provider is shown to nobody', async () => {
  const shown = 'a-text-of-the-provider';
  for (const [answer, outcome] of [
    [json(400, { error: 'invalid_redirect_uri', error_description: shown }), refused('invalid_redirect_uri')],
    [json(401, { error: 'invalid_token' }), refused('invalid_token')],
    [json(403, { error: shown }), refused(null)],
    [{ status: 404, body: '<html>' }, refused(null)],
    [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, refused(null)],
    [json(201, { id: shown }), refused(null)],
    [json(201, { client_id: 'c'.repeat(5000) }), refused(null)],
    [
      json(201, { client_id: 'c1', client_secret: 's1', token_endpoint_auth_method: 'private_key_jwt' }),
      refused(null),
    ],
    [json(429, {}, { 'retry-after': '30' }), { status: 'unavailable', retryAfterSeconds: 30 }],
    [json(503, {}), { status: 'unavailable', retryAfterSeconds: null }],
    ['cut', { status: 'unavailable', retryAfterSeconds: null }],
  ] as const) {
    await using world = await registerAt(answer);
    assert.equal(world.outcome, outcome, JSON.stringify(answer));
    assert.not.match(world.lines.join(''), shown);
    assert.not.match(world.lines.join(''), 's1');
  }
});

test('a document that names no endpoint, or is of another issuer, is no document of this provider', async () => {
  const issuer = 'https://gitlab.example.com';
  for (const [document, outcome] of [
    [json(200, { issuer }), refused(null)],
    [json(404, {}), refused(null)],
    [json(200, { issuer: `${issuer}/`, registration_endpoint: `${issuer}/register` }), refused(null)],
    [json(503, {}), { status: 'unavailable', retryAfterSeconds: null }],
  ] as const) {
    await using server = await openAnsweringServer(() => document);
    const settings = settingsAt(server.origin, { discoveryUrl: `${server.origin}/metadata` }, { issuer });
    const { registrar } = openRegistrar(settings);
    assert.equal(await registrar.register(), outcome, JSON.stringify(document));
    assert.equal(
      server.received.map(({ path }) => path),
      ['/metadata'],
    );
  }
});

test('another registration is one where anything that is registered is another', () => {
  const from = { discoveryUrl: 'https://gitlab.example.com/metadata' };
  const settings = settingsAt('https://gitlab.example.com', from);
  const { registration } = settings;
  const hashOf = (change: Partial<RegisteringProviderSettings>) =>
    openRegistrar({ ...settings, ...change }).registrar.metadataHash;
  const changes: Partial<RegisteringProviderSettings>[] = [
    { redirectUri: 'https://mcp.example.com/oauth/callback/other' },
    { scopes: ['read_user', 'api'] },
    { tokenEndpointAuthMethod: 'client_secret_post' },
    { registration: { ...registration, from: { registrationEndpoint: from.discoveryUrl } } },
    { registration: { ...registration, softwareId: 'latchkey' } },
    { registration: { ...registration, softwareStatement: 'a.jwt.here' } },
  ];
  const hashes = [{}, ...changes].map(hashOf);
  assert.is(new Set(hashes).size, hashes.length);
  for (const same of [
    { authorizationParams: { prompt: 'login' } },
    { refreshTokenLifetimeMs: 1000 },
    {
      registration: { ...registration, initialAccessToken: { source: 'env', name: 'A', path: 'b' } as const },
    },
  ])
    assert.is(hashOf(same), hashes[0]);
  const attempts = [null, new Secret('one token'), new Secret('another')].map(
    (token) => openRegistrar(settings, token).registrar.attemptHash,
  );
  assert.is(new Set(attempts).size, 3, 'and another attempt is one with another token too');
});

test('a secret that has expired makes its grants gone when the provider says so; one that lives is for an operator', async () => {
  for (const [expires, reason] of [
    [Date.now() / 1000 - 60, 'registration-gone'],
    [Date.now() / 1000 + 3600, 'provider-configuration'],
  ] as const) {
    const lost: ClientRegistration[] = [];
    const answer = { client_id: 'c1', client_secret: 's1', client_secret_expires_at: expires };
    await using world = await registerAt(json(201, answer));
    const { settings, dependencies, registered } = world;
    await using server = await openAnsweringServer(() => json(401, { error: 'invalid_client' }));
    const provider = createRegisteredProvider({ ...settings, tokenEndpoint: server.origin }, () => null, {
      ...dependencies,
      onLost: (registration) => lost.push(registration),
    });
    const outcome = await provider.refresh({
      ...{ refreshToken: new Secret('r1'), registration: registered!, client: registered },
      ...unhurried(),
    });
    const told = reason === 'provider-configuration' ? { clientLost: true } : {};
    assert.equal(outcome, { status: 'failed', reason, retryAfterSeconds: null, ...told });
    assert.equal(lost, [{ clientId: 'c1', generation: 1 }]);
  }
});

test('a client that is not here, or cannot be opened, is never called gone', async () => {
  await using world = await registerAt(json(201, { client_id: 'c1', client_secret: 's1' }));
  const { settings, dependencies, registered } = world;
  const ofAnother = createRegisteredClients('test', {
    instanceId: 'ins_of-the-test',
    own: [{ generation: 1, key: Buffer.alloc(32, 2) }],
  });
  const without = createRegisteredClients('test', { instanceId: 'ins_of-the-test' });
  const swapped = { ...registered!, clientId: 'c2' };
  for (const [registeredClients, registration, client] of [
    [dependencies.registeredClients, registered!, undefined],
    [dependencies.registeredClients, swapped, swapped],
    [ofAnother, registered!, registered],
    [without, registered!, registered],
  ] as const) {
    const provider = createRegisteredProvider(settings, () => null, { ...dependencies, registeredClients });
    const outcome = await provider.refresh({
      ...{ refreshToken: new Secret('r1'), registration, client },
      ...unhurried(),
    });
    assert.equal(outcome, { status: 'failed', reason: 'provider-unavailable', retryAfterSeconds: null });
  }
  assert.is(world.server.received.length, 1, 'nothing was sent but the registration');
});

function refused(error: string | null) {
  return { status: 'refused', error } as const;
}

test.run();
