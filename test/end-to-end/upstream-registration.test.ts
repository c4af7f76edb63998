/**
 * Latchkey registers itself at a provider (RFC 7591) in place of a client that is configured, over a whole installation: two
 * vault workers and two provider workers register once, people sign in and are refreshed with that client, and everything
 * can be killed and started again.
 */
import { hkdfSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { registeredClientSchema } from '../../schemas/provider.ts';
import { openAuthStore } from '../../vault/authorization/auth-store.ts';
import { keyRingFileSchema, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { createRegisteredClients } from '../../workers/providers/registered-clients.ts';
import {
  authorizationUrl,
  createVerifier,
  redirectUri,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import {
  type Installation,
  type InstallationOptions,
  natsToken,
  openInstallation,
} from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob, walkThroughSignIn } from '../world/person.ts';

const test = suite('upstream registration');

/** Latchkey registers itself at the second provider, in place of its client there. */
function registering(
  registration: (origin: string) => string,
): NonNullable<InstallationOptions['configure']> {
  return async ({ text, origins }) => {
    const client = /client_id: latchkey\n( +)client_secret_file: .*gitlab-client-secret.*\n/;
    return text.replace(client, (_, indent: string) => {
      return `dcr_config: ${registration(origins.gitlab)}\n${indent}issuer: ${origins.gitlab}\n`;
    });
  };
}

const discovered = registering((origin) => `{discovery_url: ${origin}/.well-known/openid-configuration}`);

type Client = Awaited<ReturnType<typeof connectAsPersonV1>>['client'];

async function usernameOf(client: Client): Promise<unknown> {
  const result = await client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(result.isError ?? false, false, JSON.stringify(result.content));
  return (result.structuredContent as { username: unknown }).username;
}

test('registered once by all workers; signed in, refreshed, everything killed, refreshed again', async () => {
  await using installation = await openInstallation({
    ...{ vaultWorkers: 2, providerWorkers: 2, gitlabAccessTokenSeconds: 2 },
    ...{ gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab, issuer } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  assert.is(gitlab.registrations.length, 1);
  const [{ clientId, metadata }] = gitlab.registrations as [(typeof gitlab.registrations)[number]];
  assert.equal(metadata.redirect_uris, [`${issuer}/oauth/callback/gitlab`]);
  assert.is(metadata.scope, 'read_user');
  assert.ok(gitlab.tokenRequests.every((request) => request.clientId === clientId));

  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.ok(gitlab.tokenRequests.some(({ grantType }) => grantType === 'refresh_token'));

  await installation.killAll();
  await installation.nats.start();
  await installation.startAll();
  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  assert.is(gitlab.registrations.length, 1, 'it is kept');
});

/** Of what the provider registered last. */
const registeredAt = ({ gitlab }: Installation) => gitlab.registrations.at(-1)!;

/** What a client is told at the end of a sign-in. */
async function signIn(installation: Installation): Promise<URLSearchParams> {
  const server = { issuer: installation.issuer, resource: installation.mcpUrl };
  const url = authorizationUrl(server, await registerClient(server), createVerifier());
  const page = await walkThroughSignIn(new Browser(), url, { person: alice, stopAt: redirectUri });
  return page.url.searchParams;
}

/** As long as the provider is known to be away, a few seconds. */
async function signInAtLast(installation: Installation): Promise<URLSearchParams> {
  for (;;) {
    const told = await signIn(installation);
    if (told.get('error') !== 'temporarily_unavailable') return told;
    await sleep(500);
  }
}

/** The files of the processes, when none of them runs. */
function changeConfiguration({ folder, configFile }: Installation, change: (text: string) => string): void {
  for (const file of [configFile, join(folder, 'gateway-0.yaml')])
    writeFileSync(file, change(readFileSync(file, 'utf8')));
}

async function restart(installation: Installation, meanwhile: () => void): Promise<void> {
  await installation.killAll();
  meanwhile();
  await installation.nats.start();
  await installation.startAll();
}

test('another redirect URI is another registration; who signed in before it is refreshed with the one before', async () => {
  await using installation = await openInstallation({
    ...{ gitlabAccessTokenSeconds: 2, gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab, issuer } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  const former = registeredAt(installation).clientId;
  await restart(installation, () =>
    changeConfiguration(installation, (text) =>
      text.replace('dcr_config:', `redirect_uri: ${issuer}/oauth/callback\n          dcr_config:`),
    ),
  );
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(gitlab.registrations.length, 2);
  const { clientId, metadata } = registeredAt(installation);
  assert.equal(metadata.redirect_uris, [`${issuer}/oauth/callback`]);

  await sleep(2500);
  assert.is(await usernameOf(ofAlice.client), 'alice');
  assert.is(await usernameOf(ofBob.client), 'bob');
  const refreshedBy = gitlab.tokenRequests
    .filter(({ grantType, outcome }) => grantType === 'refresh_token' && outcome === 'ok')
    .map((request) => request.clientId);
  assert.equal([...new Set(refreshedBy)].sort(), [former, clientId].sort());
});

test('a provider that is away at start holds nothing up: told so, and registered when it comes', async () => {
  await using installation = await openInstallation({
    ...{ providersDown: ['gitlab'], gitlabRegistration: {}, configure: discovered },
  });
  assert.is((await fetch(`${installation.issuer}/readyz`)).status, 200);
  assert.is((await signIn(installation)).get('error'), 'temporarily_unavailable');
  await installation.openProvider('gitlab');
  assert.ok((await signInAtLast(installation)).get('code'));
  assert.is(installation.gitlab.registrations.length, 1);
});

test('a provider that refuses is not asked again and again, is told of, and takes Latchkey when that is mended', async () => {
  await using installation = await openInstallation({
    gitlabRegistration: { initialAccessToken: 'the-initial-access-token' },
    configure: registering((origin) => `{registration_endpoint: ${origin}/reg}`),
  });
  for (let times = 0; times < 3; times++)
    assert.is((await signIn(installation)).get('error'), 'temporarily_unavailable');
  const refusals = () => installation.output().match(/the provider does not register Latchkey/g)?.length;
  assert.is(refusals(), 1);
  assert.match(installation.output(), /"oauthError":"invalid_token"/);
  const status = await (await fetch(`${installation.issuer}/status`)).json();
  assert.is((status as { providers: unknown }).providers, 'failing');

  await restart(installation, () => {
    const file = join(installation.folder, 'token');
    writeFileSync(file, 'the-initial-access-token\n', { mode: 0o600 });
    changeConfiguration(installation, (text) =>
      text.replace('{registration_endpoint:', `{initial_access_token_file: ${file}, registration_endpoint:`),
    );
  });
  assert.ok((await signIn(installation)).get('code'), 'at once');
  assert.is(refusals(), 1);
  assert.not.match(installation.output(), 'the-initial-access-token');
});

test('a provider that has lost the client gets one new one; the grants of the old one stay', async () => {
  await using installation = await openInstallation({
    ...{ gitlabAccessTokenSeconds: 2, gitlabRegistration: {}, configure: discovered },
  });
  const { mcpUrl, gitlab } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await gitlab.forgetClient(registeredAt(installation).clientId);
  await sleep(2500);
  const failed = await ofAlice.client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(failed.isError, true);
  assert.ok(gitlab.tokenRequests.some(({ outcome }) => outcome === 'invalid_client'));

  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  assert.is(await usernameOf(ofBob.client), 'bob');
  await gitlab.forgetClient(registeredAt(installation).clientId);
  await sleep(2500);
  await ofBob.client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  await signIn(installation);
  assert.is(gitlab.registrations.length, 2, 'not again and again');
});

test('the secret lies nowhere in clear, and with all keys but those of the provider nobody opens it', async () => {
  await using installation = await openInstallation({ gitlabRegistration: {}, configure: discovered });
  const { mcpUrl, keys, nats, folder } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  assert.is(await usernameOf(ofAlice.client), 'alice');
  const { clientId, clientSecret } = registeredAt(installation);
  assert.not.match(installation.output(), clientSecret);
  const written = [nats.folder, join(folder, 'vault')].flatMap((place) =>
    readdirSync(place, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name))),
  );
  assert.ok(written.length > 3);
  for (const file of written) assert.not(file.includes(clientSecret), 'it lies nowhere in clear');

  // Whoever has the vault's place on NATS and its key ring reads its record.
  const connection = await openNatsConnection({
    ...{ servers: [nats.url], token: natsToken, role: 'vault', bootId: createBootId() },
  });
  await using _connection = { [Symbol.asyncDispose]: () => connection.close() };
  const textOf = (file: string) => readFileSync(join(keys, file), 'utf8');
  const ring = keyRingFileSchema.parse(JSON.parse(textOf('vault.keyring.json')));
  const store = await openAuthStore({ connection, keyRing: openKeyRing(ring), now: Date.now });
  const record = await store.find('client-registrations', 'gitlab');
  const client = registeredClientSchema.parse((record!.value as { clients: unknown[] }).clients[0]);
  assert.is(client.clientId, clientId);

  const keysIn = (file: string) =>
    [...textOf(file).matchAll(/"([A-Za-z0-9_-]{43})"/g)].map(([, text]) => Buffer.from(text!, 'base64url'));
  const opens = (key: Buffer<ArrayBuffer>) => {
    try {
      const opened = createRegisteredClients('gitlab', {
        instanceId: ring.instanceId,
        own: [{ generation: 1, key }],
      }).open(client);
      return opened.clientSecret?.reveal() === clientSecret;
    } catch {
      return false;
    }
  };
  const derived = (key: Buffer) =>
    Buffer.from(hkdfSync('sha256', key, '', 'latchkey/1 provider-only gitlab 1', 32));
  const own = 'provider.gitlab.keys.json';
  const others = readdirSync(keys).filter((file) => file !== own && file !== 'root.key');
  const foreign = others.flatMap(keysIn);
  assert.ok(foreign.length >= 8, others.join(' '));
  assert.not(foreign.some((key) => opens(key) || opens(derived(key))));
  assert.ok(keysIn(own).some(opens), 'with that of the provider it is opened');
});

test.run();
