/**
 * How a sign-in goes from provider to provider: each once, in order. A failure at an optional provider, or an account
 * that is linked there, leaves it out; a failure at a required one ends the sign-in. Pure.
 */
import type { FailureCode } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import type { Chain, ChainFailure, Collected, CompleteChain, OpenChain } from './chain.ts';

export type LegStatus = 'next-leg' | 'complete' | 'failed';

export interface ChainRules {
  /** The provider whose leg comes next; none where the chain is complete or failed. */
  nextOf(chain: Chain): string | undefined;
  /** `principal`: whose chain it is, from its first leg on. */
  collect(chain: OpenChain, collected: Collected, principal: Principal): OpenChain | CompleteChain;
  /** The same chain where the failure has nothing to say any more. */
  fail(chain: Exclude<Chain, { status: 'linked' }>, provider: string, error: ChainFailure['error']): Chain;
  skipLinked(chain: OpenChain, isLinked: (provider: string) => boolean): OpenChain | CompleteChain;
}

/** @param order the providers of a sign-in; the first gives the identity, so it is never optional */
export function createChainRules(order: readonly string[], optional: readonly string[]): ChainRules {
  const orderOf = ({ link }: Chain): readonly string[] => (link === null ? order : [link]);

  const nextOf = (chain: Chain) =>
    chain.status === 'open' ? orderOf(chain).find((provider) => !isPassed(chain, provider)) : undefined;

  function advanced(chain: OpenChain): OpenChain | CompleteChain {
    const { principal } = chain;
    return principal === null || nextOf(chain) !== undefined
      ? chain
      : { ...chain, status: 'complete', principal };
  }

  return {
    nextOf,
    collect: (chain, collected, principal) =>
      advanced({ ...chain, principal, collected: [...chain.collected, collected] }),

    fail(chain, provider, error) {
      if (chain.link !== null || !optional.includes(provider))
        return { status: 'failed', link: chain.link, provider, error };
      // Another leg of this provider came back first, or the chain is over.
      if (chain.status !== 'open' || nextOf(chain) !== provider) return chain;
      return advanced({ ...chain, skipped: [...chain.skipped, { provider, reason: error }] });
    },

    skipLinked(chain, isLinked) {
      const linked = order.filter((provider) => !isPassed(chain, provider) && isLinked(provider));
      if (linked.length === 0) return chain;
      const skipped = linked.map((provider) => ({ provider, reason: 'linked' as const }));
      return advanced({ ...chain, skipped: [...chain.skipped, ...skipped] });
    },
  };
}

/** Whether this provider's leg is over: its tokens were got, or the chain went on without them. */
export function isPassed(
  { collected, skipped }: Pick<OpenChain, 'collected' | 'skipped'>,
  provider: string,
): boolean {
  return [...collected, ...skipped].some((passed) => passed.provider === provider);
}

export function isChainOf({ principal }: Pick<OpenChain, 'principal'>, { iss, sub }: Principal): boolean {
  return principal !== null && principal.iss === iss && principal.sub === sub;
}

export function statusOf({ status }: Chain): LegStatus {
  switch (status) {
    case 'open':
      return 'next-leg';
    case 'complete':
    case 'linked':
      return 'complete';
    case 'failed':
      return 'failed';
    default:
      return status satisfies never;
  }
}

/** @param error of the provider's answer at its callback (RFC 6749 section 4.1.2.1) */
export function errorOfCallback(error: string): ChainFailure['error'] {
  return error === 'access_denied' || error === 'temporarily_unavailable' ? error : 'server_error';
}

/** @param code why the code could not be exchanged */
export function errorOfFailure(code: FailureCode | string | undefined): ChainFailure['error'] {
  return code === 'upstream-refused' || code === 'invalid-request'
    ? 'server_error'
    : 'temporarily_unavailable';
}
