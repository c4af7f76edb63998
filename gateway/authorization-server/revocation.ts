/**
 * `POST /oauth/revoke` (RFC 7009): a client gives a token back, of either kind, and the session that it belongs to ends
 * with everything that it holds. The library knows who the client is and never sees the token: it refuses JWTs, and
 * what it deletes is not what gives access here. A token that is nobody's, or another client's, is answered the same
 * (section 2.2).
 */
import type { IncomingMessage } from 'node:http';
import { decodeJwt } from 'jose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { RefusedError } from '../../schemas/failure.ts';
import { Secret } from '../../schemas/secret.ts';
import { withBody } from '../http/request.ts';
import type { VaultClient } from '../vault-client.ts';
import { isVaultUnavailable, vaultUnavailable } from './vault-failure.ts';

export interface Revocation {
  /** @returns the request that the library gets instead */
  takeToken(request: IncomingMessage, parameters: URLSearchParams): IncomingMessage;
  /** A middleware of the library. */
  answer(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void>;
}

interface Options {
  readonly vault: Pick<VaultClient, 'findRecord' | 'deleteRecord' | 'endSession'>;
  readonly realm: string;
}

/** In the place of the token; there is none of this value. */
const noToken = 'none';

export function createRevocation({ vault, realm }: Options): Revocation {
  const tokens = new WeakMap<IncomingMessage, string>();

  async function revoke(token: string, clientId: string): Promise<void> {
    const sub = subOf(token);
    if (sub === null) return revokeRefreshToken(token, clientId);
    const accessToken = new Secret(token);
    await vault.endSession({ iss: realm, sub }, { accessToken, clientId });
  }

  /** What takes access away goes first: without its session no token of the family is good for anything. */
  async function revokeRefreshToken(token: string, clientId: string): Promise<void> {
    const found = await vault.findRecord('RefreshToken', 'id', token);
    if (found === null || found.clientId !== clientId) return;
    const grantId = String(found.grantId);
    const principal = { iss: realm, sub: String(found.accountId) };
    await vault.endSession(principal, { principal, grantId, reason: 'revoked' });
    await vault.deleteRecord('Grant', grantId);
  }

  return {
    takeToken(request, parameters) {
      const [token, ...others] = parameters.getAll('token');
      // What is missing or there twice the library refuses.
      if (!token || others.length > 0) return withBody(request, parameters.toString());
      parameters.set('token', noToken);
      const without = withBody(request, parameters.toString());
      tokens.set(without, token);
      return without;
    },

    async answer(ctx, next) {
      await next();
      const token = tokens.get(ctx.req);
      const clientId = ctx.oidc?.client?.clientId;
      if (token === undefined || clientId === undefined || ctx.status !== 200) return;
      try {
        await revoke(token, clientId);
      } catch (error) {
        if (isVaultUnavailable(error)) {
          ctx.status = 503;
          ctx.body = vaultUnavailable;
        } else if (!(error instanceof RefusedError) || !isOver.has(error.code)) {
          throw error;
        }
      }
    },
  };
}

/** Not valid, not valid any more, or its session has ended. */
const isOver: ReadonlySet<string> = new Set(['unauthorized', 'session-ended', 'not-found']);

/** Whose a JWT says to be, which only finds the one who verifies it; null: it is none. */
function subOf(token: string): string | null {
  try {
    return decodeJwt(token).sub ?? null;
  } catch {
    return null;
  }
}
