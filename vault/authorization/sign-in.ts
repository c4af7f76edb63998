/**
 * The sign-in through a chain of providers, and the way through one of them to link an account there (OAuth 2.1
 * authorization code with PKCE at each). Its record says which of the two a chain is, and it stays that. A leg is found by its
 * state, belongs to one provider and one browser, and is used once (RFC 9700 sections 2.1 and 4.4); the code is
 * exchanged by the provider worker, and the tokens are kept before anything else can fail.
 */
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal, UpstreamAccount } from '../../schemas/identity.ts';
import { createLinkId, legIdOf, linkIdSchema } from '../../schemas/ids.ts';
import type { LegSecrets } from '../../schemas/messages/provider-requests.ts';
import type { ClientRegistration, RegisteredClient } from '../../schemas/provider.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { AuthStore } from './auth-store.ts';
import { createBrowserBinding, isBrowserBinding } from './browser-binding.ts';
import {
  type Chain,
  type ChainFailure,
  type Collected,
  chainSchema,
  type Leg,
  type LinkedChain,
  legLifetimeMs,
  legSchema,
  maxLegs,
  type OpenChain,
} from './chain.ts';
import {
  createChainRules,
  errorOfCallback,
  errorOfFailure,
  isChainOf,
  isPassed,
  type LegStatus,
  statusOf,
} from './chain-rules.ts';

/** What a provider worker does for a sign-in. `client`: as in the messages to it, where Latchkey registered itself. */
export interface ProviderSignIns {
  authorize(
    provider: string,
    at?: { worker: string; client: RegisteredClient },
  ): Promise<{ authorizationUrl: string; leg: LegSecrets }>;
  exchange(
    provider: string,
    leg: LegSecrets,
    parameters: Record<string, Secret>,
    client?: RegisteredClient | null,
  ): Promise<{ tokens: TokenSet; account: UpstreamAccount; registration: ClientRegistration }>;
  /** Best effort. */
  revoke(
    provider: string,
    tokens: TokenSet,
    registration: ClientRegistration,
    client?: RegisteredClient | null,
  ): Promise<void>;
}

export interface SignIn {
  beginLeg(
    interactionUid: string,
  ): Promise<{ provider: string; authorizationUrl: string; legId: string; browserBinding: Secret }>;
  completeLeg(
    request: {
      providers: readonly string[];
      parameters: Record<string, Secret>;
      browserBinding: Secret | null;
    },
    commandId: string,
  ): Promise<{ interactionUid: string; status: LegStatus }>;
  findChain(interactionUid: string): Promise<Chain>;
  /**
   * Passes over the providers at which this person has a linked account.
   * @throws RefusedError `not-found` the sign-in is not theirs
   */
  skipLinked(
    interactionUid: string,
    principal: Principal,
    isLinked: (provider: string) => boolean,
  ): Promise<LegStatus>;
  forgetChain(interactionUid: string): Promise<void>;
  /** The person does not want it any more: what it collected is removed here and, where the provider can, there. */
  abandonChain(interactionUid: string): Promise<void>;
  /** Begins the chain of a link, which has one leg. */
  beginLink(principal: Principal, provider: string): Promise<{ interactionUid: string }>;
  /** Its tokens lie in a grant now, or in none any more: they go out of the record. */
  endLink(linkId: string, end: LinkedChain | 'refused'): Promise<void>;
}

interface Options {
  readonly store: AuthStore;
  readonly providers: ProviderSignIns;
  /** The providers of the chain, in order; the first gives the identity. */
  readonly chain: readonly string[];
  /** Those of the chain without which a sign-in goes on; never the first. */
  readonly optional: readonly string[];
  readonly principalOf: (provider: string, subject: string) => Principal;
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
}

/** The time within which the provider's code is exchanged; the requester waits no longer. */
const keepPatienceMs = 20_000;
const keepPauseMs = 250;

const emptyChain: OpenChain = {
  ...{ status: 'open', link: null, principal: null },
  ...{ collected: [], skipped: [], legs: 0 },
};

