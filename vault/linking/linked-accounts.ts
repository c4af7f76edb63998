/** Which accounts a person has linked that still serve: a sign-in does not lead through their providers. */
import type { Principal } from '../../schemas/identity.ts';
import type { LegStatus } from '../authorization/chain-rules.ts';
import type { SignIn } from '../authorization/sign-in.ts';
import type { Projection } from '../projection/projection.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { SessionCheck } from '../session/session-check.ts';

/** Passes over the providers of a chain at which its person has a linked account that still serves. */
export type SkipLinked = (
  partition: number,
  request: { interactionUid: string; principal: Principal },
) => Promise<{ status: LegStatus }>;

interface Options {
  readonly check: Pick<SessionCheck, 'assertOurs'>;
  readonly projection: Pick<Projection, 'findGrant'>;
  readonly index: Pick<IdentityIndex, 'principalKey' | 'linkedGrantId'>;
  readonly chains: Pick<SignIn, 'skipLinked'>;
  readonly now: () => number;
}

export function createSkipLinked({ check, projection, index, chains, now }: Options): SkipLinked {
  return async (partition, { interactionUid, principal }) => {
    check.assertOurs(partition, principal);
    const principalKey = index.principalKey(principal);
    const at = now();
    const isLinked = (provider: string) => {
      const grant = projection.findGrant(index.linkedGrantId(principalKey, provider));
      if (grant === null || grant.refreshStatus === 'reauth-required') return false;
      return grant.refreshable || grant.expiresAt === null || grant.expiresAt > at;
    };
    return { status: await chains.skipLinked(interactionUid, principal, isLinked) };
  };
}
