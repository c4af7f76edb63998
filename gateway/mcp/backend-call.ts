/**
 * One request to one backend as the person who is calling. A token that the backend rejects (401) is refreshed once
 * and the request repeated once; a session that the backend has forgotten is opened anew once; a backend that keeps
 * failing is left alone for a while. Nothing falls back to another credential.
 */
import type { Identity } from '../../schemas/identity.ts';
import type { Log } from '../../schemas/log.ts';
import type { GatewayFacts } from '../facts.ts';
import {
  type Injected,
  type OutgoingHeaders,
  UpstreamTokenNotFoundError,
} from '../strategies/outgoing-strategy.ts';
import { type Backend, BackendAnswerError, BackendRedirectedError, BackendRejectedError } from './backend.ts';
import type { BackendConnection, BackendRequest } from './backend-connection.ts';
import { BackendAnswerLostError, BackendHttpError } from './backend-exchange.ts';
import { BackendCutOffError, type Credentials, UnsendableRequestError } from './backend-fetch.ts';
import type { BackendHealth, ExchangeKind } from './backend-health.ts';
import { type Caller, personOf } from './caller.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { JsonObject } from './json-rpc.ts';
import { BackendSessionLostError } from './older-backend.ts';
import { BackendTimeoutError } from './wait-limit.ts';

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

/** The vault had no token for it, now or at all: the backend was not asked. */
export function isWithoutToken(
  error: unknown,
): error is BackendAuthorizationError & { readonly cause: UpstreamTokenNotFoundError } {
  return error instanceof BackendAuthorizationError && error.cause instanceof UpstreamTokenNotFoundError;
}

/** A backend as one caller reaches it right now. */
export interface BackendLink {
  readonly connection: BackendConnection;
  readonly credentials: Credentials;
  /** As `ExchangeEvents`; undefined: no token of a person is sent. */
  readonly renew: (() => Promise<Credentials>) | undefined;
  /** As that caller's client, and with the caller's credentials. */
  request(request: Omit<BackendRequest, 'client'>): Promise<JsonObject>;
}

export interface BackendCalls {
  /**
   * `repeatable`: the request changes nothing, so it is sent again where it is not known whether it arrived.
   * `kind`: of a stream the one who uses it tells when the backend has answered.
   * @throws BackendAuthorizationError, BackendUnavailableError, and what the connection throws
   */
  run<T>(
    backend: Backend,
    caller: Caller,
    use: (link: BackendLink) => Promise<T>,
    options?: { repeatable?: boolean; kind?: ExchangeKind },
  ): Promise<T>;
  /** What a backend may tell everybody. @throws what the connection throws */
  runAsNobody<T>(backend: Backend, caller: Caller, use: (link: BackendLink) => Promise<T>): Promise<T>;
}

