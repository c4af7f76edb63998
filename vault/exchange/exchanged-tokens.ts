/**
 * What backends are sent in exchange for a provider's token (RFC 8693, or credentials of AWS), kept in memory for as long
 * as it is good: no longer than the version of the grant from which it was exchanged. Whoever asks meanwhile waits for
 * the one exchange that runs. A token that still lives is the answer while its successor is fetched, so an outage of the
 * token service is felt only when the last token has ended.
 */
import { LRUCache } from 'lru-cache';
import { holdFor, pending } from '../../schemas/held-answers.ts';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import type { TokenExchangeOutcome } from '../../schemas/messages/provider-requests.ts';
import type { Secret } from '../../schemas/secret.ts';
import { keepWireText } from '../../schemas/wire-text.ts';

export interface ProviderExchanges {
  /** @throws BusError nobody answered, or the worker does not know the backend */
  exchangeToken(
    provider: string,
    request: { backend: string; subjectToken: Secret },
  ): Promise<TokenExchangeOutcome>;
}

export interface TokenExchange {
  readonly backend: string;
  readonly provider: string;
  readonly subjectToken: 'access-token' | 'id-token';
}

type LiveToken = Extract<UpstreamTokenAnswer, { status: 'ok' }>;
type Credential = LiveToken | Extract<UpstreamTokenAnswer, { status: 'aws-credentials' }>;
type Failure = Extract<UpstreamTokenAnswer, { status: 'exchange-refused' | 'exchange-failed' }>;

interface Need {
  readonly exchange: TokenExchange;
  readonly grantId: string;
  /** What the grant serves now. */
  readonly subject: LiveToken;
  readonly minValidMs: number;
  /** The version of a token that the backend has just rejected. */
  readonly rejected: number | undefined;
  readonly limitMs: number;
}

export interface ExchangedTokens {
  find(need: Need): UpstreamTokenAnswer | Promise<UpstreamTokenAnswer>;
  /** The grant is gone. */
  forget(grantId: string): void;
}

interface Entry {
  /** The subject token and its version: of another one nothing here holds. */
  readonly subject: LiveToken;
  held: { readonly answer: Credential; readonly obtainedAt: number; readonly expiresAt: number } | null;
  failed: { readonly answer: Failure; readonly until: number } | null;
  running: Promise<void> | null;
  /** When a backend's rejection led to an exchange last. */
  forcedAt: number;
}

/** Where the service does not say how long its token lives. */
const assumedLifeMs = 5 * 60_000;
/** A service that fails is left alone for so long, if it asks for nothing else. */
const failureMs = 2_000;
const longestFailureMs = 60_000;
/** What a backend rejects although it was just exchanged is not mended by the next exchange. */
const forcedMs = 60_000;
const maxEntries = 20_000;
/** A token that lives longer is exchanged anew. */
const longestKeptMs = 24 * 3_600_000;

