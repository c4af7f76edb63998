import type { NatsConnection } from 'nats';
import type { RefreshTokenReuse } from '../schemas/config/refresh-token-reuse.ts';
import { RefusedError } from '../schemas/failure.ts';
import { type Principal, partitionOf, realmOf } from '../schemas/identity.ts';
import { sessionIdOf } from '../schemas/ids.ts';
import type { OpenAccountSession } from '../schemas/messages/consent.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import type { RefreshOutcomeDelivery } from '../schemas/messages/refresh-outcome.ts';
import type { SessionEndedNotice } from '../schemas/messages/session-ended.ts';
import type { EndSessionRequest } from '../schemas/messages/sign-in.ts';
import type { Secret } from '../schemas/secret.ts';
import { noticeSubject, streamNames, streamSubjects } from '../schemas/subjects.ts';
import { type AuthRecords, createAuthRecords } from './authorization/auth-records.ts';
import { openAuthStore } from './authorization/auth-store.ts';
import type { LegStatus } from './authorization/chain-rules.ts';
import { type Consents, createConsents } from './authorization/consents.ts';
import { createSignIn, type ProviderSignIns, type SignIn } from './authorization/sign-in.ts';
import { createTokenUses, type TokenUses } from './authorization/token-uses.ts';
import { createCallerIdentification } from './caller.ts';
import { type CommandMemory, createCommandMemory } from './command-memory.ts';
import { VaultError } from './errors.ts';
import { startEviction } from './eviction.ts';
import {
  createExchangedTokens,
  type ProviderExchanges,
  type TokenExchange,
} from './exchange/exchanged-tokens.ts';
import { createExternalCallerVerifier, type ExternalIssuer } from './external-caller.ts';
import { createGrantIds } from './grant/grant-ids.ts';
import { createGrantStore } from './grant/grant-store.ts';
import { type AccountLinker, createAccountLinker } from './linking/account-linker.ts';
import { openLocalFiles } from './local-files.ts';
import { openJetStreamEventLog } from './log/jetstream-event-log.ts';
import { whenItAnswers } from './log/patience.ts';
import { checkAfterReconnect } from './log/reconnects.ts';
import { followStream } from './log/stream-follower.ts';
import { openStreams } from './log/streams.ts';
import { createLookUp, type LookUp } from './look-up.ts';
import { createForgetting } from './operator/forget-user.ts';
import { createGrantAdministration } from './operator/grant-administration.ts';
import { createOperatorCommands, type OperatorCommands } from './operator/operator-commands.ts';
import { createHeldPartitions } from './ownership/held-partitions.ts';
import { openJetStreamLeaseStore } from './ownership/jetstream-lease-store.ts';
import { createLeaseClock, type LeaseClock } from './ownership/lease-clock.ts';
import { type Ownership, type OwnershipTimes, startOwnership } from './ownership/ownership.ts';
import { createProjectionFollower } from './projection/projection-follower.ts';
import { startKeepAlive } from './refresh/keep-alive.ts';
import { createLastUses } from './refresh/last-uses.ts';
import { createProviderLimits, type ProviderLimitSettings } from './refresh/provider-limits.ts';
import { startRefreshSchedule } from './refresh/refresh-schedule.ts';
import { createRefresher, type ProviderRefreshes } from './refresh/refresher.ts';
import { startUseRecords } from './refresh/use-records.ts';
import { createRevocation } from './revocation/revocation.ts';
import { createUpstreamRevocation, type RevocationFailure } from './revocation/upstream-revocation.ts';
import { createDataKeys } from './sealing/data-keys.ts';
import { createIdentityIndex } from './sealing/identity-index.ts';
import type { KeyRing } from './sealing/key-ring.ts';
import { createKeyRotation } from './sealing/key-rotation.ts';
import { openWrappedKeyStore } from './sealing/wrapped-key-store.ts';
import { createKeepRefreshToken } from './session/kept-refresh-token.ts';
import type { EndSession } from './session/session.ts';
import { createSessionEnd } from './session/session-end.ts';
import { createSessionIdentity } from './session/session-identity.ts';
import { createSessionOpener, type OpenSessionFromChain } from './session/session-opener.ts';
import {
  createUpstreamLogouts,
  type ProviderLogouts,
  type UpstreamLogouts,
} from './session/upstream-logout.ts';
import { createAccessTokenSigner } from './signing/access-token-signer.ts';
import { createAccessTokenVerifier } from './signing/access-token-verifier.ts';
import { noSigningKeys, openSigningKeys, signingKeyName } from './signing/signing-keys.ts';
import { startTimedRotation } from './signing/timed-rotation.ts';

