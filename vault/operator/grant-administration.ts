/**
 * What an operator may see of grants, and take away: ids, times and states. Nothing of it is a token, or says who
 * somebody is at a provider.
 */
import type { GrantEntry, ListedGrants } from '../../schemas/messages/operator-requests.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { EndingCount, EndingGrant, EndingPlace, EndingQuestion } from '../projection/ending-queries.ts';
import type { Projection } from '../projection/projection.ts';
import type { GrantRow } from '../projection/tables.ts';
import type { Revocation } from '../revocation/revocation.ts';

export interface GrantAdministration {
  /** In the order of their ids, after one. */
  list(principalKey: string, provider: string | null, after: string | null): ListedGrants;
  /** Of a person, at one provider or at all. @returns how many went */
  revoke(partition: number, principalKey: string, provider: string | null): Promise<number>;
  forecast(partition: number, period: ForecastPeriod): EndingCount[];
  /** `next`: where to go on; null: that was all. */
  listEnding(
    partition: number,
    period: ForecastPeriod,
    after: EndingPlace | null,
  ): { grants: EndingGrant[]; next: EndingPlace | null };
}

type ForecastPeriod = Omit<EndingQuestion, 'keptAliveMs'>;

interface Options {
  readonly projection: Projection;
  readonly revocation: Revocation;
  readonly writerOf: (partition: number) => PartitionWriter;
  /** The idle time of linked accounts that are kept alive; 0: none is. */
  readonly keptAliveMs: number;
}

/** An answer must fit into one message; so must an atomic batch of 1,000 messages, two for each grant. */
const grantsAtOnce = 200;

export function createGrantAdministration({
  projection,
  revocation,
  writerOf,
  keptAliveMs,
}: Options): GrantAdministration {
  function grantsOf(principalKey: string, provider: string | null): GrantRow[] {
    const { grants } = projection.holdingsOf(principalKey);
    return grants
      .filter((row) => provider === null || row.provider === provider)
      .sort((a, b) => (a.grantId < b.grantId ? -1 : 1));
  }

  return {
    list(principalKey, provider, after) {
      const rest = grantsOf(principalKey, provider).filter(
        ({ grantId }) => after === null || grantId > after,
      );
      return { grants: rest.slice(0, grantsAtOnce).map(entryOf), more: rest.length > grantsAtOnce };
    },

    async revoke(partition, principalKey, provider) {
      const ids = grantsOf(principalKey, provider).map(({ grantId }) => grantId);
      let count = 0;
      for (let done = 0; done < ids.length; done += grantsAtOnce) {
        const some = ids.slice(done, done + grantsAtOnce);
        count += (await revocation.revoke(writerOf(partition), some, 'operator')).length;
      }
      return count;
    },

    forecast: (partition, period) => projection.endings.count(partition, { ...period, keptAliveMs }),

    listEnding(partition, period, after) {
      const grants = projection.endings.list(partition, { ...period, keptAliveMs }, after, grantsAtOnce);
      const last = grants.length < grantsAtOnce ? undefined : grants.at(-1);
      return { grants, next: last ? { endsAt: last.endsAt, row: last.row } : null };
    },
  };
}

function entryOf(row: GrantRow): GrantEntry {
  const { grantId, provider, sessionId, version, obtainedAt, expiresAt, refreshExpiresAt, usedAt } = row;
  const times = { obtainedAt, expiresAt, refreshExpiresAt, usedAt, endsAt: row.evictableAt };
  return { grantId, provider, sessionId, version, status: row.refreshStatus, ...times };
}
