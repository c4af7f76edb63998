/**
 * Takes grants away. What takes access away goes first: the tombstone in the log, which replaces what bore tokens. Then
 * the tokens are revoked at their provider, and so is what a refresh that was under way still brings.
 */
import { LRUCache } from 'lru-cache';
import type { RefreshOutcomeDelivery } from '../../schemas/messages/refresh-outcome.ts';
import type { GrantRevoked, RevocationReason } from '../grant/events.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { HeldGrant } from '../grant/state.ts';
import type { EventLog } from '../log/event-log.ts';
import type { EventMetadata } from '../log/stored-event.ts';
import type { Change, PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { UpstreamRevocation } from './upstream-revocation.ts';

type RevokedGrant = Pick<GrantRevoked, 'grantId' | 'principalKey' | 'provider' | 'registration' | 'at'>;
type LateOutcome = Pick<RefreshOutcomeDelivery, 'grantId' | 'claimId' | 'outcome'>;

export interface Revocation {
  /** @returns what went, in one atomic step; a grant that is not there is passed over */
  revoke(
    writer: PartitionWriter,
    grantIds: readonly string[],
    reason: RevocationReason,
  ): Promise<readonly HeldGrant[]>;
  /** What is left to do for grants that the log has as revoked. */
  followUp(gone: readonly HeldGrant[]): void;
  /** How the log says that a grant was taken away; null: it is held, or ended otherwise. @throws VaultError */
  findRevoked(partition: number, grantId: string): Promise<RevokedGrant | null>;
  /** When the log says that a grant of this id ended last, for whatever reason; null: it is held, or never was. */
  endedAt(partition: number, grantId: string): Promise<number | null>;
  /** @returns whether the claim was one of a grant that was taken away; what it brought is revoked then */
  takeLate(partition: number, provider: string, late: LateOutcome): Promise<boolean>;
}

interface Options {
  readonly projection: Projection;
  readonly grants: GrantStore;
  readonly log: Pick<EventLog, 'findLast'>;
  readonly upstream: UpstreamRevocation;
  /** Nothing that is under way for this grant is worth waiting for. */
  readonly onGone: (grantId: string) => void;
  readonly now: () => number;
}

const ends: ReadonlySet<string> = new Set(['GrantRevoked', 'GrantEvicted', 'GrantForgotten']);

export function createRevocation(options: Options): Revocation {
  const { projection, grants, log, upstream, onGone, now } = options;
  /** By claim: their grants may have been linked anew when the outcome comes. */
  const openClaims = new LRUCache<string, RevokedGrant>({ max: 10_000 });

  function followUp(gone: readonly HeldGrant[]): void {
    for (const grant of gone) {
      for (const claimId of grant.startedClaims) openClaims.set(claimId, { ...grant, at: now() });
      onGone(grant.grantId);
      if (!isStillHeld(grant)) upstream.revoke(grant);
    }
  }

  /** Another grant of the same person goes on with this refresh token, because the provider gave it only once. */
  function isStillHeld({ principalKey, provider, tokens }: HeldGrant): boolean {
    const refreshToken = tokens.refreshToken?.reveal();
    if (refreshToken === undefined) return false;
    return projection
      .holdingsOf(principalKey)
      .grants.filter((row) => row.provider === provider && row.refreshable)
      .some(({ grantId }) => grants.find(grantId)?.tokens.refreshToken?.reveal() === refreshToken);
  }

  async function findEnd(partition: number, grantId: string): Promise<EventMetadata | null> {
    if (projection.findGrant(grantId)) return null;
    const last = await log.findLast(partition, grantId);
    // An append of which the projection does not know yet is no end.
    return last && ends.has(last.metadata.type) ? last.metadata : null;
  }

  async function findRevoked(partition: number, grantId: string): Promise<RevokedGrant | null> {
    const end = await findEnd(partition, grantId);
    return end?.type === 'GrantRevoked' ? end : null;
  }

  return {
    async revoke(writer, grantIds, reason) {
      const gone = await writer.execute({
        aggregates: grantIds,
        decide: () => {
          const held = grantIds.map(grants.find).filter((grant) => grant !== null);
          const command = { type: 'RevokeGrant', at: now(), reason } as const;
          const changes = held.map((grant) => grants.changeFor(command, grant) as Change);
          return { changes, result: held };
        },
      });
      followUp(gone);
      return gone;
    },

    followUp,
    findRevoked,
    endedAt: async (partition, grantId) => (await findEnd(partition, grantId))?.at ?? null,

    async takeLate(partition, provider, { grantId, claimId, outcome }) {
      const revoked = openClaims.get(claimId) ?? (await findRevoked(partition, grantId));
      if (revoked?.provider !== provider) return false;
      if (outcome.status === 'refreshed') upstream.revoke({ ...revoked, tokens: outcome.tokens });
      return true;
    },
  };
}
