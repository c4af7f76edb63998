/**
 * `POST /oauth/backchannel-logout/<provider>` (OpenID Connect Back-Channel Logout 1.0 sections 2.5 to 2.8): a provider
 * tells that somebody signed out there. The gateway believes nothing of it and hands it to the vault; the answer says
 * whether the token was good, and never whether it named anybody.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RefusedError } from '../../schemas/failure.ts';
import type { Log } from '../../schemas/log.ts';
import { longestLogoutToken } from '../../schemas/messages/backchannel-logout.ts';
import { Secret } from '../../schemas/secret.ts';
import type { Upstream } from '../chain/upstream.ts';
import { hasMediaType, readBody } from '../http/request.ts';
import { sendJson } from '../http/respond.ts';
import type { VaultClient } from '../vault-client.ts';
import { logoutPath } from './paths.ts';
import { createRateLimit, type RateLimitSettings } from './rate-limit.ts';

export interface BackchannelLogout {
  /** Whose address the path is; null: it is nobody's. */
  findByPath(path: string): string | null;
  receive(request: IncomingMessage, response: ServerResponse, provider: string): Promise<void>;
}

interface Options {
  readonly upstreams: readonly Upstream[];
  readonly vault: Pick<VaultClient, 'receiveLogoutToken'>;
  /** Of each provider: what is sent to the address of one keeps no other from telling. */
  readonly limit?: RateLimitSettings;
  readonly log: Log;
}

/** When a company signs everybody out it tells of each. */
const defaultLimit: RateLimitSettings = { burst: 200, perMinute: 1200 };
const bodyLimit = longestLogoutToken + 1024;

export function createBackchannelLogout({ upstreams, vault, limit, log }: Options): BackchannelLogout {
  const takers = new Map(
    upstreams
      .filter(({ isOpenIdProvider }) => isOpenIdProvider)
      .map(({ name }) => [name, createRateLimit(limit ?? defaultLimit)]),
  );
  const paths = new Map([...takers.keys()].map((name) => [`${logoutPath}/${name}`, name]));

  return {
    findByPath: (path) => paths.get(path) ?? null,

    async receive(request, response, provider) {
      const waitSeconds = takers.get(provider)?.() ?? 0;
      if (waitSeconds > 0)
        return refuse(response, 429, 'temporarily_unavailable', 'too many logout tokens at the moment', {
          'retry-after': String(waitSeconds),
        });
      const token = await readToken(request);
      if (token === null)
        return refuse(response, 400, 'invalid_request', 'the body must be a form with one logout_token');
      try {
        await vault.receiveLogoutToken(provider, token);
      } catch (error) {
        const refused = error instanceof RefusedError && isFinal.has(error.code);
        log.warn({ provider, error }, 'a logout token had no effect');
        // Section 2.8 has 400 for a logout that failed, whoever's fault it is.
        return refused
          ? refuse(response, 400, 'invalid_request', 'the logout token is not valid, or was used before')
          : refuse(response, 400, 'temporarily_unavailable', 'the logout failed inside, try again');
      }
      response.writeHead(200, { 'cache-control': 'no-store', 'content-length': '0' }).end();
    },
  };
}

const isFinal: ReadonlySet<string> = new Set(['invalid-request', 'conflict']);

/** null: there is none, or more than one. @throws BodyTooLargeError */
async function readToken(request: IncomingMessage): Promise<Secret | null> {
  const body = await readBody(request, bodyLimit);
  if (!hasMediaType(request, 'application/x-www-form-urlencoded')) return null;
  const [token, ...others] = new URLSearchParams(body.toString('utf8')).getAll('logout_token');
  return token && others.length === 0 ? new Secret(token) : null;
}

function refuse(
  response: ServerResponse,
  status: number,
  error: string,
  description: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendJson(response, status, { error, error_description: description }, headers);
}
