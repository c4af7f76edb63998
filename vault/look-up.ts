/**
 * Which tokens does the caller of this access token hold right now? The path of every request: it reads memory and
 * SQLite, and writes nothing. A token that still lives is the answer at once, while its refresh runs behind it. The grant
 * of the caller's session comes first; where there is none, or the person would have to sign in for it again, the account
 * that they linked. What a backend is sent in exchange for a token is looked up in the same way, after that token.
 */

import { RefusedError } from '../schemas/failure.ts';
import { holdFor, holdMs, pending } from '../schemas/held-answers.ts';
import {
  backendOfExchange,
  exchangedTokenName,
  type FindUpstreamTokensRequest,
  type FindUpstreamTokensResponse,
  type UpstreamTokenAnswer,
} from '../schemas/messages/find-upstream-tokens.ts';
import { keepWireText } from '../schemas/wire-text.ts';
import type { IdentifyCaller, LiveCaller } from './caller.ts';
import type { ExchangedTokens, TokenExchange } from './exchange/exchanged-tokens.ts';
import { refreshableFrom } from './grant/expiry.ts';
import type { GrantIds } from './grant/grant-ids.ts';
import type { GrantStore } from './grant/grant-store.ts';
import type { Projection } from './projection/projection.ts';
import type { GrantRow } from './projection/tables.ts';
import type { LastUses } from './refresh/last-uses.ts';
import type { Refresher } from './refresh/refresher.ts';
import type { DataKeys } from './sealing/data-keys.ts';
import type { IdentityIndex } from './sealing/identity-index.ts';
import type { SessionIdentity } from './session/session-identity.ts';

interface Options {
  readonly projection: Projection;
  readonly grants: GrantStore;
  readonly refresher: Refresher;
  readonly dataKeys: Pick<DataKeys, 'find'>;
  readonly grantIds: GrantIds;
  readonly index: Pick<IdentityIndex, 'upstreamSubjectKey'>;
  readonly refreshAheadSeconds: number;
  /** Told of every grant whose tokens were asked for. */
  readonly lastUses: Pick<LastUses, 'note'>;
  /** By the backend that is sent what comes of them. */
  readonly exchanges: ReadonlyMap<string, TokenExchange>;
  readonly exchanged: Pick<ExchangedTokens, 'find'>;
  readonly identify: IdentifyCaller;
  readonly confirm: SessionIdentity['confirm'];
  readonly now: () => number;
  readonly onProblem: (error: unknown) => void;
}

/** @param waitMs how long a refresh may be waited for if nothing else was asked, at least `holdMs` */
export type LookUp = (
  partition: number,
  request: FindUpstreamTokensRequest,
  waitMs?: number,
) => FindUpstreamTokensResponse | Promise<FindUpstreamTokensResponse>;

