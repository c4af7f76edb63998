/** Vault workers as processes on one NATS, and a gateway's view of them: people sign in, and are looked up under load. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVaultClient, fetchInstanceDescription, type VaultClient } from '../../gateway/vault-client.ts';
import { createBus } from '../../schemas/bus.ts';
import type { OAuth2ProviderSettings } from '../../schemas/config/provider-config.ts';
import { DeadlineExceededError } from '../../schemas/failure.ts';
import { type Principal, partitionOf } from '../../schemas/identity.ts';
import { createBootId, createInstanceId, sessionIdOf } from '../../schemas/ids.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { adminSubject, vaultSubject } from '../../schemas/subjects.ts';
import type { OwnershipTimes } from '../../vault/ownership/ownership.ts';
import { createKeyRingFile } from '../../vault/sealing/key-ring.ts';
import type { Fault } from './faults.ts';
import type { GatewayOrder, LookUpsOrder, LookUpsReport } from './gateway-process.ts';
import type { ProviderWorkerOrder } from './provider-worker-process.ts';
import { untilShared } from './shared-partitions.ts';
import { accessTokenClaims, signingInput } from './vault.ts';
import type { VaultWorkerOrder } from './vault-worker-process.ts';

/** A process of the cluster. */
export interface Member {
  readonly child: ChildProcess;
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** The next time the process comes to this step; see `faults.ts`. */
  arm(fault: Fault): Promise<void>;
  /** Resolves when it has come there, or has ended. */
  reached(): Promise<void>;
  /** Resolves when the process has ended. */
  ended(): Promise<void>;
}

export interface Worker extends Member {
  serving(): Promise<number[]>;
  /** A round of eviction. @returns how many went */
  evict(): Promise<number>;
  /** The access tokens that it had its provider revoke. */
  readonly revoked: readonly string[];
  /** What it reported as problem. */
  readonly problems: readonly string[];
  /** Its data folder, for the one that comes after it. */
  readonly data: string;
}

export interface GatewayProcess {
  lookUp(order: LookUpsOrder): Promise<LookUpsReport>;
}

export interface SignedInPerson {
  readonly principal: Principal;
  readonly partition: number;
  readonly accessToken: Secret;
  /** Of the authorization server. */
  readonly grantId: string;
}

export interface VaultCluster extends AsyncDisposable {
  readonly client: VaultClient;
  /** As a gateway asks the owner of a person's partition; repeated under the same command id until it is answered. */
  ask<Request, Response>(
    operation: Operation<Request, Response>,
    person: Pick<SignedInPerson, 'partition'>,
    request: Request,
  ): Promise<Response>;
  /** The same as an operator. */
  order<Request, Response>(
    operation: Operation<Request, Response>,
    person: Pick<SignedInPerson, 'partition'>,
    request: Request,
  ): Promise<Response>;
  /** @param change `url`: another way to the same NATS; `data`: the folder of one that has ended */
  addWorker(change?: { url?: string; data?: string }): Promise<Worker>;
  /** A worker of the provider `gitlab`. */
  addProviderWorker(settings: OAuth2ProviderSettings, clientSecret: string): Promise<Member>;
  addGateway(): Promise<GatewayProcess>;
  /** @param beforeSession awaited when the chain is complete */
  signIn(name: string, expiresAt?: number, beforeSession?: () => Promise<void>): Promise<SignedInPerson>;
}

export interface VaultClusterOptions {
  readonly url: string;
  readonly replicas?: number;
  readonly chain?: readonly string[];
  /** Further providers, at which accounts can be linked. */
  readonly linkable?: readonly string[];
  readonly providers?: VaultWorkerOrder['providers'];
  readonly claimMs?: number;
  readonly ownershipTimes?: OwnershipTimes;
  /** Goes to the provider in the person's place, and comes back with what the callback gets. */
  readonly authorize?: (authorizationUrl: string, name: string) => Promise<Record<string, Secret>>;
}

const partitions = 64;

