/**
 * The far side of the look-up benchmark, as a process of its own: a vault with people signed in, on the bus as the
 * worker serves it, and beside it on the same connection a bare echo that answers with as many bytes.
 */

import { createBus } from '../../schemas/bus.ts';
import { createInstanceId } from '../../schemas/ids.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { createKeyRingFile } from '../../vault/sealing/key-ring.ts';
import { startVaultWorker } from '../../workers/vault-worker/vault-worker.ts';
import {
  createPlayedProviders,
  openTestVault,
  refuseClientMetadata,
  signIn,
  tokenSet,
} from '../world/vault.ts';

interface Order {
  readonly url: string;
  readonly people: number;
  readonly rootKey: string;
}

process.once('message', async ({ url, people, rootKey }: Order) => {
  const keyRing = createKeyRingFile(createInstanceId());
  const providers = createPlayedProviders();
  for (const name of ['corporate', 'gitlab']) {
    providers.tokens.set(name, tokenSet(`${name}-${'t'.repeat(280)}`, Date.now() + 3_600_000));
  }
  const { vault, connection } = await openTestVault({ url, keyRing, providers });
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({
      rootKey: Buffer.from(rootKey, 'base64url'),
      instanceId: keyRing.instanceId,
      role: 'vault',
      providers: ['corporate', 'gitlab'],
    }),
  );
  const bootId = 'boot_vaultvaultvaultvault00';
  const worker = startVaultWorker({
    bus: createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) }),
    vault,
    providers: ['corporate', 'gitlab'],
    fetchClientMetadata: refuseClientMetadata,
  });
  connection.subscribe('bench.echo', {
    callback: (_, message) => {
      message.respond(new Uint8Array(Number(message.headers?.get('Reply-Size'))));
    },
  });
  await worker.ownership.settled();
  await connection.flush();

  const callers: { partition: number; accessToken: string }[] = [];
  for (let first = 0; first < people; first += 1) {
    // One after another: who signs in is decided by the played provider's subject.
    providers.subject = `person-${first}`;
    const { partition, accessToken } = await signIn(
      { vault, now: Date.now },
      `interaction-${first}-of-the-benchmark`,
    );
    callers.push({ partition, accessToken: accessToken.reveal() });
  }
  process.send!({ instanceId: keyRing.instanceId, callers });
});
/** What this process spent so far, for the requester to compare. */
process.on('message', (message) => {
  if (message === 'cpu') process.send!(process.cpuUsage());
});
process.on('disconnect', () => process.exit());
