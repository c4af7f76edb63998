/**
 * Links an account at a provider to the person who is calling, and unlinks it. A link is confirmed by the person whose
 * chain it was and by nobody else, becomes a grant once, and another account does not take the place of a linked one.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { Chain, CompleteChain } from '../authorization/chain.ts';
import type { SignIn } from '../authorization/sign-in.ts';
import type { IdentifyCaller, LiveCaller } from '../caller.ts';
import type { LinkGrant } from '../grant/commands.ts';
import { isOtherAccount } from '../grant/decide.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import { noGrant } from '../grant/state.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';

export interface LinkAnswer {
  readonly status: 'to-confirm' | 'linked';
  readonly provider: string;
  readonly account: UpstreamAccount;
}

export interface AccountLinker {
  begin(partition: number, request: { accessToken: Secret; provider: string }): Promise<LinkBegun>;
  /**
   * Says whose account it is; links it if the person has confirmed that. Asked again it says the same.
   * @throws RefusedError `not-found` there is no completed link of this person; `conflict` another account is linked
   */
  link(
    partition: number,
    request: { accessToken: Secret; interactionUid: string; confirmed: boolean },
  ): Promise<LinkAnswer>;
  unlink(
    partition: number,
    request: { accessToken: Secret; provider: string },
  ): Promise<{ status: 'unlinked' | 'not-linked' }>;
}

interface LinkBegun {
  readonly interactionUid: string;
}

interface Options {
  readonly identify: IdentifyCaller;
  readonly projection: Pick<Projection, 'findSession'>;
  readonly chains: Pick<SignIn, 'beginLink' | 'findChain' | 'endLink'>;
  /** The providers at which accounts can be linked, whether or not a sign-in leads through them. */
  readonly providers: readonly string[];
  readonly grants: GrantStore;
  readonly revocation: Revocation;
  readonly dataKeys: DataKeys;
  readonly index: IdentityIndex;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
  /** Their data key is about to be destroyed. */
  readonly isForgetting: (principalKey: string) => boolean;
  readonly onProblem: (error: unknown) => void;
}

export function createAccountLinker(options: Options): AccountLinker {
  const { identify, projection, chains, providers, grants, revocation, dataKeys, index } = options;
  const { writerOf, now, onProblem } = options;

  function orderOf({ principalKey }: LiveCaller, { collected }: CompleteChain, linkId: string): LinkGrant {
    const { provider, tokens, account, registration } = collected[0]!;
    const grantId = index.linkedGrantId(principalKey, provider);
    const owner = { grantId, principalKey, provider, sessionId: null, registration };
    return { type: 'LinkGrant', at: now(), linkId, tokens, account, ...owner };
  }

  async function keep(
    partition: number,
    { sessionId }: LiveCaller,
    command: LinkGrant,
    obtainedAt: number,
  ): Promise<'linked' | 'other-account'> {
    const { grantId, principalKey } = command;
    // What was unlinked since then does not come back by a repetition.
    const endedAt = await revocation.endedAt(partition, grantId);
    if (endedAt !== null && endedAt >= obtainedAt) throw unknownLink();
    await dataKeys.ensure(principalKey);
    return writerOf(partition).execute({
      aggregates: [grantId],
      decide: () => {
        if (sessionId !== null && !projection.findSession(sessionId))
          throw new RefusedError('session-ended', 'the session of the caller has ended meanwhile');
        if (options.isForgetting(principalKey))
          throw new RefusedError('unavailable', 'this person is being forgotten');
        if (isOtherAccount(command, grants.find(grantId) ?? noGrant))
          return { changes: [], result: 'other-account' };
        const change = grants.changeFor(command, command);
        return { changes: change ? [change] : [], result: 'linked' };
      },
    });
  }

  return {
    async begin(partition, { accessToken, provider }) {
      const { principal } = await identify(partition, accessToken);
      if (!providers.includes(provider))
        throw new RefusedError('invalid-request', `there is no provider ${provider} to link an account at`);
      return chains.beginLink(principal, provider);
    },

    async link(partition, { accessToken, interactionUid, confirmed }) {
      const caller = await identify(partition, accessToken);
      const chain = await chains.findChain(interactionUid);
      if (!isLinkOf(chain, caller)) throw unknownLink();
      if (chain.status === 'linked')
        return { status: 'linked', provider: chain.link, account: chain.account };
      const command = orderOf(caller, chain, interactionUid);
      const { provider, account } = command;
      let result: 'linked' | 'other-account' | null = null;
      if (isOtherAccount(command, grants.find(command.grantId) ?? noGrant)) result = 'other-account';
      else if (confirmed) result = await keep(partition, caller, command, chain.collected[0]!.at);
      if (result === null) return { status: 'to-confirm', provider, account };
      if (result === 'other-account') {
        await chains.endLink(interactionUid, 'refused');
        throw new RefusedError('conflict', `another account is linked at ${provider}: unlink it first`);
      }
      // The log has it; what the record still holds expires with it.
      await chains
        .endLink(interactionUid, { status: 'linked', link: provider, principal: caller.principal, account })
        .catch(onProblem);
      return { status: 'linked', provider, account };
    },

    async unlink(partition, { accessToken, provider }) {
      const { principalKey } = await identify(partition, accessToken);
      const grantId = index.linkedGrantId(principalKey, provider);
      const gone = await revocation.revoke(writerOf(partition), [grantId], 'unlinked');
      return { status: gone.length > 0 ? 'unlinked' : 'not-linked' };
    },
  };
}

type LinkChain = Extract<Chain, { status: 'complete' | 'linked' }>;

function isLinkOf(chain: Chain, { principal }: LiveCaller): chain is LinkChain {
  return (
    (chain.status === 'linked' || (chain.status === 'complete' && chain.link !== null)) &&
    chain.principal.iss === principal.iss &&
    chain.principal.sub === principal.sub
  );
}

function unknownLink(): RefusedError {
  return new RefusedError('not-found', 'there is no completed link of this person; it must be begun anew');
}
