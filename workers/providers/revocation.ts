/**
 * The ways to revoke that are not RFC 7009: GitHub's (REST API, "Delete an app token") and Slack's (`auth.revoke`).
 * Both take access tokens only; for a refresh token nothing is sent, and the answer is that it was not revoked.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { Log } from '../../schemas/log.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { GuardedFetch, OutboundRequest } from './guarded-fetch.ts';

export interface RevocationOptions {
  readonly style: 'github' | 'slack';
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  readonly fetch: GuardedFetch;
  readonly log: Log;
}

export async function revokeInStyle(
  { style, endpoint, clientId, clientSecret, fetch, log }: RevocationOptions,
  token: Secret,
  tokenTypeHint: 'access_token' | 'refresh_token',
): Promise<{ revoked: boolean }> {
  if (tokenTypeHint === 'refresh_token') return { revoked: false };
  switch (style) {
    case 'github': {
      if (clientSecret === null) return { revoked: false };
      const credentials = Buffer.from(`${clientId}:${clientSecret.reveal()}`).toString('base64');
      const response = await send({
        method: 'DELETE',
        headers: {
          accept: 'application/vnd.github+json',
          'content-type': 'application/json',
          'user-agent': 'latchkey',
          authorization: `Basic ${credentials}`,
        },
        body: JSON.stringify({ access_token: token.reveal() }),
      });
      if (response.status === 204) return { revoked: true };
      throw refusal();
    }
    case 'slack': {
      const response = await send({
        method: 'POST',
        headers: { accept: 'application/json', authorization: `Bearer ${token.reveal()}` },
      });
      const answer = (await response.json().catch(() => null)) as { ok?: unknown; error?: unknown } | null;
      // A token that is gone is what was asked for (RFC 7009 section 2.2).
      if (answer?.ok === true || answer?.error === 'token_revoked' || answer?.error === 'token_expired')
        return { revoked: true };
      throw refusal();
    }
    default:
      return style satisfies never;
  }

  async function send(request: OutboundRequest): Promise<Response> {
    try {
      const response = await fetch(endpoint, request);
      if (response.status < 500 && response.status !== 429) return response;
      log.warn({ status: response.status }, 'a token could not be revoked');
    } catch (error) {
      log.warn({ error }, 'a token could not be revoked');
    }
    throw new RefusedError('upstream-unavailable', 'the revocation endpoint gave no usable answer');
  }
}

function refusal(): RefusedError {
  return new RefusedError('upstream-refused', 'the provider refused to revoke');
}
