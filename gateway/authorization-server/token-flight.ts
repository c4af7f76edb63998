/**
 * The token endpoint never signs an honest client out: one flight per code or refresh token. The vault has the claim
 * before the library runs and the answer before the client does, so an answer that was lost is given again, a failure of
 * ours leaves the token good, and whoever comes while a flight is under way waits for its answer. What is used again
 * later is in two hands: the session ends, with everything that it holds (RFC 9700 section 4.14.2).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { RefusedError } from '../../schemas/failure.ts';
import { createFlightId } from '../../schemas/ids.ts';
import type { Log } from '../../schemas/log.ts';
import type { UsableKind } from '../../schemas/messages/token-use.ts';
import { Secret } from '../../schemas/secret.ts';
import type { VaultClient } from '../vault-client.ts';
import { isVaultUnavailable, vaultUnavailable } from './vault-failure.ts';

export interface TokenFlights {
  /** Everything of this request, the library's part included, belongs to the flight of its code or refresh token. */
  run(parameters: URLSearchParams, handle: () => Promise<void>): Promise<void>;
  /** A middleware of the library, around everything that answers. */
  answer(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void>;
  /** The library's order to use a token up. @throws InvalidGrant this request has no claim on it */
  assertClaimed(kind: string, id: string): void;
}

interface Flight {
  readonly kind: UsableKind;
  readonly id: string;
  readonly flightId: string;
  readonly clientId: string;
  readonly requestDigest: string;
}

interface Options {
  readonly vault: Pick<
    VaultClient,
    'beginTokenUse' | 'endTokenUse' | 'endSession' | 'deleteRecord' | 'findUpstreamTokens'
  >;
  readonly realm: string;
  readonly log: Log;
  /** How long to wait for the flight of another request, milliseconds: longer than a claim lives. */
  readonly patienceMs?: number;
}

type Begun = 'begun' | 'unknown' | 'refused' | 'unavailable' | { body: Record<string, unknown> };

const lookUpTimeoutMs = 5_000;
const firstPauseMs = 20;
const longestPauseMs = 250;

