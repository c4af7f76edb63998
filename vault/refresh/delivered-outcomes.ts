/**
 * What workers of a provider deliver: recorded by the owner of the partition, and for grants of that provider alone.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { RefreshOutcomeDelivery } from '../../schemas/messages/refresh-outcome.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { Refresher } from './refresher.ts';

/**
 * Durable when it resolves.
 * @param provider whose worker delivers it
 */
export type RecordDelivered = (
  partition: number,
  provider: string,
  delivery: RefreshOutcomeDelivery,
) => Promise<void>;

interface Options {
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly projection: Pick<Projection, 'findGrant'>;
  readonly revocation: Pick<Revocation, 'takeLate'>;
  readonly refresher: Pick<Refresher, 'record'>;
}

export function createRecordDelivered(options: Options): RecordDelivered {
  const { writerOf, projection, revocation, refresher } = options;
  return async (partition, provider, delivery) => {
    // First of all: what another worker may have read already is not "not found" here.
    writerOf(partition);
    if (await revocation.takeLate(partition, provider, delivery)) return;
    const grant = projection.findGrant(delivery.grantId);
    if (!grant) throw new RefusedError('not-found', 'there is no such grant');
    if (grant.provider !== provider || grant.partition !== partition)
      throw new RefusedError('invalid-request', `this grant is not one of ${provider} in this partition`);
    await refresher.record(partition, delivery);
  };
}