export function createLookUp(options: Options): LookUp {
  const {
    projection,
    grants,
    refresher,
    dataKeys,
    grantIds,
    index,
    refreshAheadSeconds,
    lastUses,
    exchanges,
    exchanged,
    identify,
    confirm,
    now,
    onProblem,
  } = options;
  /** Goes with the row, which is another one after every event of the grant. */
  const opened = new WeakMap<GrantRow, UpstreamTokenAnswer>();
  /** The grant that gave an answer. */
  const grantOf = new WeakMap<UpstreamTokenAnswer, string>();

  function answer(partition: number, request: FindUpstreamTokensRequest, caller: LiveCaller, waitMs: number) {
    const confirmed = caller.sessionId === null ? undefined : confirm(partition, caller);
    return confirmed
      ? confirmed.then(() => answerConfirmed(partition, request, caller, waitMs))
      : answerConfirmed(partition, request, caller, waitMs);
  }

  function answerConfirmed(
    partition: number,
    request: FindUpstreamTokensRequest,
    caller: LiveCaller,
    waitMs: number,
  ) {
    if (dataKeys.find(caller.principalKey) === null) {
      // Who calls without a session has perhaps linked nothing yet.
      if (caller.sessionId === null) return { answers: nothingOf(request.providers) };
      throw new RefusedError(
        'session-ended',
        'the data key of this person is gone, and their session with it',
      );
    }
    const answers: Record<string, UpstreamTokenAnswer> = {};
    const waiting: Promise<[string, UpstreamTokenAnswer]>[] = [];
    // What there is of several providers is not kept back for long.
    const waits = request.providers.length === 1 && request.waits !== false;
    const limitMs = waits ? Math.max(holdMs, waitMs) : holdMs;
    for (const name of request.providers) {
      const backend = backendOfExchange(name);
      const found =
        backend === null
          ? answerOf(partition, caller, request, name, limitMs)
          : exchangedFor(partition, caller, request, backend, limitMs);
      if (found instanceof Promise) waiting.push(found.then((later) => [name, later]));
      else answers[name] = found;
    }
    if (waiting.length === 0) return { answers };
    return Promise.all(waiting).then((later) => ({ answers: { ...answers, ...Object.fromEntries(later) } }));
  }

  function answerOf(
    partition: number,
    caller: LiveCaller,
    request: FindUpstreamTokensRequest,
    provider: string,
    limitMs: number,
  ): UpstreamTokenAnswer | Promise<UpstreamTokenAnswer> {
    const own = sessionGrant(caller, provider);
    if (isServing(own)) {
      const answer = answerFrom(partition, own, request, provider, limitMs);
      if (!(answer instanceof Promise)) return answer;
      return answer.then((later) => {
        const linked = isOver(later) ? linkedGrant(caller, provider) : null;
        // What was rejected is the token of the grant that gave way.
        const { rejected: _, ...fresh } = request;
        return isServing(linked) ? answerFrom(partition, linked, fresh, provider, limitMs) : later;
      });
    }
    const linked = linkedGrant(caller, provider);
    const row = isServing(linked) ? linked : (own ?? linked);
    return row ? answerFrom(partition, row, request, provider, limitMs) : { status: 'missing' };
  }

  function exchangedFor(
    partition: number,
    caller: LiveCaller,
    request: FindUpstreamTokensRequest,
    backend: string,
    limitMs: number,
  ): UpstreamTokenAnswer | Promise<UpstreamTokenAnswer> {
    const exchange = exchanges.get(backend);
    // The gateway's configuration is another one.
    if (exchange === undefined) return { status: 'exchange-refused', error: null };
    const until = performance.now() + limitMs;
    // What the backend rejected is not the token of the provider.
    const { rejected, ...ofSubject } = request;
    const leftMs = () => Math.max(1, until - performance.now());
    const exchangedFrom = (
      subject: UpstreamTokenAnswer,
      mayRepeat = true,
    ): UpstreamTokenAnswer | Promise<UpstreamTokenAnswer> => {
      if (subject.status !== 'ok') return subject;
      const grantId = grantOf.get(subject)!;
      const found = exchanged.find({
        ...{ exchange, subject, grantId },
        minValidMs: request.minValidSeconds * 1000,
        rejected: rejected?.[exchangedTokenName(backend)],
        limitMs: leftMs(),
      });
      if (!(found instanceof Promise)) return found;
      return found.then(async (later) => {
        // It may have been taken away meanwhile.
        if (projection.findGrant(grantId) === null) return { status: 'missing' };
        if (later.status !== 'exchange-refused' || !mayRepeat) return later;
        // Or it has ended while it was exchanged: then its successor is exchanged.
        const next = await answerOf(partition, caller, ofSubject, exchange.provider, leftMs());
        return next.status === 'ok' && next.version === subject.version ? later : exchangedFrom(next, false);
      });
    };
    const subject = answerOf(partition, caller, ofSubject, exchange.provider, limitMs);
    return subject instanceof Promise
      ? subject.then((later) => exchangedFrom(later))
      : exchangedFrom(subject);
  }

  const sessionGrant = (caller: LiveCaller, provider: string) =>
    caller.sessionId === null ? null : projection.findGrant(grantIds.ofSession(caller, provider));
  const linkedGrant = (caller: LiveCaller, provider: string) =>
    projection.findGrant(grantIds.linked(caller, provider));

  function answerFrom(
    partition: number,
    row: GrantRow,
    { minValidSeconds, rejected }: FindUpstreamTokensRequest,
    provider: string,
    limitMs: number,
  ): UpstreamTokenAnswer | Promise<UpstreamTokenAnswer> {
    const { grantId } = row;
    const at = now();
    lastUses.note(grantId, at, row.usedAt);
    const [minValidMs, aheadMs] = [minValidSeconds * 1000, refreshAheadSeconds * 1000];
    const neededUntil = at + Math.max(minValidMs, aheadMs);
    const rejectedVersion = rejected?.[provider] === row.version ? row.version : null;
    if (rejectedVersion === null) {
      if (isFresh(row, at, minValidMs, aheadMs)) return current(row);
      if (isAlive(row, at)) {
        if (mayStartRefresh(row, at))
          refresher
            .refresh(partition, grantId, { neededUntil, rejectedVersion }, 'background')
            .catch(onProblem);
        return current(row);
      }
    }
    return refreshed(partition, row, { neededUntil, rejectedVersion }, limitMs);
  }

  /** Waits a moment for the outcome; the refresh goes on whatever becomes of the one who asked. */
  async function refreshed(
    partition: number,
    known: GrantRow,
    need: { neededUntil: number; rejectedVersion: number | null },
    limitMs: number,
  ): Promise<UpstreamTokenAnswer> {
    const { grantId, version } = known;
    let ended = true;
    if (mayStartRefresh(known, now())) {
      const refresh = refresher.refresh(partition, grantId, need, 'on-demand');
      refresh.catch(onProblem);
      ended = (await holdFor(refresh, limitMs).catch(() => pending)) !== pending;
    } else if (known.refreshStatus === 'claimed') {
      // A thousand may wait for one refresh: they do not open the grant, nor stand in the queue of its partition.
      ended = (await holdFor(refresher.outcome(grantId, known.refreshUntil!), limitMs)) !== pending;
    }
    const row = projection.findGrant(grantId);
    if (!row) return { status: 'missing' };
    if (row.version > version) return current(row);
    if (row.refreshStatus === 'reauth-required') return { status: 'reauth-required' };
    // A forced refresh that would be the same again: what there is, is the answer.
    if (ended && row.refreshStatus === 'idle' && isAlive(row, now())) return current(row);
    if (row.refreshStatus === 'waiting' && (ended || row.refreshUntil! > now())) {
      return {
        status: 'refresh-failed',
        retryAfterSeconds: Math.max(1, Math.ceil((row.refreshUntil! - now()) / 1000)),
      };
    }
    return { status: 'pending' };
  }

  function current(row: GrantRow): UpstreamTokenAnswer {
    const known = opened.get(row);
    if (known) return known;
    const grant = grants.find(row.grantId)!;
    const { accessToken, tokenType, expiresAt, scope } = grant.tokens;
    const answer = keepWireText({
      status: 'ok',
      accessToken,
      tokenType,
      expiresAt,
      scope,
      version: grant.version,
      account: index.upstreamSubjectKey(row.provider, grant.account.subject),
    } as const);
    opened.set(row, answer);
    grantOf.set(answer, row.grantId);
    return answer;
  }

  return (partition, request, waitMs = holdMs) => {
    const caller = identify(partition, request.accessToken);
    return caller instanceof Promise
      ? caller.then((identified) => answer(partition, request, identified, waitMs))
      : answer(partition, request, caller, waitMs);
  };
}

