/**
 * One request to one backend as the person who is calling. A token that the backend rejects (401) is refreshed once
 * and the request repeated once; a session that the backend has forgotten is opened anew once. Nothing falls back to
 * another credential.
 */
import type { Identity } from '../../schemas/identity.ts';
import type { Log } from '../../schemas/log.ts';
import type { GatewayFacts } from '../facts.ts';
import { type OutgoingHeaders, UpstreamTokenNotFoundError } from '../strategies/outgoing-strategy.ts';
import { type Backend, BackendRejectedError, findCause } from './backend.ts';
import type { BackendConnection } from './backend-connection.ts';
import { runExchange } from './backend-fetch.ts';
import type { Caller } from './caller.ts';
import type { ConnectionPool } from './connection-pool.ts';

/** The call cannot be made as this person: wrapped with backend and provider, never with a token. */
export class BackendAuthorizationError extends Error {
  override readonly name = 'BackendAuthorizationError';
  readonly code: 'no-token' | 'token-rejected' | 'not-allowed';
  readonly backend: string;
  readonly provider: string | null;
  declare readonly cause: UpstreamTokenNotFoundError | BackendRejectedError;

  constructor(
    code: BackendAuthorizationError['code'],
    backend: string,
    provider: string | null,
    cause: BackendAuthorizationError['cause'],
  ) {
    super(`the backend ${backend} cannot be called as this person: ${code}`, { cause });
    this.code = code;
    this.backend = backend;
    this.provider = provider;
  }
}

export interface BackendCalls {
  /** @throws BackendAuthorizationError, and what the connection throws */
  run<T>(backend: Backend, caller: Caller, use: (connection: BackendConnection) => Promise<T>): Promise<T>;
}

export function createBackendCalls(options: {
  pool: ConnectionPool;
  facts: GatewayFacts;
  log: Pick<Log, 'warn'>;
}): BackendCalls {
  const { pool, facts, log } = options;

  async function attempt<T>(
    backend: Backend,
    caller: Caller,
    { headers }: OutgoingHeaders,
    use: (connection: BackendConnection) => Promise<T>,
  ): Promise<T> {
    const once = async (mayReopen: boolean): Promise<T> => {
      await using lease = await pool.lease(caller.owner, backend);
      try {
        return await use(lease.connection);
      } catch (error) {
        if (!isSessionLost(error)) throw error;
        lease.discard();
        // Refused before it was worked on, so it may be sent again.
        if (!mayReopen || !lease.reused) throw error;
      }
      return await once(false);
    };
    return await runExchange({ headers }, () => once(true));
  }

  function refusal(backend: Backend, { injected }: OutgoingHeaders, rejected: BackendRejectedError) {
    const code = rejected.status === 403 ? 'not-allowed' : 'token-rejected';
    return new BackendAuthorizationError(code, backend.name, injected?.provider ?? null, rejected);
  }

  return {
    async run(backend, caller, use) {
      const first = outgoingHeaders(backend, caller.identity, facts);
      let rejected: BackendRejectedError | null;
      try {
        return await attempt(backend, caller, first, use);
      } catch (error) {
        rejected = findCause(error, BackendRejectedError);
        if (rejected === null) throw error;
      }
      const { injected } = first;
      log.warn(
        {
          backend: backend.name,
          provider: injected?.provider,
          version: injected?.version,
          status: rejected.status,
        },
        'a backend rejects the request of a person',
      );
      if (rejected.status === 403 || injected === null) throw refusal(backend, first, rejected);

      facts.report({
        fact: 'refresh-requested',
        session: caller.identity.tsid,
        backend: backend.name,
        provider: injected.provider,
        version: injected.version,
        reason: 'rejected-by-backend',
      });
      const second = outgoingHeaders(backend, await caller.lookUpAgain(injected), facts);
      if (second.injected?.version === injected.version) throw refusal(backend, first, rejected);
      try {
        return await attempt(backend, caller, second, use);
      } catch (error) {
        const rejectedAgain = findCause(error, BackendRejectedError);
        throw rejectedAgain === null ? error : refusal(backend, second, rejectedAgain);
      }
    },
  };
}

function outgoingHeaders(backend: Backend, identity: Identity, facts: GatewayFacts): OutgoingHeaders {
  const outgoing = backend.strategy.headers(identity);
  if (!(outgoing instanceof UpstreamTokenNotFoundError)) return outgoing;
  if (outgoing.reason === 'missing' || outgoing.reason === 'reauth-required')
    facts.report({
      fact: 'token-needed',
      session: identity.tsid,
      backend: backend.name,
      provider: outgoing.provider,
      version: null,
      reason: outgoing.reason,
    });
  throw new BackendAuthorizationError('no-token', backend.name, outgoing.provider, outgoing);
}

/** 404 by the specification; 400 by servers that answer so. Either way the request was not worked on. */
function isSessionLost(error: unknown): boolean {
  const status = (error as { data?: { status?: unknown } } | null)?.data?.status;
  return status === 404 || status === 400;
}
