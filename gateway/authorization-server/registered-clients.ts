/**
 * Registrations come before anybody has approved anything, and most that a flood leaves behind are never used: a client
 * is forgotten after two days unless a person has approved it, and kept from then on, for clients keep their id for good.
 */
import type { VaultClient } from '../vault-client.ts';
import type { RateLimitSettings } from './rate-limit.ts';

type Payload = Record<string, unknown>;

/** In the two days of an unapproved client fewer come through one gateway than the vault keeps. */
export const defaultRegistrationLimit: RateLimitSettings = { burst: 300, perMinute: 30 };

export const unapprovedSeconds = 2 * 24 * 3600;

/** As it is stored until a person approves the client. */
export function unapprovedRecord(metadata: Payload): Payload {
  return { ...metadata, approved: false };
}

export function metadataOf({ approved: _, ...metadata }: Payload): Payload {
  return metadata;
}

/** A client that is not registered here, or was approved before, stays as it is. */
export async function keepApprovedClient(
  vault: Pick<VaultClient, 'findRecord' | 'putRecord'>,
  clientId: string,
): Promise<void> {
  const record = await vault.findRecord('Client', 'id', clientId);
  if (record?.approved === false) await vault.putRecord('Client', clientId, metadataOf(record));
}
