/**
 * The store of `oidc-provider` is the vault: any gateway continues what another began. The bearer value of a record
 * is its id, of which the vault keeps only an HMAC, so the payload goes without it (`jti`).
 */
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import { authRecordKindSchema } from '../../schemas/messages/auth-record.ts';
import type { VaultClient } from '../vault-client.ts';
import { metadataOf, unapprovedRecord, unapprovedSeconds } from './registered-clients.ts';
import type { TokenFlights } from './token-flight.ts';
import { fromVault } from './vault-failure.ts';

export function createAdapterFactory(
  vault: VaultClient,
  flights: Pick<TokenFlights, 'assertClaimed'>,
): AdapterFactory {
  return (name) => {
    const kind = authRecordKindSchema.parse(name);
    if (kind === 'Session') return sessionsAreNotKept;
    const adapter: Adapter = {
      async upsert(id, payload, expiresIn) {
        const { jti: _bearer, ...kept } = payload;
        if (kind === 'Client')
          return fromVault(vault.putRecord(kind, id, unapprovedRecord(kept), unapprovedSeconds));
        const expiresInSeconds = expiresIn === undefined ? undefined : Math.max(1, Math.ceil(expiresIn));
        await fromVault(vault.putRecord(kind, id, kept, expiresInSeconds));
      },
      /** Consumed records are found as well: the library tells reuse from a token that never was. */
      async find(id) {
        const payload = await fromVault(vault.findRecord(kind, 'id', id));
        if (payload === null) return undefined;
        return (kind === 'Client' ? metadataOf(payload) : { ...payload, jti: id }) as AdapterPayload;
      },
      findByUid: async () => undefined,
      findByUserCode: async () => undefined,
      /** Used up by the record of the answer; until then the flight can still fail. */
      consume: async (id) => flights.assertClaimed(kind, id),
      destroy: (id) => fromVault(vault.deleteRecord(kind, id)),
      // The library deletes the Grant as well, and without it neither code nor refresh token is good for anything.
      revokeByGrantId: async () => undefined,
    };
    return adapter;
  };
}

/**
 * The library's browser session would let a second authorization skip chain and consent, and would share the tsid.
 * It exists for the length of one request and is never kept.
 */
const sessionsAreNotKept: Adapter = {
  upsert: async () => undefined,
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  consume: async () => undefined,
  destroy: async () => undefined,
  revokeByGrantId: async () => undefined,
};
