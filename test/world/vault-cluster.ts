/** Vault workers as processes on one NATS, and a gateway's view of them: people sign in, and are looked up under load. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVaultClient, fetchInstanceDescription, type VaultClient } from '../../gateway/vault-client.ts';
import { createBus } from '../../schemas/bus.ts';
import type { Principal } from '../../schemas/identity.ts';
import { createBootId, createInstanceId, sessionIdOf } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { createKeyRingFile } from '../../vault/sealing/key-ring.ts';
import { accessTokenClaims, signingInput } from './vault.ts';
import type { VaultWorkerOrder } from './vault-worker-process.ts';

export interface Member {
  readonly child: ChildProcess;
  serving(): Promise<number[]>;
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

export interface SignedInPerson {
  readonly principal: Principal;
  readonly accessToken: Secret;
}

export interface VaultCluster extends AsyncDisposable {
  readonly client: VaultClient;
  addWorker(): Promise<Member>;
  signIn(name: string): Promise<SignedInPerson>;
}

export async function openVaultCluster(options: { url: string; replicas?: number }): Promise<VaultCluster> {
  const { url, replicas = 1 } = options;
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-cluster-'));
  const keyRing = createKeyRingFile(createInstanceId());
  const rootKey = randomBytes(32);
  const members: ChildProcess[] = [];

  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: url.split(','), role: 'gateway', bootId });
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({ rootKey, instanceId: keyRing.instanceId, role: 'gateway', providers: [] }),
  );
  const bus = createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) });
  const client = createVaultClient(bus, 64);

  async function addWorker(): Promise<Member> {
    const child = fork(new URL('./vault-worker-process.ts', import.meta.url));
    members.push(child);
    const data = mkdtempSync(join(folder, 'worker-'));
    const order: VaultWorkerOrder = {
      url,
      rootKey: rootKey.toString('base64url'),
      keyRing,
      folder: data,
      replicas,
    };
    child.send(order);
    await answerOf<{ ready: true }>(child, 'ready');
    const end = async (signal: NodeJS.Signals) => {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    };
    return {
      child,
      async serving() {
        child.send('serving');
        return (await answerOf<{ serving: number[] }>(child, 'serving')).serving;
      },
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
    };
  }

  return {
    client,
    addWorker,
    async signIn(name) {
      const interactionUid = `interaction-of-${name}`;
      for (let leg = await client.beginLeg(interactionUid); ; leg = await client.beginLeg(interactionUid)) {
        const parameters = { state: stateOf(leg.authorizationUrl), code: new Secret(name) };
        const { provider, browserBinding } = leg;
        const { status } = await client.completeLeg({ provider, parameters, browserBinding });
        if (status === 'complete') break;
        if (status === 'failed') throw new Error('the chain failed');
      }
      const progress = await client.findChain(interactionUid);
      if (progress.status !== 'complete') throw new Error(`the chain is ${progress.status}`);
      const { principal } = progress;
      const grantId = `grant-of-person-${name}`;
      await client.openSession({
        interactionUid,
        principal,
        grantId,
        clientId: 'client-1',
        lifetimeSeconds: 3600,
      });
      const { signingKeys } = await fetchInstanceDescription(bus, 5000);
      const { kid } = signingKeys[0]!;
      const claims = accessTokenClaims(principal.sub, sessionIdOf(grantId));
      const input = signingInput({ alg: 'ES256', typ: 'at+jwt', kid }, claims);
      const { signature } = await client.signAccessToken(principal, kid, input);
      return { principal, accessToken: new Secret(`${input}.${signature}`) };
    },
    async [Symbol.asyncDispose]() {
      for (const child of members) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      }
      await connection.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The played provider puts the state into the address, as a real one would put it into the callback. */
function stateOf(authorizationUrl: string): Secret {
  return new Secret(new URL(authorizationUrl).searchParams.get('state')!);
}

function answerOf<Answer>(child: ChildProcess, key: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const listen = (message: object) => {
      if (!(key in message)) return;
      child.off('message', listen);
      resolve(message as Answer);
    };
    child.on('message', listen);
    child.once('exit', () => reject(new Error('the worker ended')));
  });
}