export async function openVaultCluster(options: VaultClusterOptions): Promise<VaultCluster> {
  const { url, replicas = 1, chain = ['corporate', 'gitlab'], providers = 'played' } = options;
  const { linkable = [], claimMs, ownershipTimes, authorize = comeBackAtOnce } = options;
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-cluster-'));
  const keyRing = createKeyRingFile(createInstanceId());
  const { instanceId } = keyRing;
  const rootKey = randomBytes(32);
  const rootKeyText = rootKey.toString('base64url');
  const children: ChildProcess[] = [];

  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: url.split(','), role: 'gateway', bootId });
  const busOf = (role: 'gateway' | 'operator') => {
    const keys = roleKeysSchema.parse(deriveRoleKeyFile({ rootKey, instanceId, role, providers: [] }));
    return createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) });
  };
  const bus = busOf('gateway');
  const operatorBus = busOf('operator');
  const client = createVaultClient(bus, partitions);

  async function startChild(program: string, order: object): Promise<ChildProcess> {
    const child = fork(new URL(program, import.meta.url));
    children.push(child);
    child.send(order);
    await answerOf<{ ready: true }>(child, 'ready');
    return child;
  }

  function memberOf(child: ChildProcess): Member {
    const end = async (signal: NodeJS.Signals) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    };
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    let reached = Promise.resolve();
    return {
      child,
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
      async arm(fault) {
        reached = Promise.race([
          answerOf(child, 'reached').then(
            () => undefined,
            () => undefined,
          ),
          ended,
        ]);
        const armed = answerOf(child, 'armed');
        child.send({ arm: fault });
        await armed;
      },
      reached: () => reached,
      ended: () => ended,
    };
  }

  async function addWorker(change: { url?: string; data?: string } = {}): Promise<Worker> {
    const data = change.data ?? mkdtempSync(join(folder, 'worker-'));
    const order: VaultWorkerOrder = {
      ...{
        url: change.url ?? url,
        keyRing,
        replicas,
        chain,
        linkable,
        providers,
        folder: data,
        rootKey: rootKeyText,
      },
      ...(claimMs !== undefined && { claimMs }),
      ...(ownershipTimes && { ownershipTimes }),
    };
    const problems: string[] = [];
    const revoked: string[] = [];
    const child = await startChild('./vault-worker-process.ts', order);
    child.on('message', (message: { problem?: string; revoked?: string }) => {
      if (message.problem !== undefined) problems.push(message.problem);
      if (message.revoked !== undefined) revoked.push(message.revoked);
    });
    return {
      ...memberOf(child),
      ...{ problems, revoked, data },
      async evict() {
        child.send('evict');
        return (await answerOf<{ evicted: number }>(child, 'evicted')).evicted;
      },
      async serving() {
        child.send('serving');
        return (await answerOf<{ serving: number[] }>(child, 'serving')).serving;
      },
    };
  }

  return {
    client,
    ask: (operation, { partition }, request) =>
      bus.request(
        operation,
        { subject: vaultSubject(partition, operation.name), pair: 'gateway-vault' },
        request,
        { timeoutMs: 30_000 },
      ),
    order: (operation, { partition }, request) =>
      operatorBus.request(
        operation,
        { subject: adminSubject(partition, operation.name), pair: 'operator-vault' },
        request,
        { timeoutMs: 30_000 },
      ),
    addWorker,
    async addProviderWorker(settings, clientSecret) {
      const order: ProviderWorkerOrder = {
        ...{ url, instanceId, settings, clientSecret, chain },
        rootKey: rootKeyText,
      };
      return memberOf(await startChild('./provider-worker-process.ts', order));
    },
    async addGateway() {
      const order: GatewayOrder = { url, instanceId, rootKey: rootKeyText };
      const child = await startChild('./gateway-process.ts', order);
      return {
        async lookUp(lookUps) {
          child.send(lookUps);
          return (await answerOf<{ report: LookUpsReport }>(child, 'report')).report;
        },
      };
    },
    async signIn(name, expiresAt, beforeSession) {
      const interactionUid = `interaction-of-${name}`;
      for (let leg = await client.beginLeg(interactionUid); ; leg = await client.beginLeg(interactionUid)) {
        const code = expiresAt === undefined ? name : `${name}@${expiresAt}`;
        const parameters = await authorize(leg.authorizationUrl, code);
        const { provider, browserBinding } = leg;
        const { status } = await client.completeLeg({ providers: [provider], parameters, browserBinding });
        if (status === 'complete') break;
        if (status === 'failed') throw new Error('the chain failed');
      }
      const progress = await client.findChain(interactionUid);
      if (progress.status !== 'complete') throw new Error(`the chain is ${progress.status}`);
      const { principal } = progress;
      const grantId = `grant-of-person-${name}`;
      await beforeSession?.();
      const session = { interactionUid, principal, grantId, clientId: 'client-1', lifetimeSeconds: 3600 };
      // On a busy machine a worker that takes the place of a killed one can need longer than one request has.
      await client.openSession(session).catch((error) => {
        if (!(error instanceof DeadlineExceededError)) throw error;
        return client.openSession(session);
      });
      const { signingKeys } = await fetchInstanceDescription(bus, 30_000);
      const { kid } = signingKeys[0]!;
      const usual = accessTokenClaims(principal.sub, sessionIdOf(grantId));
      // On a busy machine a test can be longer than ten minutes.
      const claims = { ...usual, exp: usual.iat + 3500 };
      const input = signingInput({ alg: 'ES256', typ: 'at+jwt', kid }, claims);
      const { signature } = await client.signAccessToken(principal, kid, input);
      const partition = partitionOf(principal, partitions);
      return { principal, partition, accessToken: new Secret(`${input}.${signature}`), grantId };
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) {
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

/** The one of the workers that owns the partition, when none goes from one to another any more. */
export async function ownerOf(workers: readonly Worker[], partition: number): Promise<Worker> {
  const shares = await untilShared(workers);
  return workers[shares.findIndex((share) => share.includes(partition))]!;
}

/** The played provider puts the state into the address, as a real one would put it into the callback. */
async function comeBackAtOnce(authorizationUrl: string, name: string): Promise<Record<string, Secret>> {
  const state = new URL(authorizationUrl).searchParams.get('state')!;
  return { state: new Secret(state), code: new Secret(name) };
}

function answerOf<Answer>(child: ChildProcess, key: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stopListening = () => {
      child.off('message', listen);
      child.off('exit', end);
    };
    const listen = (message: object) => {
      if (!(key in message)) return;
      stopListening();
      resolve(message as Answer);
    };
    const end = () => {
      stopListening();
      reject(new Error('the process ended'));
    };
    child.on('message', listen);
    child.once('exit', end);
  });
}
