/**
 * Who is calling, with the upstream tokens that the request's target needs, by one request to the vault
 * (`find-upstream-tokens`). A provider whose refresh is under way is `pending`, and waited for by what needs it; a
 * provider that fails fails only what needs it, and is an answer, not an error.
 */
import { attemptMs } from '../../schemas/bus.ts';
import {
  type BusError,
  DeadlineExceededError,
  NoRespondersError,
  RefusedError,
} from '../../schemas/failure.ts';
import type { Identity, Principal } from '../../schemas/identity.ts';
import type { VaultClient } from '../vault-client.ts';
import type { AccessToken } from './access-token.ts';
import { shareLookUps } from './shared-look-ups.ts';

/** The vault does not honour the caller's token: the session has ended, or the token is not one of ours. */
export class SessionRefusedError extends Error {
  override readonly name = 'SessionRefusedError';
  readonly code: 'session-ended' | 'unauthorized';

  constructor(code: SessionRefusedError['code'], options?: { cause?: unknown }) {
    super(code === 'session-ended' ? 'the session has ended' : 'the access token is not valid', options);
    this.code = code;
  }
}

/** Vault or NATS is away. Nothing is known about the caller, so nothing is said about their token. */
export class VaultUnavailableError extends Error {
  override readonly name = 'VaultUnavailableError';
  readonly code = 'vault-unavailable';
  readonly retryable = true;
  readonly retryAfterSeconds: number;

  constructor(options: { retryAfterSeconds?: number; cause?: unknown } = {}) {
    super('the token vault does not answer', { cause: options.cause });
    this.retryAfterSeconds = options.retryAfterSeconds ?? 2;
  }
}

export interface LookUp {
  readonly providers: readonly string[];
  /** Versions of tokens that a backend has just rejected. */
  readonly rejected?: Readonly<Record<string, number>>;
}

type Question = LookUp & { readonly waits?: boolean };

export interface Identities {
  /**
   * As the vault knows them now: what takes longer is `pending`.
   * @throws SessionRefusedError
   * @throws VaultUnavailableError
   */
  find(caller: AccessToken, lookUp: LookUp): Promise<Identity>;
  /** The same when nothing is `pending` any more, or at the limit. */
  findSettled(caller: AccessToken, lookUp: LookUp): Promise<Identity>;
}

export function createIdentities(options: {
  vault: Pick<VaultClient, 'findUpstreamTokens'>;
  /** The iss of principals (DESIGN: a fixed realm, not the issuer's URL). */
  realm: string;
  /** A token with less life than this is refreshed before it is used. */
  minValidSeconds: number;
  /** How long one look-up may take, refreshes included. */
  limitMs?: number;
  /** Between two questions about a provider that answered `pending`; the vault itself holds that answer a while. */
  pauseMs?: number;
}): Identities {
  const { vault, realm, minValidSeconds, limitMs = 10_000, pauseMs = 5 } = options;
  const find = shareLookUps(vault.findUpstreamTokens);

  async function answersTo(principal: Principal, caller: AccessToken, lookUp: Question, timeoutMs: number) {
    try {
      return await find(
        principal,
        {
          accessToken: caller.token,
          providers: [...lookUp.providers],
          minValidSeconds,
          ...(lookUp.rejected === undefined ? {} : { rejected: { ...lookUp.rejected } }),
          ...(lookUp.waits === undefined ? {} : { waits: lookUp.waits }),
        },
        timeoutMs,
      );
    } catch (error) {
      throw refusalOf(error as BusError);
    }
  }

  async function ask(caller: AccessToken, lookUp: Question, timeoutMs: number): Promise<Identity> {
    const principal = { iss: realm, sub: caller.sub };
    const upstreamTokens = await answersTo(principal, caller, lookUp, timeoutMs);
    return { ...principal, claims: caller.claims, tsid: caller.tsid, upstreamTokens };
  }

  return {
    find: (caller, lookUp) => ask(caller, { ...lookUp, waits: false }, limitMs),

    async findSettled(caller, lookUp) {
      const deadline = performance.now() + limitMs;
      let identity = await ask(caller, lookUp, limitMs);
      for (;;) {
        const pending = pendingOf(identity);
        const leftMs = deadline - performance.now();
        // With less time than an answer may take, the question itself would fail, and blame the vault for the provider.
        if (pending.length === 0 || leftMs < pauseMs + attemptMs) return identity;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        const rest = { ...lookUp, providers: pending };
        const again = await ask(caller, rest, Math.max(1, deadline - performance.now()));
        const upstreamTokens = new Map([...identity.upstreamTokens, ...again.upstreamTokens]);
        identity = { ...again, upstreamTokens };
      }
    },
  };
}

function pendingOf({ upstreamTokens }: Identity): string[] {
  return [...upstreamTokens].filter(([, { status }]) => status === 'pending').map(([name]) => name);
}

function refusalOf(error: unknown): Error {
  if (error instanceof RefusedError) {
    if (error.code === 'session-ended' || error.code === 'unauthorized')
      return new SessionRefusedError(error.code, { cause: error });
    // A question that the vault does not understand is a fault of ours, and waiting does not mend it.
    if (error.code === 'invalid-request') return error;
    const retryAfterSeconds = Math.ceil((error.retryAfterMs ?? 2000) / 1000);
    return new VaultUnavailableError({ retryAfterSeconds, cause: error });
  }
  if (error instanceof NoRespondersError || error instanceof DeadlineExceededError)
    return new VaultUnavailableError({ cause: error });
  return isNatsError(error) ? new VaultUnavailableError({ cause: error }) : (error as Error);
}

/** What the connection itself throws: closed, draining, no permission. */
function isNatsError(error: unknown): boolean {
  return error instanceof Error && error.name === 'NatsError';
}
