/**
 * The vault of one worker, put together: streams and local files, the log with its projection and outbox, sessions and
 * grants with all that happens to them, and the partitions that the worker owns.
 */
import { RefusedError } from '../schemas/failure.ts';
import { realmOf } from '../schemas/identity.ts';
import { sessionIdOf } from '../schemas/ids.ts';
import type { OpenAccountSession } from '../schemas/messages/consent.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import type { SessionEndedNotice } from '../schemas/messages/session-ended.ts';
import type { Secret } from '../schemas/secret.ts';
import { noticeSubject, streamNames, streamSubjects } from '../schemas/subjects.ts';
import { type AuthRecords, createAuthRecords } from './authorization/auth-records.ts';
import { openAuthStore } from './authorization/auth-store.ts';
import { type Consents, createConsents } from './authorization/consents.ts';
import { createSignIn, type SignIn } from './authorization/sign-in.ts';
import { createTokenUses, type TokenUses } from './authorization/token-uses.ts';
import { createCallerIdentification } from './caller.ts';
import { type CommandMemory, createCommandMemory } from './command-memory.ts';
import { VaultError } from './errors.ts';
import { startEviction } from './eviction.ts';
import { createExchangedTokens } from './exchange/exchanged-tokens.ts';
import { createExternalCallerVerifier } from './external-caller.ts';
import { createGrantIds } from './grant/grant-ids.ts';
import { createGrantStore } from './grant/grant-store.ts';
import { type AccountLinker, createAccountLinker } from './linking/account-linker.ts';
import { createSkipLinked, type SkipLinked } from './linking/linked-accounts.ts';
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
import { createOutboxWrites } from './outbox/outbox-writes.ts';
import { createHeldPartitions } from './ownership/held-partitions.ts';
import { openJetStreamLeaseStore } from './ownership/jetstream-lease-store.ts';
import { createLeaseClock } from './ownership/lease-clock.ts';
import { type Ownership, startOwnership } from './ownership/ownership.ts';
import { createProjectionFollower } from './projection/projection-follower.ts';
import { createRecordDelivered, type RecordDelivered } from './refresh/delivered-outcomes.ts';
import { startKeepAlive } from './refresh/keep-alive.ts';
import { createLastUses } from './refresh/last-uses.ts';
import { createProviderLimits, type ProviderLimitSettings } from './refresh/provider-limits.ts';
import { startRefreshSchedule } from './refresh/refresh-schedule.ts';
import { createRefresher } from './refresh/refresher.ts';
import { startUseRecords } from './refresh/use-records.ts';
import { startUpstreamRegistration } from './registration/upstream-registration.ts';
import { createRevocation } from './revocation/revocation.ts';
import { createUpstreamRevocation } from './revocation/upstream-revocation.ts';
import { createDataKeys } from './sealing/data-keys.ts';
import { createIdentityIndex } from './sealing/identity-index.ts';
import { createKeyRotation } from './sealing/key-rotation.ts';
import { openWrappedKeyStore } from './sealing/wrapped-key-store.ts';
import { createKeepRefreshToken } from './session/kept-refresh-token.ts';
import { createSessionCheck } from './session/session-check.ts';
import { createSessionEnd } from './session/session-end.ts';
import { createSessionIdentity } from './session/session-identity.ts';
import { createSessionOpener, type OpenSessionFromChain } from './session/session-opener.ts';
import { createSignOut, type SignOut } from './session/session-sign-out.ts';
import { createUpstreamLogouts, type UpstreamLogouts } from './session/upstream-logout.ts';
import { createAccessTokenSigner } from './signing/access-token-signer.ts';
import { createAccessTokenVerifier } from './signing/access-token-verifier.ts';
import { noSigningKeys, openSigningKeys, signingKeyName } from './signing/signing-keys.ts';
import { startTimedRotation } from './signing/timed-rotation.ts';
import type { Serving, VaultOptions } from './vault-options.ts';

