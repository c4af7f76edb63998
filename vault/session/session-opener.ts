/**
 * Turns a complete chain into a session with one grant for each provider that was visited and one fact for each that was
 * skipped, all in one atomic step. Asked again for the same interaction it gives the same session.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import { createEventId, sessionIdOf } from '../../schemas/ids.ts';
import type { Chain, CompleteChain } from '../authorization/chain.ts';
import { sessionFact, skippedFact } from '../grant/facts.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { KeepRefreshToken } from './kept-refresh-token.ts';
import { decideSession, type OpenSession } from './session.ts';
import type { UpstreamLogouts } from './upstream-logout.ts';
import { upstreamSessionOf } from './upstream-session.ts';

interface Options {
  readonly projection: Projection;
  readonly grants: GrantStore;
  readonly dataKeys: DataKeys;
  readonly index: IdentityIndex;
  readonly log: Pick<EventLog, 'findLast'>;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
  readonly chainOf: (interactionUid: string) => Promise<Chain>;
  readonly forgetChain: (interactionUid: string) => Promise<void>;
  /** Their data key is about to be destroyed. */
  readonly isForgetting: (principalKey: string) => boolean;
  readonly keepRefreshToken: KeepRefreshToken;
  /** What providers told of these sign-ins while they were under way. */
  readonly catchUp: UpstreamLogouts['catchUp'];
  /** Refuses a principal of another partition. */
  readonly assertOurs: (partition: number, principal: Principal) => void;
}

export type OpenSessionFromChain = (
  partition: number,
  request: {
    interactionUid: string;
    principal: Principal;
    grantId: string;
    clientId: string;
    lifetimeSeconds: number;
  },
) => Promise<{ sessionId: string }>;

export function createSessionOpener(options: Options): OpenSessionFromChain {
  const { projection, grants, dataKeys, index, log, writerOf, now, chainOf, forgetChain } = options;
  const { isForgetting, assertOurs, keepRefreshToken, catchUp } = options;

  function changesOf(command: OpenSession, { collected, skipped }: CompleteChain): Change[] {
    if (isForgetting(command.principalKey))
      throw new RefusedError('unavailable', 'this person is being forgotten');
    const found = projection.findSession(command.sessionId);
    const opened = decideSession(
      command,
      found
        ? { status: 'open', principalKey: found.principalKey, endsAt: found.endsAt }
        : { status: 'absent' },
    );
    if (!opened) return [];
    const id = createEventId();
    const session: Change = {
      aggregate: command.sessionId,
      event: { metadata: { ...opened, id }, sealed: Buffer.alloc(0) },
      replaces: false,
      fact: sessionFact(id, opened, opened.principalKey),
      furtherFacts: skipped.map((provider) => skippedFact(createEventId(), opened, provider)),
    };
    const granted = collected.map(({ provider, tokens, account, registration }) => {
      const owner = { ...ownerOf(command, provider), registration };
      const kept = keepRefreshToken({ ...owner, tokens, account }, command.at);
      return grants.changeFor(
        { type: 'GrantTokens', at: command.at, ...owner, tokens: kept, account },
        owner,
      );
    });
    return [session, ...granted.filter((change) => change !== null)];
  }

  function ownerOf({ principalKey, sessionId }: OpenSession, provider: string) {
    const grantId = index.sessionGrantId(principalKey, provider, sessionId);
    return { grantId, principalKey, provider, sessionId };
  }

  return async (partition, { interactionUid, principal, grantId, clientId, lifetimeSeconds }) => {
    assertOurs(partition, principal);
    const at = now();
    const sessionId = sessionIdOf(grantId);
    const principalKey = index.principalKey(principal);
    const existing = projection.findSession(sessionId);
    if (existing && existing.principalKey !== principalKey) {
      throw new RefusedError('conflict', 'this grant has a session of somebody else');
    }
    if (existing) return { sessionId };
    const chain = await chainOf(interactionUid);
    const theirs =
      chain.status === 'complete' &&
      chain.link === null &&
      chain.principal.iss === principal.iss &&
      chain.principal.sub === principal.sub;
    if (!theirs) throw new RefusedError('not-found', 'there is no complete sign-in of this person');
    // A session that was ended begins not anew: its tokens were revoked.
    const last = await log.findLast(partition, sessionId);
    if (last && last.metadata.type !== 'SessionOpened')
      throw new RefusedError('session-ended', 'the session of this grant has ended');
    await dataKeys.ensure(principalKey);
    const endsAt = at + lifetimeSeconds * 1000;
    const signIns = chain.collected.flatMap(({ provider, tokens, at }) =>
      upstreamSessionOf(index, provider, tokens.idToken).map((upstream) => ({ ...upstream, at })),
    );
    const upstreams = signIns.map(({ at: _, ...upstream }) => upstream);
    const command: OpenSession = {
      ...{ type: 'OpenSession', at, sessionId, principalKey, clientId, endsAt },
      ...(upstreams.length > 0 && { upstreams }),
    };
    const aggregates = chain.collected.map(({ provider }) => ownerOf(command, provider).grantId);
    await writerOf(partition).execute({
      aggregates: [sessionId, ...aggregates],
      decide: () => ({ changes: changesOf(command, chain), result: undefined }),
    });
    await catchUp(partition, { sessionId, principalKey }, signIns);
    await forgetChain(interactionUid);
    if (projection.findSession(sessionId) === null)
      throw new RefusedError('session-ended', 'the person signed out at the identity provider meanwhile');
    return { sessionId };
  };
}
