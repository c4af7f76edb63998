/**
 * The far side of the scale benchmark, as a process of its own: a vault worker on streams that were filled before, and
 * beside it on the same connection a bare echo. It says how long it took until it served, and signs the access tokens of
 * those people who will be asked for.
 */
import { createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { type KeyRingFile, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { openVault } from '../../vault/vault.ts';
import { startVaultWorker } from '../../workers/vault-worker/vault-worker.ts';
import {
  audience,
  createPlayedProviders,
  issuer,
  refuseClientMetadata,
  signedToken,
} from '../world/vault.ts';
import { personOf, providers } from './many-grants.ts';

export interface FilledVaultOrder {
  readonly url: string;
  readonly rootKey: string;
  readonly keyRing: KeyRingFile;
  readonly folder: string;
}

process.once('message', async ({ url, rootKey, keyRing: file, folder }: FilledVaultOrder) => {
  const bootId = createBootId();
  const keyRing = openKeyRing(file);
  const connection = await openNatsConnection({ servers: [url], role: 'vault', bootId });
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({
      ...{ rootKey: Buffer.from(rootKey, 'base64url'), instanceId: file.instanceId },
      ...{ role: 'vault', providers },
    }),
  );
  const began = performance.now();
  const before = process.cpuUsage();
  const vault = await openVault({
    ...{ connection, keyRing, folder, issuer, worker: bootId, now: Date.now, random: Math.random },
    ...{ chain: providers, providers: createPlayedProviders(), audiences: [audience], replicas: 1 },
    ...{ maxAccessTokenSeconds: 3600, refreshAheadSeconds: 60, linkable: providers },
    ...{ keepLinkedAlive: true, linkedIdleMs: 90 * 24 * 3_600_000 },
    onRevocationFailed: () => {},
    onProblem: (error) => console.error(String(error)),
    onFatal: (error) => {
      throw error;
    },
  });
  const worker = startVaultWorker({
    bus: createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) }),
    ...{ vault, providers, fetchClientMetadata: refuseClientMetadata },
  });
  connection.subscribe('bench.echo', {
    callback: (_, message) => {
      message.respond(new Uint8Array(Number(message.headers?.get('Reply-Size'))));
    },
  });
  await worker.ownership.settled();
  await connection.flush();
  process.on('message', (people: readonly number[]) => {
    process.send!(
      people.map((n) => {
        const { partition, principal, sessionId } = personOf(keyRing, n);
        const token = signedToken(vault, partition, principal.sub, sessionId);
        return { partition, accessToken: token.reveal() };
      }),
    );
  });
  const { user, system } = process.cpuUsage(before);
  process.send!({ servingAfterMs: performance.now() - began, cpuMicroseconds: user + system });
});
process.on('disconnect', () => process.exit());