function nothingOf(providers: readonly string[]): Record<string, UpstreamTokenAnswer> {
  return Object.fromEntries(providers.map((provider) => [provider, { status: 'missing' }]));
}

/** Of the two grants that a person can have at a provider, one that needs them to sign in again gives way. */
function isServing(row: GrantRow | null): row is GrantRow {
  return row !== null && row.refreshStatus !== 'reauth-required';
}

function isOver({ status }: UpstreamTokenAnswer): boolean {
  return status === 'missing' || status === 'reauth-required';
}

function isAlive({ expiresAt }: GrantRow, at: number): boolean {
  return expiresAt === null || expiresAt > at;
}

/** Neither is it needed for longer than it lives, nor is it time for the next one. */
function isFresh(
  { expiresAt, obtainedAt }: GrantRow,
  at: number,
  minValidMs: number,
  aheadMs: number,
): boolean {
  if (expiresAt === null) return true;
  return at < expiresAt - minValidMs && at < refreshableFrom({ obtainedAt, expiresAt }, aheadMs);
}

/** Whether asking can lead to a refresh: while one runs, waits or is refused for good it only costs. */
function mayStartRefresh({ refreshStatus, refreshUntil }: GrantRow, at: number): boolean {
  return refreshStatus === 'idle' || (refreshUntil !== null && refreshUntil <= at);
}
