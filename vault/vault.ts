/** The vault of one worker, put together: on its event store, sessions and grants with all that happens to them. */
import { RefusedError } from '../schemas/failure.ts';
import { realmOf } from '../schemas/identity.ts';
import { sessionIdOf } from '../schemas/ids.ts';
import type { OpenAccountSession } from '../schemas/messages/consent.ts';
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';
import type { SessionEndedNotice } from '../schemas/messages/session-ended.ts';
import type { Secret } from '../schemas/secret.ts';
import { noticeSubject } from '../schemas/subjects.ts';
import { type AuthRecords, createAuthRecords } from './authorization/auth-records.ts';
import { openAuthStore } from './authorization/auth-store.ts';
import { type Consents, createConsents } from './authorization/consents.ts';
import { createSignIn, type SignIn } from './authorization/sign-in.ts';
import { createTokenUses, type TokenUses } from './authorization/token-uses.ts';
import { createCallerIdentification } from './caller.ts';
import { type CommandMemory, createCommandMemory } from './command-memory.ts';
import { openEventStore } from './event-store.ts';
import { startEviction } from './eviction.ts';
import { createExchangedTokens } from './exchange/exchanged-tokens.ts';
import { createExternalCallerVerifier } from './external-caller.ts';
import { createGrantIds } from './grant/grant-ids.ts';
import { createGrantStore } from './grant/grant-store.ts';
import { type AccountLinker, createAccountLinker } from './linking/account-linker.ts';
import { createSkipLinked, type SkipLinked } from './linking/linked-accounts.ts';
import { whenItAnswers } from './log/patience.ts';
import { createLookUp, type LookUp } from './look-up.ts';
import { createForgetting } from './operator/forget-user.ts';
import { createGrantAdministration } from './operator/grant-administration.ts';
import { createOperatorCommands, type OperatorCommands } from './operator/operator-commands.ts';
import type { Ownership } from './ownership/ownership.ts';
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
import { createIdentityIndex } from './sealing/identity-index.ts';
import { createKeyRotation } from './sealing/key-rotation.ts';
import { createKeepRefreshToken } from './session/kept-refresh-token.ts';
import { createSessionCheck } from './session/session-check.ts';
import { createSessionEnd } from './session/session-end.ts';
import { createSessionIdentity } from './session/session-identity.ts';
import { createSessionOpener, type OpenSessionFromChain } from './session/session-opener.ts';
import { createSignOut, type SignOut } from './session/session-sign-out.ts';
import { createUpstreamLogouts, type UpstreamLogouts } from './session/upstream-logout.ts';
import { createAccessTokenSigner } from './signing/access-token-signer.ts';
import { createAccessTokenVerifier } from './signing/access-token-verifier.ts';
import { startTimedRotation } from './signing/timed-rotation.ts';
import { defaultClaimMs, type Serving, type VaultOptions } from './vault-options.ts';

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
    worker,
    now,
    onProblem,
    linkedIdleMs,
    claimMs = defaultClaimMs,
  } = options;
  const store = await whenItAnswers(() => openAuthStore({ connection, keyRing, now }));
  const eventStore = await openEventStore(options);
  const { log, projection, outbox, keyStore, keyTable, dataKeys, signingKeys, held } = eventStore;
  const { writerOf } = held;

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
    partitions: eventStore.partitions,
    assertNotRefused: sessionIdentity.assertNotRefused,
  });
  const { assertOurs } = check;

  const forgetting = createForgetting({
    ...{ projection, dataKeys, index, writerOf, now, assertOurs },
    onSessionEnded: tellOfEnd,
    endConsents: consents.end,
  });
  const operator = createOperatorCommands({
    ...{ worker, realm, keyRing, index, dataKeys, forgetting, assertOurs, signingKeys, consents },
    caughtUp: eventStore.keysCaughtUp,
    grants: createGrantAdministration({
      ...{ projection, revocation, writerOf },
      keptAliveMs: options.keepLinkedAlive ? linkedIdleMs : 0,
    }),
    rotation: createKeyRotation({
      ...{ keyRing, caughtUp: eventStore.keysCaughtUp, table: keyTable, store: keyStore, auth: store },
      shares: eventStore.partitions,
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
    partitions: eventStore.partitions,
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
    partitions: eventStore.partitions,
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
        ...{ instanceId: keyRing.instanceId, issuer, partitions: eventStore.partitions },
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
      ...{ projection, grants, refresher, dataKeys, grantIds, index, identify, lastUses, now, onProblem },
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

    own: (serving) => eventStore.own(serving, refresher.recover),

    async [Symbol.asyncDispose]() {
      eventStore.stop();
      registration[Symbol.dispose]();
      signingKeyRotation[Symbol.dispose]();
      eviction[Symbol.dispose]();
      schedule[Symbol.dispose]();
      keepAlive?.[Symbol.dispose]();
      useRecords[Symbol.dispose]();
      upstream[Symbol.dispose]();
      refresher[Symbol.dispose]();
      await eventStore[Symbol.asyncDispose]();
    },
  };
}