export function createSignIn({
  store,
  providers,
  chain: order,
  optional,
  principalOf,
  now,
  onProblem,
}: Options): SignIn {
  const rules = createChainRules(order, optional);
  const { nextOf } = rules;

  async function readChain(uid: string): Promise<{ chain: Chain; revision: number }> {
    const record = await store.find('chain', uid);
    // A sign-in begins with its first leg; a link is begun for somebody.
    if (!record && linkIdSchema.safeParse(uid).success) throw unknownLeg();
    return record
      ? { chain: chainSchema.parse(record.value), revision: record.revision }
      : { chain: emptyChain, revision: 0 };
  }

  async function writeChain(uid: string, chain: Chain, revision: number): Promise<void> {
    await store.put('chain', uid, z.encode(chainSchema, chain), now() + legLifetimeMs, revision);
  }

  async function writeLeg(leg: Leg, expected?: number): Promise<void> {
    await store.put(
      'leg',
      leg.secrets.state.reveal(),
      z.encode(legSchema, leg),
      now() + legLifetimeMs,
      expected,
    );
  }

  /**
   * Goes on without an optional provider. Without another one the flow ends: what it collected is removed here and, where
   * the provider can, there.
   */
  async function fail(uid: string, provider: string, error: ChainFailure['error']): Promise<LegStatus> {
    const { chain, revision } = await readChain(uid);
    if (chain.status === 'linked') throw unknownLeg();
    const left = rules.fail(chain, provider, error);
    try {
      if (left !== chain) await writeChain(uid, left, revision);
    } catch (conflict) {
      if (isConflict(conflict)) return fail(uid, provider, error);
      throw conflict;
    }
    if (left.status === 'failed' && chain.status !== 'failed') chain.collected.forEach(revoke);
    return statusOf(left);
  }

  function revoke({ provider, tokens, registration }: Collected): void {
    providers.revoke(provider, tokens, registration).catch(onProblem);
  }

  async function exchange(leg: Leg, parameters: Record<string, Secret>): Promise<LegStatus> {
    const { interactionUid: uid, provider } = leg;
    const at = now();
    const refused = parameters.error?.reveal();
    // Whose `iss` is in it (RFC 9207 section 2.4) only the provider's worker can tell.
    if (refused !== undefined && parameters.iss === undefined)
      return fail(uid, provider, errorOfCallback(refused));
    let collected: Collected;
    try {
      const given = await providers.exchange(provider, leg.secrets, parameters);
      collected = { provider, at, ...given, collectedBy: leg.claimedBy };
    } catch (error) {
      const { code } = error as RefusedError;
      if (refused !== undefined && code === 'upstream-refused')
        return fail(uid, provider, errorOfCallback(refused));
      onProblem(error);
      return fail(uid, provider, errorOfFailure(code));
    }
    return keep(uid, collected);
  }

  /**
   * Nobody else has these tokens now: a bucket that does not answer is asked again. What has no place in the end is given
   * back to the provider.
   */
  async function keep(uid: string, collected: Collected): Promise<LegStatus> {
    const giveUpAt = now() + keepPatienceMs;
    for (let mayBeStored = false; ; ) {
      try {
        return await keepOnce(uid, collected, mayBeStored);
      } catch (error) {
        if (isConflict(error)) continue;
        if (!isUnavailable(error)) throw error;
        onProblem(error);
        mayBeStored = true;
        if (now() >= giveUpAt) {
          revoke(collected);
          throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, keepPauseMs));
    }
  }

  async function keepOnce(uid: string, collected: Collected, mayBeStored: boolean): Promise<LegStatus> {
    const { chain, revision } = await readChain(uid);
    // Another worker told the gateway of it, and the session has them now.
    if (revision === 0 && mayBeStored) throw unknownLeg();
    // The answer to an earlier attempt was lost.
    if (holds(chain, collected)) return statusOf(chain);
    if (chain.status !== 'open' || revision === 0 || nextOf(chain) !== collected.provider) {
      // The chain is over, or another leg of the same provider was faster; what this one got has no place.
      revoke(collected);
      throw unknownLeg();
    }
    const principal = chain.principal ?? principalOf(collected.provider, collected.account.subject);
    const kept = rules.collect(chain, collected, principal);
    await writeChain(uid, kept, revision);
    return statusOf(kept);
  }

  async function abandonChain(uid: string): Promise<void> {
    const { chain, revision } = await readChain(uid);
    if (revision === 0 || chain.link !== null || !('collected' in chain)) return;
    const failed: ChainFailure = {
      status: 'failed',
      link: null,
      provider: order[0]!,
      error: 'access_denied',
    };
    try {
      await writeChain(uid, failed, revision);
    } catch (error) {
      if (isConflict(error)) return abandonChain(uid);
      throw error;
    }
    chain.collected.forEach(revoke);
  }

  /** What a leg came to, where the worker that completed it did not live to write it down. */
  function outcomeIn(chain: Chain, provider: string): LegStatus | null {
    if ('collected' in chain && !isPassed(chain, provider)) return null;
    return statusOf(chain);
  }

  async function skipLinked(
    uid: string,
    principal: Principal,
    isLinked: (provider: string) => boolean,
  ): Promise<LegStatus> {
    const { chain, revision } = await readChain(uid);
    if (chain.status === 'failed') return 'failed';
    if (chain.status === 'linked' || chain.link !== null || !isChainOf(chain, principal)) throw unknownLeg();
    const left = chain.status === 'open' ? rules.skipLinked(chain, isLinked) : chain;
    try {
      if (left !== chain) await writeChain(uid, left, revision);
    } catch (error) {
      if (isConflict(error)) return skipLinked(uid, principal, isLinked);
      throw error;
    }
    return statusOf(left);
  }

  /** At the first provider that can be reached, as long as those before it are optional. */
  async function authorizeNext(uid: string) {
    const { chain, revision } = await readChain(uid);
    const provider = nextOf(chain);
    if (provider === undefined)
      throw new RefusedError('invalid-request', 'this sign-in or link has no open leg');
    assertTakesLeg(chain);
    try {
      return { chain, revision, provider, ...(await providers.authorize(provider)) };
    } catch (error) {
      onProblem(error);
      if ((await fail(uid, provider, 'temporarily_unavailable')) !== 'next-leg')
        throw new RefusedError('upstream-unavailable', `the provider ${provider} cannot be reached`);
      return authorizeNext(uid);
    }
  }

  /** With it the chain lives on: as long as its last leg. */
  async function countLeg(uid: string, read: { chain: Chain; revision: number }): Promise<void> {
    for (let { chain, revision } = read; chain.status === 'open'; ) {
      assertTakesLeg(chain);
      try {
        return await writeChain(uid, { ...chain, legs: chain.legs + 1 }, revision);
      } catch (error) {
        if (!isConflict(error)) throw error;
        ({ chain, revision } = await readChain(uid));
        // It has ended and is forgotten, which a leg cannot undo.
        if (revision === 0) throw unknownLeg();
      }
    }
  }

  return {
    async beginLeg(interactionUid) {
      const { chain, revision, provider, authorizationUrl, leg } = await authorizeNext(interactionUid);
      await countLeg(interactionUid, { chain, revision });
      const { binding, hash } = createBrowserBinding();
      await writeLeg({
        interactionUid,
        provider,
        secrets: leg,
        bindingHash: hash,
        claimedBy: null,
        outcome: null,
      });
      return {
        provider,
        authorizationUrl,
        legId: legIdOf(leg.state.reveal()),
        browserBinding: binding,
      };
    },

    async completeLeg({ providers: called, parameters, browserBinding }, commandId) {
      const state = parameters.state?.reveal();
      const record = state === undefined ? null : await store.find('leg', state);
      if (!record) throw unknownLeg();
      const leg = legSchema.parse(record.value);
      const { interactionUid, provider } = leg;
      if (!called.includes(provider)) {
        throw new RefusedError('invalid-request', 'the answer came to the callback of another provider');
      }
      if (!browserBinding || !isBrowserBinding(browserBinding, leg.bindingHash)) {
        throw new RefusedError('invalid-request', 'this browser did not begin the sign-in');
      }
      const { chain, revision } = await readChain(interactionUid);
      if (leg.claimedBy !== null) {
        if (leg.claimedBy !== commandId) throw unknownLeg();
        const status = leg.outcome ?? outcomeIn(chain, provider);
        if (status) return { interactionUid, status };
        throw new RefusedError('unavailable', 'this leg is being completed');
      }
      // Another leg of this provider came back first, or the chain is over.
      if (revision === 0 || nextOf(chain) !== provider) throw unknownLeg();
      await writeLeg({ ...leg, claimedBy: commandId }, record.revision).catch((error) => {
        if (!isConflict(error)) throw error;
        // Another attempt of the same command came in between, at another worker; asked again, it has the outcome.
        throw new RefusedError('unavailable', 'this leg is being completed');
      });
      const status = await exchange({ ...leg, claimedBy: commandId }, parameters);
      await writeLeg({ ...leg, claimedBy: commandId, outcome: status });
      return { interactionUid, status };
    },

    findChain: async (interactionUid) => (await readChain(interactionUid)).chain,
    forgetChain: (interactionUid) => store.delete('chain', interactionUid),

    ...{ abandonChain, skipLinked },

    async beginLink(principal, provider) {
      const interactionUid = createLinkId();
      await writeChain(interactionUid, { ...emptyChain, link: provider, principal }, 0);
      return { interactionUid };
    },

    async endLink(linkId, end) {
      const { chain, revision } = await readChain(linkId);
      if (chain.status !== 'complete' || chain.link === null) return;
      if (end === 'refused') await fail(linkId, chain.link, 'access_denied');
      else await writeChain(linkId, end, revision);
    },
  };
}

function assertTakesLeg(chain: Chain): void {
  if (chain.status === 'open' && chain.legs >= maxLegs)
    throw new RefusedError('invalid-request', `${maxLegs} legs of this sign-in or link were begun`);
}

function unknownLeg(): RefusedError {
  return new RefusedError(
    'not-found',
    'this step of the sign-in or link is unknown, was used, or took longer than 10 minutes',
  );
}

function isUnavailable(error: unknown): boolean {
  return error instanceof RefusedError && error.code === 'unavailable';
}

function holds(chain: Chain, { provider, collectedBy }: Collected): boolean {
  if (!('collected' in chain)) return false;
  return chain.collected.some((held) => held.provider === provider && held.collectedBy === collectedBy);
}

function isConflict(error: unknown): boolean {
  return error instanceof RefusedError && error.code === 'conflict';
}
