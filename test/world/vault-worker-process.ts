/**
 * One vault worker as a process, as `workers/vault-worker/main.ts` runs it, but with providers that it plays itself: a
 * code is redeemed for the person whose name it is, and every refresh of a token succeeds at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { type KeyRingFile, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { openVault } from '../../vault/vault.ts';
import { startVaultWorker } from '../../workers/vault-worker/vault-worker.ts';
import { audience, createPlayedProviders, issuer } from './vault.ts';

export interface VaultWorkerOrder {
  readonly url: string;
  readonly rootKey: string;
  readonly keyRing: KeyRingFile;
  readonly folder: string;
  readonly replicas: number;
}

export const chain = ['corporate', 'gitlab'];

process.once('message', async ({ url, rootKey, keyRing, folder, replicas }: VaultWorkerOrder) => {
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: url.split(','), role: 'vault', bootId });
  const { instanceId } = keyRing;
  const rootKeyBytes = Buffer.from(rootKey, 'base64url');
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({ rootKey: rootKeyBytes, instanceId, role: 'vault', providers: chain }),
  );
  const bus = createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) });
  const vault = await openVault({
    ...{ connection, folder, replicas, issuer, chain },
    providers: createPlayedProviders(),
    keyRing: openKeyRing(keyRing),
    audiences: [audience],
    maxAccessTokenSeconds: 3600,
    refreshAheadSeconds: 60,
    worker: bootId,
    now: Date.now,
    random: Math.random,
    onProblem: (error) => process.send?.({ problem: String(error) }),
    onFatal: (error) => process.send?.({ problem: String(error) }),
  });
  const worker = startVaultWorker({ bus, vault, providers: chain });
  await worker.ownership.settled();
  process.send!({ ready: true });
  process.on('message', (message) => {
    if (message === 'serving') process.send!({ serving: worker.ownership.serving() });
  });
  process.once('SIGTERM', async () => {
    await worker.stop();
    // Answers that were given must leave before the connection goes.
    await connection.flush();
    await sleep(10);
    process.exit();
  });
});
process.on('disconnect', () => process.exit());
