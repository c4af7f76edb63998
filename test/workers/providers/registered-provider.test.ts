/** A grant and the client registration that obtained it, before and after the configuration was changed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RegisteredClient } from '../../../schemas/provider.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createRegisteredProvider } from '../../../workers/providers/registered-provider.ts';
import { openAnsweringServer } from './answering-server.ts';
import { createDependencies, oauth2Settings, unhurried } from './provider-settings.ts';

const test = suite('registered-provider');

const secrets = new Map([
  ['current', new Secret('secret-of-now')],
  ['before', new Secret('secret-of-before')],
]);
const referenceOf = (name: string) => ({ source: 'env', name, path: name }) as const;

async function openWorld(change: object = {}) {
  const server = await openAnsweringServer(({ path }) =>
    path === '/token'
      ? { body: '{"access_token":"a2","refresh_token":"r2"}' }
      : { status: path.startsWith('/applications') ? 204 : 200 },
  );
  const { clientSecret: _, ...dependencies } = createDependencies();
  const settings = {
    ...oauth2Settings({
      authorizationEndpoint: `${server.origin}/authorize`,
      tokenEndpoint: `${server.origin}/token`,
      revocationEndpoint: `${server.origin}/revoke`,
      userinfoEndpoint: `${server.origin}/user`,
    }),
    clientSecret: referenceOf('current'),
    previousClients: [
      { clientId: 'client-of-2025', clientSecret: referenceOf('before') },
      { clientId: 'public-client', clientSecret: null },
    ],
    ...change,
  };
  const provider = createRegisteredProvider(settings, ({ path }) => secrets.get(path) ?? null, dependencies);
  const refresh = (clientId: string, generation = 0, client?: RegisteredClient | null) =>
    provider.refresh({
      refreshToken: new Secret('r1'),
      registration: { clientId, generation },
      client,
      ...unhurried(),
    });
  return { server, provider, refresh, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const basic = (id: string, secret: string) =>
  `Basic ${Buffer.from(`${id}:${secret}`.replaceAll('-', '%2D')).toString('base64')}`;

test('a grant is refreshed with the client that obtained it, also when another one signs people in now', async () => {
  await using world = await openWorld();
  const { server, provider, refresh } = world;
  const { authorizationUrl } = await provider.authorize();
  assert.is(new URL(authorizationUrl).searchParams.get('client_id'), 'latchkey');
  for (const [clientId, authorization] of [
    ['latchkey', basic('latchkey', 'secret-of-now')],
    ['client-of-2025', basic('client-of-2025', 'secret-of-before')],
    ['public-client', undefined],
  ] as const) {
    const outcome = await refresh(clientId);
    assert.is(outcome.status === 'refreshed' && outcome.tokens.refreshToken?.reveal(), 'r2', clientId);
    const { headers, body } = server.received.at(-1)!;
    assert.is(headers.authorization, authorization, clientId);
    if (authorization === undefined) assert.is(new URLSearchParams(body).get('client_id'), clientId);
  }
});

test('a registration that is gone is told, and nothing is sent to the provider', async () => {
  await using world = await openWorld();
  // The vault keeps no client that was registered as the first.
  const registered = await world.refresh('client-of-2025', 1, null);
  for (const outcome of [await world.refresh('client-of-2024'), registered])
    assert.equal(outcome, { status: 'failed', reason: 'registration-gone', retryAfterSeconds: null });
  assert.is(world.server.received.length, 0);
});

test('it is revoked with that client too, and at its address where the address names the client', async () => {
  const token = { token: new Secret('a1'), tokenTypeHint: 'access_token' } as const;
  const registration = { clientId: 'client-of-2025', generation: 0 };
  await using world = await openWorld();
  await world.provider.revoke({ ...token, registration });
  assert.is(world.server.received.at(-1)?.headers.authorization, basic('client-of-2025', 'secret-of-before'));
  await using github = await openWorld({
    revocationStyle: 'github',
    revocationEndpoint: `${world.server.origin}/applications/latchkey/token`,
  });
  assert.equal(await github.provider.revoke({ ...token, registration }), { revoked: true });
  assert.is(world.server.received.at(-1)?.path, '/applications/client-of-2025/token');
});

test.run();