export interface Vault extends AsyncDisposable {
  readonly description: InstanceDescription;
  readonly records: AuthRecords;
  readonly tokenUses: TokenUses;
  readonly signIn: SignIn;
  readonly findApprover: Consents['findApprover'];
  /** For a browser in which the session of this authorization server's grant was opened just now. */
  openAccountSession(partition: number, request: OpenAccountSession): Promise<{ accountSession: Secret }>;
  /** The providers that refuse to register Latchkey until an operator mends something. */
  findRefused(): Promise<readonly string[]>;
  readonly commands: CommandMemory;
  readonly findUpstreamTokens: LookUp;
  readonly skipLinked: SkipLinked;
  readonly openSession: OpenSessionFromChain;
  readonly linker: AccountLinker;
  readonly endSession: SignOut;
  readonly upstreamLogouts: UpstreamLogouts;
  readonly operator: OperatorCommands;
  /** @returns r || s in base64url */
  signAccessToken(partition: number, kid: string, signingInput: string): string;
  readonly recordRefreshOutcome: RecordDelivered;
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
  const manager = await whenItAnswers(() => connection.jetstreamManager());
  const lastSequenceOf = async (stream: string) => (await manager.streams.info(stream)).state.last_seq;

  const until = {
    log: await whenItAnswers(log.lastSequence),
    keys: await whenItAnswers(() => lastSequenceOf(streamNames.keys)),
  };
  let isSound = true;
  const onFatal = (error: VaultError) => {
    isSound = false;
    options.onFatal(error);
  };
  const files = await openLocalFiles({
    ...{ connection, folder, log, keyStore, until, now, linkedIdleMs },
    onDamaged: onFatal,
    onBuiltAnew: options.onBuiltAnew ?? (() => undefined),
    incarnations: streams.incarnations,
    lastSequences: async () => ({
      log: await lastSequenceOf(streamNames.vault),
      keys: await lastSequenceOf(streamNames.keys),
    }),
  });
  const { projection, keyTable } = files;
  const outbox = createOutboxWrites(files.outbox, onProblem);
  const dataKeys = createDataKeys({ keyRing, table: keyTable, store: keyStore });

