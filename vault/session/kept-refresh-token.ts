/**
 * Some providers give a refresh token at the first sign-in only (Google, RFC 6749 section 5.1: it is optional) and mean
 * it to serve on. A later sign-in of the same person, with the same account and client, then keeps the former one. Not
 * where refresh tokens are known to be used once: two sessions that send the same one would end each other's.
 */
import type { RefreshTokenReuse } from '../../schemas/config/refresh-token-reuse.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { GrantOwner } from '../grant/events.ts';
import type { GrantStore } from '../grant/grant-store.ts';
import type { Projection } from '../projection/projection.ts';

/** The tokens, with the former refresh token if they have none. */
export type KeepRefreshToken = (
  given: Pick<GrantOwner, 'principalKey' | 'provider' | 'registration'> & {
    readonly tokens: TokenSet;
    readonly account: UpstreamAccount;
  },
  at: number,
) => TokenSet;

interface Options {
  readonly projection: Pick<Projection, 'holdingsOf'>;
  readonly grants: Pick<GrantStore, 'find'>;
  /** Providers of which it is known. */
  readonly reuse: ReadonlyMap<string, RefreshTokenReuse>;
}

export function createKeepRefreshToken({ projection, grants, reuse }: Options): KeepRefreshToken {
  const mayBeShared = (provider: string) => (reuse.get(provider)?.policy ?? 'tolerant') === 'tolerant';

  return ({ principalKey, provider, registration, tokens, account }, at) => {
    if (tokens.refreshToken !== null || !mayBeShared(provider)) return tokens;
    const rows = projection
      .holdingsOf(principalKey)
      .grants.filter((row) => row.provider === provider && row.refreshable)
      .filter(({ refreshStatus }) => refreshStatus !== 'reauth-required')
      .sort((one, other) => other.obtainedAt - one.obtainedAt);
    for (const { grantId } of rows) {
      const former = grants.find(grantId);
      if (former === null || former.account.subject !== account.subject) continue;
      if (former.registration.clientId !== registration.clientId) continue;
      if (former.registration.generation !== registration.generation) continue;
      const { refreshToken, refreshExpiresAt } = former.tokens;
      if (refreshExpiresAt === null || refreshExpiresAt > at)
        return { ...tokens, refreshToken, refreshExpiresAt };
    }
    return tokens;
  };
}
