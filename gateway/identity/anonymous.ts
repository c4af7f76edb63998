/**
 * `incomingAuth.type: anonymous`: everybody may call, nobody is told apart, and nobody is anybody. No token is looked at,
 * the vault is not asked, and no backend is reached in the name of a person.
 */
import { Secret } from '../../schemas/secret.ts';
import type { AccessToken, AccessTokenVerifier } from './access-token.ts';
import type { Identities } from './identity.ts';

/** No id of a person is of this form. */
const nobody = 'anonymous';

const token: AccessToken = {
  token: new Secret(nobody),
  sub: nobody,
  tsid: null,
  clientId: nobody,
  claims: {},
  expiresAt: Number.POSITIVE_INFINITY,
};

export const anonymousVerifier: AccessTokenVerifier = { scopes: [], verify: async () => token };

export function createAnonymousIdentities(realm: string): Identities {
  const identity = { iss: realm, sub: nobody, claims: {}, tsid: null, upstreamTokens: new Map() };
  const find = async () => identity;
  return { find, findSettled: find };
}
