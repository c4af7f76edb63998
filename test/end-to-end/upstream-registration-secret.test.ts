/** Nobody but the workers of a provider gets at the secret of the client that Latchkey registered there. */
import { hkdfSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { registeredClientSchema } from '../../schemas/provider.ts';
import { openAuthStore } from '../../vault/authorization/auth-store.ts';
import { keyRingFileSchema, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { createRegisteredClients } from '../../workers/providers/registered-clients.ts';
import { natsToken, openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice } from '../world/person.ts';
import { discovered, registeredAt, usernameOf } from '../world/registering-installation.ts';

const test = suite('upstream registration secret');

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
