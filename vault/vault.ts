/**
 * The door of the vault: opens what it consists of, in the order that is safe, and answers what may be asked of it.
 * It holds the key ring and its own disk; of the world it knows NATS alone.
 */
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { RefusedError } from '../schemas/failure.ts';
import { type Principal, partitionOf, realmOf } from '../schemas/identity.ts';
import { createEventId, sessionIdOf } from '../schemas/ids.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import type { RefreshOutcomeDelivery } from '../schemas/messages/refresh-outcome.ts';
import { streamNames, streamSubjects } from '../schemas/subjects.ts';
import { type AuthRecords, createAuthRecords } from './authorization/auth-records.ts';
import { openAuthStore } from './authorization/auth-store.ts';
import { createSignIn, type ProviderSignIns, type SignIn } from './authorization/sign-in.ts';
import { type CommandMemory, createCommandMemory } from './command-memory.ts';
import { partitionLost, type VaultError } from './errors.ts';
import { sessionFact } from './grant/facts.ts';
import { createGrantStore } from './grant/grant-store.ts';
import { openJetStreamEventLog } from './log/jetstream-event-log.ts';
import { followStream } from './log/stream-follower.ts';
import { openStreams } from './log/streams.ts';
import { createLookUp, type LookUp } from './look-up.ts';
import { openOutbox } from './outbox/outbox.ts';
import { createPartitionWriter, type PartitionWriter } from './partition/partition-writer.ts';
import { openProjection } from './projection/projection.ts';
import { createProjectionFollower } from './projection/projection-follower.ts';
import { createRefresher, type ProviderRefreshes } from './refresh/refresher.ts';
import { createDataKeys } from './sealing/data-keys.ts';
import { createIdentityIndex } from './sealing/identity-index.ts';
import type { KeyRing } from './sealing/key-ring.ts';
import { decideSession } from './session/session.ts';
import { createAccessTokenSigner } from './signing/access-token-signer.ts';
import { createAccessTokenVerifier } from './signing/access-token-verifier.ts';
import { openSigningKeys } from './signing/signing-keys.ts';

export interface Vault extends AsyncDisposable {
  readonly description: InstanceDescription;
  readonly records: AuthRecords;
  readonly signIn: SignIn;
  readonly commands: CommandMemory;
  readonly findUpstreamTokens: LookUp;
  openSession(
    partition: number,
    request: {
      interactionUid: string;
      principal: Principal;
      grantId: string;
      clientId: string;
      lifetimeSeconds: number;
    },
  ): Promise<{ sessionId: string }>;
  /** @returns r || s in base64url */
  signAccessToken(partition: number, kid: string, signingInput: string): string;
  /** `provider`: whose worker delivers it; it can speak for grants of no other. Durable when it resolves. */
  recordRefreshOutcome(partition: number, provider: string, delivery: RefreshOutcomeDelivery): Promise<void>;
}

export interface VaultOptions {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The longest life of an access token that is signed, seconds. */
  readonly maxAccessTokenSeconds: number;
  /** The providers of the sign-in chain, in order. */
  readonly chain: readonly string[];
  readonly providers: ProviderSignIns & ProviderRefreshes;
  /** A token with less life than this is refreshed while it is still served, seconds. */
  readonly refreshAheadSeconds: number;
  /** Holds `projection.sqlite` and `outbox.sqlite`. */
  readonly folder: string;
  /** The boot id of this worker. */
  readonly worker: string;
  /** Replicas of the streams that are made; 3 in a cluster. */
  readonly replicas: number;
  readonly now: () => number;
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  /** Another worker took a partition, or the projection cannot be written: this one must stop. Called once. */
  readonly onOwnershipLost: (error: VaultError) => void;
}

