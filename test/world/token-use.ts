/** A code or refresh token as the authorization server's library writes it, and a request that uses it. */
import { createFlightId } from '../../schemas/ids.ts';
import type { UsableKind } from '../../schemas/messages/token-use.ts';

export const tokenPayload = {
  clientId: 'client-1',
  grantId: 'grant-of-a-used-token',
  accountId: `usr_${'a'.repeat(32)}`,
};

export function useOf(id: string, kind: UsableKind = 'AuthorizationCode') {
  return { kind, id, flightId: createFlightId(), clientId: 'client-1', requestDigest: 'd'.repeat(43) };
}