export interface Vault extends AsyncDisposable {
  readonly description: InstanceDescription;
  readonly records: AuthRecords;
  readonly tokenUses: TokenUses;
  readonly signIn: SignIn;
  readonly findApprover: Consents['findApprover'];
  /** For a browser in which the session of this authorization server's grant was opened just now. */
  openAccountSession(partition: number, request: OpenAccountSession): Promise<{ accountSession: Secret }>;
  readonly commands: CommandMemory;
  readonly findUpstreamTokens: LookUp;
  /** Passes over the providers of a chain at which its person has a linked account that still serves. */
  skipLinked(
    partition: number,
    request: { interactionUid: string; principal: Principal },
  ): Promise<{ status: LegStatus }>;
  readonly openSession: OpenSessionFromChain;
  readonly linker: AccountLinker;
  /** Takes the session of an authorization server's grant away, with all that it holds. */
  endSession(partition: number, request: EndSessionRequest): Promise<{ status: 'ended' | 'not-found' }>;
  readonly upstreamLogouts: UpstreamLogouts;
  readonly operator: OperatorCommands;
  /** @returns r || s in base64url */
  signAccessToken(partition: number, kid: string, signingInput: string): string;
  /** `provider`: whose worker delivers it; it can speak for grants of no other. Durable when it resolves. */
  recordRefreshOutcome(partition: number, provider: string, delivery: RefreshOutcomeDelivery): Promise<void>;
  /** A round of eviction, as the vault makes them by itself. @returns how many sessions and grants went */
  evict(): Promise<number>;
  /** A round of writing down which linked accounts are used, as the vault makes them by itself. @returns how many */
  recordUses(): Promise<number>;
  /** A round of keeping linked accounts alive, as the vault makes them by itself. */
  keepAlive(): void;
  /** A round of rotating signing keys by their age, as the vault makes them by itself. */
  rotateSigningKeys(): Promise<void>;
  /** Begins to take partitions; ends, in order, when the result is disposed. */
  own(serving: Serving): Ownership;
}

/** How the partitions that this worker owns come to be answered for. */
export interface Serving {
  serve(partition: number): unknown;
  /** Resolves when no request of this partition is taken any more. */
  release(partition: number): Promise<void>;
}

export interface VaultOptions {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Whose tokens are accepted in place of those that are signed here. */
  readonly external?: ExternalIssuer;
  /** The longest life of an access token that is signed, seconds. */
  readonly maxAccessTokenSeconds: number;
  /** A signing key is rotated at this age; by default at none. */
  readonly signingKeyMs?: number;
  /** The providers of the sign-in chain, in order. */
  readonly chain: readonly string[];
  /** Those of the chain without which a sign-in goes on. */
  readonly optional?: readonly string[];
  /** The provider whose final no ends sessions; by default none is asked. */
  readonly identityProvider?: string;
  /** The providers at which accounts can be linked. */
  readonly linkable: readonly string[];
  /** So long after its last use a linked account goes, where its provider did not say how long it lives. */
  readonly linkedIdleMs: number;
  /** Whether refresh tokens of linked accounts are used before they expire of idleness. */
  readonly keepLinkedAlive: boolean;
  readonly providers: ProviderSignIns & ProviderRefreshes & ProviderExchanges & ProviderLogouts;
  /** What backends are sent in exchange for tokens of the providers; by default nothing. */
  readonly tokenExchanges?: readonly TokenExchange[];
  /** A token with less life than this is refreshed while it is still served, seconds. */
  readonly refreshAheadSeconds: number;
  /** A grant that was used within this time is refreshed ahead of its expiry without being asked for, seconds. */
  readonly refreshUsedWithinSeconds?: number;
  readonly refreshLimits?: ProviderLimitSettings;
  /** Holds `projection.sqlite` and `outbox.sqlite`. */
  readonly folder: string;
  /** The boot id of this worker. */
  readonly worker: string;
  /** Replicas of the streams that are made; 3 in a cluster. */
  readonly replicas: number;
  readonly now: () => number;
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  /** Tokens that were taken away here are still good at their provider. */
  readonly onRevocationFailed: (failure: RevocationFailure) => void;
  readonly ownershipTimes?: OwnershipTimes;
  /** By default the larger of what the monotonic clock and `now` say. */
  readonly leaseClock?: LeaseClock;
  /** A claim without an outcome may be taken over after this time. */
  readonly claimMs?: number;
  /** The same for the use of a code or refresh token of our own. */
  readonly tokenUseClaimMs?: number;
  /** For each provider what it does with a refresh token that was used before. */
  readonly refreshTokenReuse?: ReadonlyMap<string, RefreshTokenReuse>;
  /** The projection cannot be written, or the log not be read: this worker must stop. */
  readonly onFatal: (error: VaultError) => void;
}