export function createBackendCalls(options: {
  pool: ConnectionPool;
  health: BackendHealth;
  facts: GatewayFacts;
  /** Told of each connection that is used. */
  onUse: (owner: string, backend: Backend) => void;
  /** What is open of this owner there is that of another account. */
  onOtherAccount: (owner: string, backend: Backend) => void;
  log: Pick<Log, 'warn'>;
}): BackendCalls {
  const { pool, health, facts, onUse, onOtherAccount, log } = options;

  async function attempt<T>(
    backend: Backend,
    caller: Caller,
    outgoing: OutgoingHeaders,
    use: (link: BackendLink) => Promise<T>,
    repeatable: boolean,
  ): Promise<T> {
    const { owner, client, identity } = caller;
    const { injected } = outgoing;
    const credentials = credentialsOf(caller, outgoing);
    const renew =
      injected === null
        ? undefined
        : async () => credentialsOf(caller, await renewed(backend, caller, injected));
    const once = async (mayRepeat: boolean): Promise<T> => {
      const { account = null, version = null } = injected ?? {};
      await using lease = await pool.lease(
        { owner, ...whoseOf(identity), account, version, client, credentials },
        backend,
      );
      const { connection } = lease;
      if (!lease.reused) onUse(owner, backend);
      if (lease.replaces) onOtherAccount(owner, backend);
      try {
        return await use({
          connection,
          credentials,
          renew,
          request: (request) => connection.request({ ...request, client, renew }, credentials),
        });
      } catch (error) {
        if (error instanceof BackendSessionLostError) {
          lease.discard();
          // Refused before it was worked on, so it may be sent again.
          if (!mayRepeat || !lease.reused) throw error.answer ?? error;
        } else if (!mayRepeat || !repeatable || !(error instanceof BackendCutOffError)) throw error;
      }
      return await once(false);
    };
    return await once(true);
  }

  async function guarded<T>(backend: Backend, kind: ExchangeKind, run: () => Promise<T>): Promise<T> {
    health.admit(backend, kind);
    try {
      const result = await run();
      if (kind === 'request') health.succeeded(backend);
      else health.abandoned(backend, kind);
      return result;
    } catch (error) {
      if (error instanceof BackendRejectedError) health.rejected(backend);
      else if (isFailure(error)) health.failed(backend);
      else if (error instanceof DOMException || error instanceof UnsendableRequestError)
        health.abandoned(backend, kind);
      else health.succeeded(backend);
      throw error;
    }
  }

  /** What there is when a token was rejected. @throws as the look-up, BackendAuthorizationError */
  async function renewed(backend: Backend, caller: Caller, rejected: Injected): Promise<OutgoingHeaders> {
    const { provider, source, version } = rejected;
    facts.report({
      fact: 'refresh-requested',
      session: caller.identity.tsid,
      backend: backend.name,
      provider,
      version,
      reason: 'rejected-by-backend',
    });
    return outgoingHeaders(backend, await caller.lookUpAgain({ provider: source, version }), facts);
  }

  function refusal(backend: Backend, { injected }: OutgoingHeaders, rejected: BackendRejectedError) {
    const code = rejected.status === 403 ? 'not-allowed' : 'token-rejected';
    return new BackendAuthorizationError(code, backend.name, injected?.provider ?? null, rejected);
  }

  return {
    async runAsNobody(backend, { owner, client, identity }, use) {
      const credentials = { headers: backend.strategy.forNobody(), sign: null };
      const nobody = JSON.stringify([owner, 'nobody']);
      await using lease = await pool.lease(
        { owner: nobody, ...whoseOf(identity), account: null, version: null, client, credentials },
        backend,
      );
      // Like a probe: that it wants a token is no news, and says nothing about its health.
      lease.discard();
      const { connection } = lease;
      const request: BackendLink['request'] = (asked) =>
        connection.request({ ...asked, client }, credentials);
      return await use({ connection, credentials, renew: undefined, request });
    },

    async run(backend, caller, use, { repeatable = false, kind = 'request' } = {}) {
      // What others wait for costs this backend nothing, and the other way round.
      const identity = await caller.settled(backend.strategy.providers);
      const first = outgoingHeaders(backend, identity, facts);
      let rejected: BackendRejectedError;
      try {
        return await guarded(backend, kind, () => attempt(backend, caller, first, use, repeatable));
      } catch (error) {
        if (!(error instanceof BackendRejectedError)) throw error;
        rejected = error;
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

      const second = await renewed(backend, caller, injected);
      if (isSameToken(second.injected, injected)) throw refusal(backend, first, rejected);
      try {
        return await guarded(backend, kind, () => attempt(backend, caller, second, use, repeatable));
      } catch (error) {
        throw error instanceof BackendRejectedError ? refusal(backend, second, error) : error;
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

function credentialsOf({ passedHeaders }: Caller, { headers, sign = null }: OutgoingHeaders): Credentials {
  return { headers: { ...passedHeaders, ...headers }, sign };
}

const whoseOf = (identity: Identity) => ({ person: personOf(identity), tsid: identity.tsid });

const isSameToken = (one: Injected | null, other: Injected): boolean =>
  one?.version === other.version && one.account === other.account;

/** The backend did not do its part; an answer that is an error is one, and a caller who goes away is no fault of its. */
function isFailure(error: unknown): boolean {
  if (error instanceof BackendHttpError) return error.status >= 500;
  if (error instanceof BackendAnswerLostError) return isFailure(error.cause);
  return (
    error instanceof BackendTimeoutError ||
    error instanceof BackendAnswerError ||
    error instanceof BackendRedirectedError ||
    error instanceof BackendCutOffError
  );
}