export async function openVault(options: VaultOptions): Promise<Vault> {
  const { connection, keyRing, issuer, audiences, folder, worker, now, onProblem } = options;
  const streams = await openStreams(connection, keyRing.instanceId, options.replicas);
  const signingKeys = await openSigningKeys({ connection, keyRing });
  const store = await openAuthStore({ connection, keyRing, now });
  const log = await openJetStreamEventLog({ connection, incarnation: streams.incarnations.log });

  const lastSequences = await lastSequencesOf(connection);
  const projection = openProjection(join(folder, 'projection.sqlite'), [
    { stream: streamNames.vault, incarnation: streams.incarnations.log, lastSequence: lastSequences.vault },
    { stream: streamNames.keys, incarnation: streams.incarnations.keys, lastSequence: lastSequences.keys },
  ]);
  const outbox = openOutbox(join(folder, 'outbox.sqlite'));
  const dataKeys = createDataKeys({ connection, keyRing, projection });

  let lost: VaultError | null = null;
  const stop = new AbortController();
  const onLost = (error: VaultError): void => {
    if (lost || stop.signal.aborted) return;
    lost = error;
    options.onOwnershipLost(error);
  };
  /** What another worker took is answered by that one. */
  const ifOwner =
    <Arguments extends unknown[], Result>(answer: (...given: Arguments) => Result) =>
    (...given: Arguments): Result => {
      if (lost) throw new RefusedError('not-owner', lost.message);
      return answer(...given);
    };

  const taken = new Set<number>();
  const follower = createProjectionFollower({
    projection,
    log,
    followKeys: (afterSequence, onKey, signal) =>
      followStream(
        connection,
        { stream: streamNames.keys, filterSubject: streamSubjects.keys, afterSequence },
        ({ subject, data, seq }) => onKey(subject.split('.')[2]!, data, seq),
        signal,
      ),
    onOwner(partition, owner) {
      if (owner === worker) taken.add(partition);
      else if (taken.has(partition)) onLost(partitionLost(partition));
    },
    onProblem,
  });

  const partitions = Array.from({ length: streams.partitions }, (_, partition) => partition);
  const ownerships = await Promise.all(partitions.map((partition) => log.takePartition(partition, worker)));
  // Nothing is answered before the log was read up to the own markers, and every key that lay in KEYS then.
  await follower.caughtUp({
    log: Math.max(...ownerships.map(({ epoch }) => epoch)),
    keys: lastSequences.keys,
  });
  const writers = ownerships.map((ownership) =>
    createPartitionWriter({ ownership, worker, log, projection, onLost, signal: stop.signal }),
  );
  const writerOf = (partition: number): PartitionWriter => {
    const writer = writers[partition];
    if (!writer) throw new RefusedError('invalid-request', 'there is no such partition');
    return writer;
  };

  const index = createIdentityIndex(keyRing);
  const realm = realmOf(keyRing.instanceId);
  const grants = createGrantStore({ projection, dataKeys });
  const refresher = createRefresher({ ...options, writerOf, grants, dataKeys, outbox });
  await refresher.recover();

  const assertOurs = (partition: number, principal: Principal): void => {
    if (partitionOf(principal, streams.partitions) !== partition) {
      throw new RefusedError('invalid-request', 'this principal is not of this partition');
    }
  };

  const signIn = createSignIn({
    store,
    providers: options.providers,
    chain: options.chain,
    principalOf: (provider, subject) => ({ iss: realm, sub: index.userId(provider, subject) }),
    now,
    onProblem,
  });

  const sign = createAccessTokenSigner({
    keys: signingKeys,
    issuer,
    audiences,
    maxLifetimeSeconds: options.maxAccessTokenSeconds,
    now,
    assertSession: (partition, { sub, tsid, client_id: clientId }) => {
      assertOurs(partition, { iss: realm, sub });
      const session = projection.findSession(tsid);
      const principalKey = index.principalKey({ iss: realm, sub });
      if (!session || session.endsAt <= now())
        throw new RefusedError('session-ended', 'the session has ended');
      if (session.principalKey !== principalKey || session.clientId !== clientId) {
        throw new RefusedError('invalid-request', 'the session does not belong to this subject and client');
      }
    },
  });

  return {
    description: {
      instanceId: keyRing.instanceId,
      issuer,
      realm,
      partitions: streams.partitions,
      signingKeys: [...signingKeys.publicKeys],
    },
    records: createAuthRecords({ store, now }),
    signIn,
    commands: createCommandMemory(),
    findUpstreamTokens: ifOwner(
      createLookUp({
        ...{ projection, grants, refresher, index, realm, now, onProblem },
        refreshAheadSeconds: options.refreshAheadSeconds,
        verify: createAccessTokenVerifier({ keys: signingKeys, issuer, audiences, now }),
      }),
    ),

    openSession: ifOwner(
      async (partition, { interactionUid, principal, grantId, clientId, lifetimeSeconds }) => {
        assertOurs(partition, principal);
        const at = now();
        const sessionId = sessionIdOf(grantId);
        const principalKey = index.principalKey(principal);
        const existing = projection.findSession(sessionId);
        if (existing && existing.principalKey !== principalKey) {
          throw new RefusedError('conflict', 'this grant has a session of somebody else');
        }
        if (existing) return { sessionId };
        const chain = await signIn.findChain(interactionUid);
        if (
          chain.status !== 'complete' ||
          chain.principal.sub !== principal.sub ||
          chain.principal.iss !== principal.iss
        ) {
          throw new RefusedError('not-found', 'there is no complete sign-in of this person');
        }
        await dataKeys.ensure(principalKey);
        const held = chain.collected.map(({ provider, ...tokens }) => ({
          owner: {
            grantId: index.sessionGrantId(principalKey, provider, sessionId),
            ...{ principalKey, provider, sessionId, registration: tokens.registration },
          },
          tokens,
        }));
        await writerOf(partition).execute({
          aggregates: [sessionId, ...held.map(({ owner }) => owner.grantId)],
          decide: () => {
            const endsAt = at + lifetimeSeconds * 1000;
            const found = projection.findSession(sessionId);
            const opened = decideSession(
              { type: 'OpenSession', at, sessionId, principalKey, clientId, endsAt },
              found
                ? { status: 'open', principalKey: found.principalKey, endsAt: found.endsAt }
                : { status: 'absent' },
            );
            if (!opened) return { changes: [], result: undefined };
            const id = createEventId();
            const session = {
              aggregate: sessionId,
              event: { metadata: { ...opened, id }, sealed: Buffer.alloc(0) },
              replaces: false,
              fact: sessionFact(id, opened),
            };
            const granted = held.map(({ owner, tokens }) =>
              grants.changeFor(
                { type: 'GrantTokens', at, ...owner, tokens: tokens.tokens, account: tokens.account },
                owner,
              ),
            );
            return { changes: [session, ...granted.filter((change) => change !== null)], result: undefined };
          },
        });
        await signIn.forgetChain(interactionUid);
        return { sessionId };
      },
    ),

    signAccessToken: ifOwner(sign),

    recordRefreshOutcome: ifOwner(async (partition, provider, { grantId, claimId, outcome }) => {
      const grant = projection.findGrant(grantId);
      if (!grant) throw new RefusedError('not-found', 'there is no such grant');
      if (grant.provider !== provider || grant.partition !== partition) {
        throw new RefusedError('invalid-request', `this grant is not one of ${provider} in this partition`);
      }
      await refresher.record(partition, grantId, claimId, outcome);
    }),

    async [Symbol.asyncDispose]() {
      stop.abort();
      refresher[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
      outbox[Symbol.dispose]();
      projection[Symbol.dispose]();
    },
  };
}

async function lastSequencesOf(connection: NatsConnection): Promise<{ vault: number; keys: number }> {
  const manager = await connection.jetstreamManager();
  const [vault, keys] = await Promise.all([
    manager.streams.info(streamNames.vault),
    manager.streams.info(streamNames.keys),
  ]);
  return { vault: vault.state.last_seq, keys: keys.state.last_seq };
}