const defaultRefreshLimits: ProviderLimitSettings = { concurrency: 256, perSecond: 200 };

export async function openVault(options: VaultOptions): Promise<Vault> {
  const {
    connection,
    keyRing,
    issuer,
    audiences,
    folder,
    worker,
    now,
    onProblem,
    linkedIdleMs,
    claimMs = 30_000,
  } = options;
  const streams = await whenItAnswers(() => openStreams(connection, keyRing.instanceId, options.replicas));
  const keyStore = await whenItAnswers(() => openWrappedKeyStore(connection));
  const keptMs = options.maxAccessTokenSeconds * 1000;
  const signingKeys =
    options.chain.length > 0
      ? await whenItAnswers(() => openSigningKeys({ store: keyStore, keyRing, keptMs, now }))
      : noSigningKeys;
  const store = await whenItAnswers(() => openAuthStore({ connection, keyRing, now }));
  const log = await whenItAnswers(() =>
    openJetStreamEventLog({ connection, incarnation: streams.incarnations.log }),
  );
  const leases = await whenItAnswers(() => openJetStreamLeaseStore(connection));

  const until = {
    log: await whenItAnswers(log.lastSequence),
    keys: (await whenItAnswers(() => lastSequencesOf(connection))).keys,
  };
  const files = await openLocalFiles({
    ...{ connection, folder, log, keyStore, until, now, linkedIdleMs },
    onDamaged: options.onFatal,
    incarnations: streams.incarnations,
    lastSequences: () => lastSequencesOf(connection),
  });
  const { projection, keyTable, outbox } = files;
  const dataKeys = createDataKeys({ keyRing, table: keyTable, store: keyStore });

  const stop = new AbortController();
  let ownership: Ownership | undefined;
  const held = createHeldPartitions({
    ...{ worker, log, projection, claimMs, now },
    signal: stop.signal,
    onLost(partition, error) {
      if (error.code !== 'ownership-lost') options.onFatal(error);
      ownership?.lose(partition);
    },
  });
  const { writerOf } = held;
  const loadSigningKeys = (wrapped: Uint8Array) => {
    try {
      signingKeys.load(wrapped);
    } catch (error) {
      // Those that it has are good; a restart reads them anew.
      onProblem(error);
    }
  };
  const follower = createProjectionFollower({
    projection,
    keyTable,
    log,
    onKey: dataKeys.forget,
    followKeys: (afterSequence, onKey, signal) =>
      followStream(
        connection,
        { stream: streamNames.keys, filterSubject: streamSubjects.keys, afterSequence },
        ({ subject, data, seq }) => {
          const name = subject.split('.')[2]!;
          if (name === signingKeyName && data.length > 0) loadSigningKeys(data);
          onKey(name, data, seq);
        },
        signal,
      ),
    // A lease says it first; the log is what counts.
    onOwner(partition, owner) {
      if (owner !== worker && held.has(partition)) ownership?.lose(partition);
    },
    onBroken(cause) {
      if (cause instanceof VaultError) options.onFatal(cause);
      else
        options.onFatal(
          new VaultError('projection-failed', 'the projection cannot follow the log', { cause }),
        );
    },
  });
  // Before that it would take partitions that it cannot answer for.
  await follower.caughtUp(until);

  /** Whose marker is older than ours must be has lost it: then this worker knows of things that the log does not. */
  async function lostMarkers(): Promise<boolean> {
    const newest = held.newest();
    if (!newest) return false;
    const owner = await log.findOwner(newest.partition);
    return owner === null || owner.epoch < newest.epoch;
  }

  const assertNothingLost = async () => {
    if (!(await lostMarkers()) && !(await files.areAhead())) return;
    const message =
      'the streams of this NATS lack what this worker has read there before: start again, so that it reads them anew';
    options.onFatal(new VaultError('stream-cut-off', message));
  };
  checkAfterReconnect(connection, assertNothingLost, stop.signal);

  const index = createIdentityIndex(keyRing);
  const realm = realmOf(keyRing.instanceId);
  const grants = createGrantStore({ projection, dataKeys, claimEndsAfter: held.claimEndsAfter });
  const limits = createProviderLimits({ ...(options.refreshLimits ?? defaultRefreshLimits), now });
  const lastUses = createLastUses();
  const upstream = createUpstreamRevocation({
    limits,
    revokeAtProvider: (...given) => options.providers.revoke(...given),
    onFailed: options.onRevocationFailed,
  });
  const revocation = createRevocation({
    ...{ projection, grants, log, upstream, now },
    onGone(grantId) {
      refresher.abandon(grantId);
      exchanged.forget(grantId);
    },
  });
  const refresher = createRefresher({
    ...options,
    ...{ writerOf, grants, dataKeys, outbox, log, limits, lastUses, revocation, claimMs },
    sequenceOf: (grantId) => projection.findGrant(grantId)!.sequence,
    // What nobody said is taken for the strictest.
    reuseOf: (provider) => options.refreshTokenReuse?.get(provider) ?? { policy: 'revokes' },
    onRefused: (partition, grant) => sessionIdentity.refused(partition, grant),
  });
  const tokenExchanges = options.tokenExchanges ?? [];
  const exchanged = createExchangedTokens({
    ...{ providers: options.providers, exchanges: tokenExchanges, now, onProblem },
    idTokenOf: (grantId) => grants.find(grantId)?.tokens.idToken ?? null,
  });
  const useRecords = startUseRecords({ projection, lastUses, grants, writerOf, now, onProblem });
  const keepAlive = options.keepLinkedAlive
    ? startKeepAlive({
        ...{ projection, lastUses, refresher, linkedIdleMs, now, onProblem },
        partitions: held.partitions,
      })
    : null;
  const schedule = startRefreshSchedule({
    ...{ projection, lastUses, refresher, now, onProblem },
    random: options.random,
    partitions: held.partitions,
    aheadMs: options.refreshAheadSeconds * 1000,
    usedWithinMs: (options.refreshUsedWithinSeconds ?? 900) * 1000,
  });

  function tellOfEnd(sessionId: string): void {
    const notice: SessionEndedNotice = { sessionId };
    try {
      connection.publish(noticeSubject('session-ended'), Buffer.from(JSON.stringify(notice)));
    } catch (error) {
      // Gateways ask at every request.
      onProblem(error);
    }
  }
  const consents = createConsents({ store, now });
  const sessionEnd = createSessionEnd({
    ...{ projection, grants },
    onEnded({ sessionId, principalKey, reason }) {
      tellOfEnd(sessionId);
      // A client that gives its token back, and a session that had its time, say nothing against the person.
      if (reason === null || reason === 'revoked') return;
      if (projection.holdingsOf(principalKey).sessions.length > 0) return;
      const ending = reason === 'upstream-logout' ? consents.signOut : consents.end;
      ending(principalKey).catch(onProblem);
    },
  });
  const grantIds = createGrantIds(index);
  const sessionIdentity = createSessionIdentity({
    ...{ projection, grantIds, refresher, lastUses, sessionEnd, revocation, writerOf, now, onProblem },
    provider: options.identityProvider ?? null,
  });
  const eviction = startEviction({
    ...{ projection, grants, sessionEnd, lastUses, linkedIdleMs, outbox, now, onProblem },
    random: options.random,
    writers: held.writers,
  });

  const assertOurs = (partition: number, principal: Principal): void => {
    if (partitionOf(principal, streams.partitions) !== partition) {
      throw new RefusedError('invalid-request', 'this principal is not of this partition');
    }
  };

  const forgetting = createForgetting({
    ...{ projection, dataKeys, index, writerOf, now, assertOurs },
    onSessionEnded: tellOfEnd,
    endConsents: consents.end,
  });
  const caughtUp = async () => {
    const last = await lastSequencesOf(connection);
    await follower.caughtUp({ log: 0, keys: last.keys });
  };
  const operator = createOperatorCommands({
    ...{ worker, realm, keyRing, index, dataKeys, forgetting, caughtUp, assertOurs, signingKeys, consents },
    grants: createGrantAdministration({
      ...{ projection, revocation, writerOf },
      keptAliveMs: options.keepLinkedAlive ? linkedIdleMs : 0,
    }),
    rotation: createKeyRotation({
      ...{ keyRing, caughtUp, table: keyTable, store: keyStore, auth: store },
      shares: streams.partitions,
    }),
    holdsAnything(principalKey) {
      const { sessions, grants } = projection.holdingsOf(principalKey);
      return sessions.length + grants.length > 0;
    },
  });

  const upstreamLogouts = createUpstreamLogouts({
    ...{ store, index, grantIds, projection, sessionEnd, revocation, writerOf, now },
    told: options.chain,
    identityProvider: options.chain[0],
    partitions: streams.partitions,
    providers: options.providers,
  });

  const openSession = createSessionOpener({
    catchUp: upstreamLogouts.catchUp,
    projection,
    grants,
    dataKeys,
    index,
    log,
    writerOf,
    now,
    chainOf: (interactionUid) => signIn.findChain(interactionUid),
    forgetChain: (interactionUid) => signIn.forgetChain(interactionUid),
    isForgetting: forgetting.isForgetting,
    assertOurs,
    keepRefreshToken: createKeepRefreshToken({
      ...{ projection, grants },
      reuse: options.refreshTokenReuse ?? new Map(),
    }),
  });

  const signIn = createSignIn({
    store,
    providers: options.providers,
    chain: options.chain,
    optional: options.optional ?? [],
    principalOf: (provider, subject) => ({ iss: realm, sub: index.userId(provider, subject) }),
    now,
    onProblem,
  });

  const { external } = options;
  const identify = createCallerIdentification({
    ...{ projection, index, now },
    partitions: streams.partitions,
    assertNotRefused: sessionIdentity.assertNotRefused,
    verify: external
      ? createExternalCallerVerifier({ ...external, now })
      : createAccessTokenVerifier({ keys: signingKeys, issuer, realm, audiences, now }),
  });
  const linker = createAccountLinker({
    ...{ identify, projection, grants, revocation, dataKeys, index, writerOf, now, onProblem },
    chains: signIn,
    providers: options.linkable,
    isForgetting: forgetting.isForgetting,
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
      sessionIdentity.assertNotRefused(partition, { sessionId: tsid, principalKey });
    },
  });

  const signingKeyRotation = startTimedRotation({
    keys: signingKeys,
    ageMs: options.signingKeyMs ?? Number.POSITIVE_INFINITY,
    isResponsible: () => held.has(0),
    onProblem,
  });

  const records = createAuthRecords({ store, now });

  /** null: it is not there, or not theirs. */
  async function sessionToEnd(
    partition: number,
    request: EndSessionRequest,
  ): Promise<{ sessionId: string | null; reason: EndSession['reason'] }> {
    if ('accessToken' in request) {
      const { sessionId } = await identify(partition, request.accessToken);
      const theirs = sessionId !== null && projection.findSession(sessionId)?.clientId === request.clientId;
      return { sessionId: theirs ? sessionId : null, reason: 'revoked' };
    }
    const { principal, grantId, reason } = request;
    assertOurs(partition, principal);
    const sessionId = sessionIdOf(grantId);
    const theirs = projection.findSession(sessionId)?.principalKey === index.principalKey(principal);
    return { sessionId: theirs ? sessionId : null, reason };
  }

  return {
    get description() {
      return {
        ...{ instanceId: keyRing.instanceId, issuer, partitions: streams.partitions },
        realm: external?.rules.issuer ?? realm,
        signingKeys: [...signingKeys.publicKeys],
      };
    },
    records,
    tokenUses: createTokenUses({
      ...{ records, store, now },
      ...(options.tokenUseClaimMs !== undefined && { claimMs: options.tokenUseClaimMs }),
    }),
    signIn,
    findApprover: consents.findApprover,
    async openAccountSession(partition, { principal, grantId, approved, former }) {
      assertOurs(partition, principal);
      const sessionId = sessionIdOf(grantId);
      const principalKey = index.principalKey(principal);
      const assertSignedIn = () => {
        const session = projection.findSession(sessionId);
        const lives = session?.principalKey === principalKey && session.endsAt > now();
        if (!lives || forgetting.isForgetting(principalKey))
          throw new RefusedError('session-ended', 'the session has ended');
        sessionIdentity.assertNotRefused(partition, { sessionId, principalKey });
      };
      const person = { principal, principalKey };
      const given = { approved, former };
      return { accountSession: await consents.openAccountSession(person, given, assertSignedIn) };
    },
    commands: createCommandMemory(),
    findUpstreamTokens: createLookUp({
      ...{ projection, grants, refresher, dataKeys, grantIds, identify, lastUses, now, onProblem },
      exchanges: new Map(tokenExchanges.map((exchange) => [exchange.backend, exchange])),
      exchanged,
      confirm: sessionIdentity.confirm,
      refreshAheadSeconds: options.refreshAheadSeconds,
    }),

    async skipLinked(partition, { interactionUid, principal }) {
      assertOurs(partition, principal);
      const principalKey = index.principalKey(principal);
      const at = now();
      const isLinked = (provider: string) => {
        const grant = projection.findGrant(index.linkedGrantId(principalKey, provider));
        if (grant === null || grant.refreshStatus === 'reauth-required') return false;
        return grant.refreshable || grant.expiresAt === null || grant.expiresAt > at;
      };
      return { status: await signIn.skipLinked(interactionUid, principal, isLinked) };
    },

    openSession,
    linker,
    upstreamLogouts,
    operator,

    async endSession(partition, request) {
      const { sessionId, reason } = await sessionToEnd(partition, request);
      if (sessionId === null) return { status: 'not-found' };
      const gone = await sessionEnd.revoke(writerOf(partition), sessionId, now(), reason);
      revocation.followUp(gone ?? []);
      return { status: gone ? 'ended' : 'not-found' };
    },

    signAccessToken: sign,

    async recordRefreshOutcome(partition, provider, delivery) {
      // First of all: what another worker may have read already is not "not found" here.
      writerOf(partition);
      if (await revocation.takeLate(partition, provider, delivery)) return;
      const grant = projection.findGrant(delivery.grantId);
      if (!grant) throw new RefusedError('not-found', 'there is no such grant');
      if (grant.provider !== provider || grant.partition !== partition) {
        throw new RefusedError('invalid-request', `this grant is not one of ${provider} in this partition`);
      }
      await refresher.record(partition, delivery);
    },

    evict: eviction.round,
    recordUses: useRecords.round,
    keepAlive: () => keepAlive?.round(),
    rotateSigningKeys: signingKeyRotation.round,

    own(serving) {
      ownership = startOwnership({
        ...{ worker, log, onProblem },
        partitions: streams.partitions,
        leases,
        clock: options.leaseClock ?? createLeaseClock({ monotonic: () => performance.now(), wall: now }),
        ...(options.ownershipTimes && { times: options.ownershipTimes }),
        handlers: {
          async take(ownerships) {
            const { keys } = await lastSequencesOf(connection);
            await follower.caughtUp({ log: Math.max(...ownerships.map(({ epoch }) => epoch)), keys });
            for (const taken of ownerships) held.take(taken);
            await refresher.recover(ownerships.map(({ partition }) => partition));
          },
          serve: (partition) => void serving.serve(partition),
          async release(partition) {
            await serving.release(partition);
            await held.release(partition);
          },
          reaffirm: (partition) => writerOf(partition).reaffirm(),
        },
      });
      return ownership;
    },

    async [Symbol.asyncDispose]() {
      stop.abort();
      signingKeyRotation[Symbol.dispose]();
      eviction[Symbol.dispose]();
      schedule[Symbol.dispose]();
      keepAlive?.[Symbol.dispose]();
      useRecords[Symbol.dispose]();
      upstream[Symbol.dispose]();
      refresher[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
      files[Symbol.dispose]();
    },
  };
}

async function lastSequencesOf(connection: NatsConnection): Promise<{ log: number; keys: number }> {
  const manager = await connection.jetstreamManager();
  const [vault, keys] = await Promise.all([
    manager.streams.info(streamNames.vault),
    manager.streams.info(streamNames.keys),
  ]);
  return { log: vault.state.last_seq, keys: keys.state.last_seq };
}
