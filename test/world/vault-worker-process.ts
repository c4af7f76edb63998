/**
 * One vault worker as a process, as `workers/vault-worker/main.ts` runs it, but it can be stopped at a named step, and
 * may play the providers itself: a code is redeemed for the person whose name it is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import type { OwnershipTimes } from '../../vault/ownership/ownership.ts';
import { type KeyRingFile, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { openVault } from '../../vault/vault.ts';
import { createProviderRequests } from '../../workers/vault-worker/provider-requests.ts';
import { startVaultWorker } from '../../workers/vault-worker/vault-worker.ts';
import { listenForFaults, withFaults } from './faults.ts';
import { audience, createPlayedProviders, issuer, refuseClientMetadata, tokenSet } from './vault.ts';

export interface VaultWorkerOrder {
  readonly url: string;
  readonly rootKey: string;
  readonly keyRing: KeyRingFile;
  readonly folder: string;
  readonly replicas: number;
  readonly chain: readonly string[];
  /** Beside those of the chain. */
  readonly linkable: readonly string[];
  /** What is done by provider workers; the rest is played. */
  readonly providers: 'played' | 'refreshed' | 'real';
  readonly claimMs?: number;
  readonly ownershipTimes?: OwnershipTimes;
}

process.once('message', async (order: VaultWorkerOrder) => {
  const { url, rootKey, keyRing, folder, replicas, chain } = order;
  const bootId = createBootId();
  const faults = listenForFaults();
  const connectAs = async (id: string) =>
    withFaults(await openNatsConnection({ servers: url.split(','), role: 'vault', bootId: id }), faults);
  const connection = await connectAs(bootId);
  const gateways = await connectAs(createBootId());
  const { instanceId } = keyRing;
  const rootKeyBytes = Buffer.from(rootKey, 'base64url');
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({ rootKey: rootKeyBytes, instanceId, role: 'vault', providers: chain }),
  );
  const tell = (error: unknown) => process.send?.({ problem: String(error) });
  const envelopes = createSealedEnvelopes({ keys, bootId, now: Date.now });
  const bus = createBus({ connection, envelopes });
  const vault = await openVault({
    ...{ connection, folder, replicas, issuer, chain },
    linkable: [...chain, ...order.linkable],
    keepLinkedAlive: true,
    linkedIdleMs: 90 * 24 * 3_600_000,
    providers: providersOf(order.providers),
    keyRing: openKeyRing(keyRing),
    audiences: [audience],
    maxAccessTokenSeconds: 3600,
    refreshAheadSeconds: 60,
    worker: bootId,
    now: Date.now,
    random: Math.random,
    onProblem: tell,
    onRevocationFailed: tell,
    onFatal(error) {
      tell(error);
      process.exit(1);
    },
    ...(order.claimMs !== undefined && { claimMs: order.claimMs }),
    ...(order.ownershipTimes && { ownershipTimes: order.ownershipTimes }),
  });
  const recordRefreshOutcome: typeof vault.recordRefreshOutcome = async (...given) => {
    await faults.reach('outcome-received');
    await vault.recordRefreshOutcome(...given);
  };
  const worker = startVaultWorker({
    bus,
    gateways: createBus({ connection: gateways, envelopes }),
    vault: { ...vault, recordRefreshOutcome },
    providers: chain,
    fetchClientMetadata: refuseClientMetadata,
  });
  await worker.ownership.settled();
  process.send!({ ready: true });
  process.on('message', (message) => {
    if (message === 'serving') process.send!({ serving: worker.ownership.serving() });
    if (message === 'evict') void vault.evict().then((evicted) => process.send!({ evicted }));
  });
  process.once('SIGTERM', async () => {
    await worker.stop();
    // Answers that were given must leave before the connection goes.
    await Promise.all([connection.flush(), gateways.flush()]);
    await sleep(10);
    process.exit();
  });

  function providersOf(kind: VaultWorkerOrder['providers']) {
    const played = createPlayedProviders();
    played.revoke = async (_provider, tokens) => {
      process.send!({ revoked: tokens.accessToken.reveal() });
    };
    if (kind === 'played') return played;
    const real = createProviderRequests(bus);
    const start: typeof real.start = async (refresh) => {
      const sent = await real.start(refresh);
      await faults.reach('provider-called');
      return sent;
    };
    return kind === 'real'
      ? { ...real, start }
      : { ...played, exchange, forward: real.forward, prepare: real.prepare, start };
  }
});
process.on('disconnect', () => process.exit());

/**
 * The code is `<name>@<end of the access token>`, the tokens begin a family of `one-time-tokens.ts`. Who is called
 * `brief-...` gets no refresh token.
 */
async function exchange(_provider: string, _leg: unknown, parameters: Readonly<Record<string, Secret>>) {
  const [name = '', expiresAt] = parameters.code!.reveal().split('@');
  const tokens = {
    ...tokenSet(name, Number(expiresAt)),
    accessToken: new Secret(`access-${name}.0`),
    refreshToken: name.startsWith('brief-') ? null : new Secret(`${name}.0`),
  };
  const account = { subject: name, name: null, email: null };
  return { tokens, account, registration: { clientId: 'latchkey', generation: 0 } };
}