export function createTokenFlights({ vault, realm, log, patienceMs = 15_000 }: Options): TokenFlights {
  const flights = new AsyncLocalStorage<Flight | null>();

  async function begin(flight: Flight): Promise<Begun> {
    const until = performance.now() + patienceMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      const begun = await vault.beginTokenUse(flight);
      switch (begun.status) {
        case 'begun':
        case 'unknown':
          return begun.status;
        case 'answered': {
          const body = JSON.parse(begun.answer.reveal());
          return (await lives(body)) ? { body: aged(body, begun.ageSeconds) } : 'refused';
        }
        case 'used':
          await endFamily(flight, begun);
          return 'refused';
        case 'under-way':
          if (performance.now() + pauseMs > until) return 'unavailable';
          await sleep(pauseMs);
          break;
        default:
          return begun satisfies never;
      }
    }
  }

  /** An answer of a session that has ended meanwhile would only be refused everywhere. */
  async function lives({ access_token: token }: { access_token: string }): Promise<boolean> {
    const principal = { iss: realm, sub: decodeJwt(token).sub ?? '' };
    try {
      const question = { accessToken: new Secret(token), providers: [], minValidSeconds: 0 };
      await vault.findUpstreamTokens(principal, question, lookUpTimeoutMs);
      return true;
    } catch (error) {
      // The access token in it may have had its time; the refresh token is still worth something.
      if (error instanceof RefusedError && error.code === 'unauthorized') return true;
      if (error instanceof RefusedError && error.code === 'session-ended') return false;
      throw error;
    }
  }

  /** What takes access away goes first: without its session no token of the family is good for anything. */
  async function endFamily({ kind, clientId }: Flight, { grantId, sub }: { grantId: string; sub: string }) {
    log.warn({ kind, clientId }, 'a token that was used came again: its session ends');
    const reason = kind === 'RefreshToken' ? 'refresh-token-reused' : 'code-reused';
    const principal = { iss: realm, sub };
    await vault.endSession(principal, { principal, grantId, reason });
    await vault.deleteRecord('Grant', grantId);
  }

  /** Before the client has it. Whether it was recorded is unknown where the vault does not answer; then nothing is undone. */
  async function record(flight: Flight, ctx: KoaContextWithOIDC): Promise<void> {
    const successor = ctx.oidc.entities.RefreshToken?.jti;
    const answer = {
      body: new Secret(JSON.stringify(ctx.body)),
      requestDigest: flight.requestDigest,
      successor: successor === undefined ? null : new Secret(successor),
    };
    try {
      await vault.endTokenUse({ ...flight, answer });
    } catch (err) {
      log.warn({ err, kind: flight.kind }, 'the answer of the token endpoint could not be recorded');
      // The client has no other answer than that of the flight that has the token now.
      send(ctx, 503, vaultUnavailable);
      if (err instanceof RefusedError && err.code === 'conflict') await undo(ctx);
    }
  }

  /** The token is as good as before; should that fail too, its claim dies. */
  async function release(flight: Flight, ctx: KoaContextWithOIDC): Promise<void> {
    try {
      await undo(ctx);
      await vault.endTokenUse({ ...flight, answer: null });
    } catch (err) {
      log.warn({ err, kind: flight.kind }, 'a token could not be released after a failure');
    }
  }

  /** Nobody has seen the successor. */
  async function undo(ctx: KoaContextWithOIDC): Promise<void> {
    const successor = ctx.oidc.entities.RefreshToken;
    if (successor?.jti !== undefined && successor.jti !== flights.getStore()?.id) await successor.destroy();
  }

  return {
    run: (parameters, handle) => flights.run(flightOf(parameters), handle),

    async answer(ctx, next) {
      const flight = flights.getStore();
      if (!flight) return next();
      let begun: Begun;
      try {
        begun = await begin(flight);
      } catch (err) {
        if (!isVaultUnavailable(err)) throw err;
        begun = 'unavailable';
      }
      if (begun === 'unknown') return next();
      if (begun === 'refused') return send(ctx, 400, invalidGrant());
      if (begun === 'unavailable') return send(ctx, 503, vaultUnavailable);
      if (begun !== 'begun') return send(ctx, 200, begun.body);
      await next();
      if (ctx.status === 200) await record(flight, ctx);
      else await release(flight, ctx);
    },

    assertClaimed(kind, id) {
      const flight = flights.getStore();
      if (flight?.kind !== kind || flight.id !== id) throw new errors.InvalidGrant();
    },
  };
}

/** Null for a request that names no token: the library says what is wrong with it. */
function flightOf(parameters: URLSearchParams): Flight | null {
  const kind = kindOf(parameters.get('grant_type'));
  const ids = parameters.getAll(kind === 'RefreshToken' ? 'refresh_token' : 'code');
  const clientId = parameters.get('client_id');
  if (kind === null || ids.length !== 1 || !ids[0] || !clientId) return null;
  parameters.sort();
  const requestDigest = createHash('sha256').update(parameters.toString()).digest('base64url');
  return { kind, id: ids[0], flightId: createFlightId(), clientId, requestDigest };
}

function kindOf(grantType: string | null): UsableKind | null {
  if (grantType === 'refresh_token') return 'RefreshToken';
  return grantType === 'authorization_code' ? 'AuthorizationCode' : null;
}

/** `expires_in` counts from the answer (RFC 6749 section 5.1). */
function aged(body: Record<string, unknown>, ageSeconds: number): Record<string, unknown> {
  if (typeof body.expires_in !== 'number') return body;
  return { ...body, expires_in: Math.max(0, body.expires_in - ageSeconds) };
}

function invalidGrant() {
  const { error, error_description } = new errors.InvalidGrant();
  return { error, error_description };
}

/** RFC 6749 section 5.1. */
function send(ctx: KoaContextWithOIDC, status: number, body: object): void {
  ctx.status = status;
  ctx.body = body;
  ctx.set('cache-control', 'no-store');
}