  const stop = new AbortController();
  let ownership: Ownership | undefined;
  const held = createHeldPartitions({
    ...{ worker, log, projection, claimMs, now },
    signal: stop.signal,
    onLost(partition, error) {
      if (error.code !== 'ownership-lost') onFatal(error);
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
      if (owner === worker) return;
      if (held.has(partition)) ownership?.lose(partition);
      ownership?.taken(partition);
    },
    onBroken(cause) {
      if (cause instanceof VaultError) onFatal(cause);
      else onFatal(new VaultError('projection-failed', 'the projection cannot follow the log', { cause }));
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
    onFatal(new VaultError('stream-cut-off', message));
  };
  checkAfterReconnect(connection, assertNothingLost, stop.signal);

  const registration = startUpstreamRegistration({
    ...{ store, now, onProblem },
    providers: options.providers,
    registrations: options.registrations,
  });
  const providers = registration.requests;
  const index = createIdentityIndex(keyRing);
  const realm = realmOf(keyRing.instanceId);
  const grants = createGrantStore({ projection, dataKeys, claimEndsAfter: held.claimEndsAfter });
  const limits = createProviderLimits({ ...(options.refreshLimits ?? defaultRefreshLimits), now });
  const lastUses = createLastUses();
  const upstream = createUpstreamRevocation({
    limits,
    revokeAtProvider: (...given) => providers.revoke(...given),
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
    ...{ providers, writerOf, grants, dataKeys, outbox, log, limits, lastUses, revocation, claimMs },
    sequenceOf: (grantId) => projection.findGrant(grantId)!.sequence,
    // What nobody said is taken for the strictest.
    reuseOf: (provider) => options.refreshTokenReuse?.get(provider) ?? { policy: 'revokes' },
    onClientLost: registration.noteLost,
    onRefused: (partition, grant) => sessionIdentity.refused(partition, grant),
  });
  const tokenExchanges = options.tokenExchanges ?? [];
  const exchanged = createExchangedTokens({
    ...{ providers, exchanges: tokenExchanges, now, onProblem },
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

  const check = createSessionCheck({
    ...{ projection, index, now },
    partitions: streams.partitions,
    assertNotRefused: sessionIdentity.assertNotRefused,
  });
  const { assertOurs } = check;

  const forgetting = createForgetting({
    ...{ projection, dataKeys, index, writerOf, now, assertOurs },
    onSessionEnded: tellOfEnd,
    endConsents: consents.end,
  });
  const caughtUp = async () => {
    await follower.caughtUp({ log: 0, keys: await lastSequenceOf(streamNames.keys) });
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
    providers,
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
    providers,
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
    assertSession: (partition, { sub, tsid, client_id: clientId }) =>
      check.assertLive(partition, { principal: { iss: realm, sub }, sessionId: tsid, clientId }),
  });

  const signingKeyRotation = startTimedRotation({
    keys: signingKeys,
    ageMs: options.signingKeyMs ?? Number.POSITIVE_INFINITY,
    isResponsible: () => held.has(0),
    onProblem,
  });

  const records = createAuthRecords({ store, now });

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
      const principalKey = index.principalKey(principal);
      const assertSignedIn = () => {
        check.assertLive(partition, { principal, sessionId: sessionIdOf(grantId) });
        if (forgetting.isForgetting(principalKey))
          throw new RefusedError('session-ended', 'the session has ended');
      };
      const person = { principal, principalKey };
      const given = { approved, former };
      return { accountSession: await consents.openAccountSession(person, given, assertSignedIn) };
    },
    findRefused: registration.findRefused,
    commands: createCommandMemory(),
    findUpstreamTokens: createLookUp({
      ...{ projection, grants, refresher, dataKeys, grantIds, identify, lastUses, now, onProblem },
      exchanges: new Map(tokenExchanges.map((exchange) => [exchange.backend, exchange])),
      exchanged,
      confirm: sessionIdentity.confirm,
      refreshAheadSeconds: options.refreshAheadSeconds,
    }),

    skipLinked: createSkipLinked({ ...{ check, projection, index, now }, chains: signIn }),
    openSession,
    linker,
    upstreamLogouts,
    operator,

    endSession: createSignOut({ ...{ identify, projection, check, sessionEnd, revocation, writerOf, now } }),
    signAccessToken: sign,
    recordRefreshOutcome: createRecordDelivered({ ...{ writerOf, projection, revocation, refresher } }),

    evict: eviction.round,
    recordUses: useRecords.round,
    keepAlive: () => keepAlive?.round(),
    rotateSigningKeys: signingKeyRotation.round,

    own(serving) {
      ownership = startOwnership({
        ...{ worker, log, onProblem, isSound: () => isSound },
        partitions: streams.partitions,
        leases,
        clock: options.leaseClock ?? createLeaseClock({ monotonic: () => performance.now(), wall: now }),
        ...(options.ownershipTimes && { times: options.ownershipTimes }),
        handlers: {
          async take(ownerships) {
            const keys = await lastSequenceOf(streamNames.keys);
            await follower.caughtUp({ log: Math.max(...ownerships.map(({ epoch }) => epoch)), keys });
            for (const taken of ownerships) held.take(taken);
            await refresher.recover(ownerships.map(({ partition }) => partition));
          },
          expect: serving.expect,
          serve: serving.serve,
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
      registration[Symbol.dispose]();
      signingKeyRotation[Symbol.dispose]();
      eviction[Symbol.dispose]();
      schedule[Symbol.dispose]();
      keepAlive?.[Symbol.dispose]();
      useRecords[Symbol.dispose]();
      upstream[Symbol.dispose]();
      refresher[Symbol.dispose]();
      outbox[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
      files[Symbol.dispose]();
    },
  };
}