export function createExchangedTokens({
  exchanges,
  providers,
  idTokenOf,
  now,
  onProblem,
}: {
  exchanges: readonly TokenExchange[];
  providers: ProviderExchanges;
  /** The ID token that the grant has. */
  idTokenOf: (grantId: string) => Secret | null;
  now: () => number;
  onProblem: (error: unknown) => void;
}): ExchangedTokens {
  const entries = new LRUCache<string, Entry>({ max: maxEntries, ttl: assumedLifeMs, ttlAutopurge: true });
  let lastVersion = 0;
  const keyOf = (grantId: string, backend: string) => `${grantId} ${backend}`;

  function entryOf({ exchange, grantId, subject }: Need): Entry {
    const key = keyOf(grantId, exchange.backend);
    const known = entries.get(key);
    if (known && isSame(known.subject, subject)) return known;
    const entry: Entry = {
      subject,
      held: null,
      failed: null,
      running: null,
      forcedAt: Number.NEGATIVE_INFINITY,
    };
    entries.set(key, entry);
    return entry;
  }

  function begin(entry: Entry, { exchange, grantId, subject }: Need): Promise<void> {
    entry.running ??= exchangeFor(entry, exchange, grantId, subject).finally(() => {
      entry.running = null;
    });
    return entry.running;
  }

  async function exchangeFor(
    entry: Entry,
    { backend, provider, subjectToken }: TokenExchange,
    grantId: string,
    subject: LiveToken,
  ): Promise<void> {
    const token = subjectToken === 'id-token' ? idTokenOf(grantId) : subject.accessToken;
    const outcome = await (token === null
      ? ({ status: 'refused', error: null } as const)
      : providers.exchangeToken(provider, { backend, subjectToken: token }).catch((error) => {
          onProblem(error);
          return { status: 'unavailable', retryAfterSeconds: null } as const;
        }));
    const at = now();
    if (outcome.status === 'exchanged' || outcome.status === 'aws-credentials') {
      const { expiresAt } = outcome;
      // Not lower than any before, so that a rejected one is known also after this worker has forgotten it.
      lastVersion = Math.max(lastVersion + 1, at);
      const version = lastVersion;
      const answer = keepWireText<Credential>(
        outcome.status === 'exchanged'
          ? { ...outcome, status: 'ok', tokenType: 'Bearer', version, account: subject.account }
          : { ...outcome, version, account: subject.account },
      );
      entry.held = { answer, obtainedAt: at, expiresAt: expiresAt ?? at + assumedLifeMs };
      entry.failed = null;
      const key = keyOf(grantId, backend);
      if (entries.peek(key) === entry)
        entries.set(key, entry, {
          ttl: Math.min(longestKeptMs, Math.max(1, Math.ceil(entry.held.expiresAt - at))),
        });
      return;
    }
    const retryAfterMs = outcome.status === 'unavailable' ? (outcome.retryAfterSeconds ?? 0) * 1000 : 0;
    const waitMs = Math.min(longestFailureMs, Math.max(failureMs, retryAfterMs));
    entry.failed = {
      answer:
        outcome.status === 'refused'
          ? { status: 'exchange-refused', error: outcome.error }
          : { status: 'exchange-failed', retryAfterSeconds: Math.ceil(waitMs / 1000) },
      until: at + waitMs,
    };
  }

  /** What can be said without waiting. */
  function current(entry: Entry): UpstreamTokenAnswer | null {
    const at = now();
    if (entry.held !== null && at < entry.held.expiresAt) return entry.held.answer;
    return entry.failed !== null && at < entry.failed.until ? entry.failed.answer : null;
  }

  async function outcomeOf(entry: Entry, need: Need): Promise<UpstreamTokenAnswer> {
    if ((await holdFor(begin(entry, need), need.limitMs)) === pending) return { status: 'pending' };
    return current(entry) ?? { status: 'exchange-failed', retryAfterSeconds: Math.ceil(failureMs / 1000) };
  }

  return {
    find(need) {
      const entry = entryOf(need);
      const at = now();
      const mayForce = at >= entry.forcedAt + forcedMs;
      if (entry.held !== null && entry.held.answer.version === need.rejected && mayForce) {
        entry.held = null;
        entry.forcedAt = at;
      }
      const known = current(entry);
      if (known === null) return outcomeOf(entry, need);
      if (entry.held !== null && at >= freshUntil(entry.held, need.minValidMs)) {
        const rests = entry.failed !== null && at < entry.failed.until;
        if (!rests) begin(entry, need).catch(onProblem);
      }
      return known;
    },

    forget(grantId) {
      for (const { backend } of exchanges) entries.delete(keyOf(grantId, backend));
    },
  };
}

function isSame(one: LiveToken, other: LiveToken): boolean {
  if (one === other) return true;
  return one.version === other.version && one.accessToken.reveal() === other.accessToken.reveal();
}

/** A token that lives only a little longer than it is needed is used for half of its life. */
function freshUntil({ obtainedAt, expiresAt }: NonNullable<Entry['held']>, minValidMs: number): number {
  return expiresAt - Math.min(minValidMs, (expiresAt - obtainedAt) / 2);
}
